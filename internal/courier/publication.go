package courier

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// publication is an event of a publisher, with the people it names found.
type publication struct {
	Event      *registry.Event
	ID         string // the publisher's own name of it
	Subject    account.Ref
	People     map[string]account.Ref // further people, by what they are in the event
	HappenedAt time.Time              // zero: not told
	Data       json.RawMessage        // a JSON object without a member people

	digest [sha256.Size]byte // of what the publisher said
}

var errNotDeclared = oauth.Refuse(oauth.AccessDenied,
	"The type is none that the group declares for your subsystem; name it by its URI or by its short name.")

var errNobody = invalid("The subject, or one of the people, names nobody: it must be your own identifier of a person who is there.")

// publications finds the types and the people of events. Nobody is refused by
// name, though it tells the publisher that its own identifier names nobody: it
// can learn that by conversion as well, and a mistake must not go unseen.
func (c *Courier) publications(k call, events []published) ([]publication, error) {
	list := make([]publication, len(events))
	var subs []string
	for i := range events {
		event := &events[i]
		declared, ok := declaredEvent(k.group, k.client.Subsystem, event.Type)
		if !ok {
			return nil, inList(i, len(events), errNotDeclared)
		}
		list[i] = publication{Event: declared, ID: event.ID, Data: event.Data, digest: digestOf(declared, event)}
		if event.HappenedAt != nil {
			list[i].HappenedAt = time.Unix(*event.HappenedAt, 0)
			if list[i].HappenedAt.After(c.Now().Add(aheadAtMost)) {
				return nil, inList(i, len(events), invalid("The member happened_at lies in the future."))
			}
		}
		subs = append(subs, event.Subject)
		for _, sub := range event.People {
			subs = append(subs, sub)
		}
	}
	people, err := c.findPeople(k.Context(), k.client.Subsystem.Sector, subs)
	if err != nil {
		return nil, err
	}
	for i := range events {
		if list[i].name(&events[i], people); !list[i].nobody() {
			continue
		}
		// The person may have gone since the event was accepted; sent again it is
		// still accepted.
		known, err := c.isPublished(k.Context(), k.client.Subsystem.Name, &list[i])
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, inList(i, len(events), errNobody)
		}
	}
	return list, nil
}

// name puts the people into a publication.
func (p *publication) name(event *published, people map[string]account.Ref) {
	p.Subject = people[event.Subject]
	if len(event.People) > 0 {
		p.People = make(map[string]account.Ref, len(event.People))
	}
	for name, sub := range event.People {
		p.People[name] = people[sub]
	}
}

// nobody reports whether one of those it names is not there.
func (p *publication) nobody() bool {
	if p.Subject.Nobody() {
		return true
	}
	for _, who := range p.People {
		if who.Nobody() {
			return true
		}
	}
	return false
}

func (c *Courier) findPeople(ctx context.Context, sector registry.Sector, subs []string) (map[string]account.Ref, error) {
	refs, err := c.Pairwise.Resolve(ctx, sector, subs)
	if err != nil {
		return nil, err
	}
	people := make(map[string]account.Ref, len(subs))
	for i, sub := range subs {
		people[sub] = refs[i]
	}
	return people, nil
}

// declaredEvent finds a type that a subsystem publishes, by its URI or its name.
func declaredEvent(group *registry.Snapshot, publisher *registry.Subsystem, name string) (*registry.Event, bool) {
	for _, event := range group.EventsOf(publisher) {
		if event.URI == name || event.Name == name {
			return event, true
		}
	}
	return nil, false
}

// digestOf is the hash over what a publisher says in an event, so that the same
// said again is known as such.
func digestOf(declared *registry.Event, event *published) [sha256.Size]byte {
	said, err := json.Marshal([]any{declared.URI, event.Subject, event.People, event.HappenedAt, event.Data})
	if err != nil {
		panic("courier: an event that was read cannot be written: " + err.Error())
	}
	return sha256.Sum256(said)
}

// submission is what one request publishes.
type submission struct {
	publisher    *registry.Subsystem
	publications []publication
	record       audit.Record

	err  error
	done chan struct{}
}

var errOtherContent = &oauth.Error{
	Code: oauth.InvalidRequest, Status: 409,
	Description: "An event with this id was published before, and said something else.",
}

// writePublications writes submissions in one transaction. Each has its own
// answer: one that is refused writes nothing and hinders no other. The error is
// that of the transaction, which is everybody's.
func (c *Courier) writePublications(ctx context.Context, submissions []*submission) error {
	return c.DB.Update(ctx, func(tx *db.Tx) error {
		for _, s := range submissions {
			s.err = nil
			fresh, err := newPublications(ctx, tx, s)
			if err != nil {
				return err
			}
			if s.err != nil {
				continue
			}
			if err := c.writeSubmission(ctx, tx, s, fresh); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeSubmission hands what is new to the receivers and records it.
func (c *Courier) writeSubmission(ctx context.Context, tx *db.Tx, s *submission, fresh []publication) error {
	if len(fresh) > 0 {
		if err := insertPublications(ctx, tx, s.publisher.Name, fresh, c.Now().Add(publicationLife)); err != nil {
			return err
		}
		if err := c.publish(ctx, tx, s.publisher, s.record.Client, fresh); err != nil {
			return err
		}
	}
	record := s.record
	record.Detail["repeated"] = len(s.publications) - len(fresh)
	return audit.Append(ctx, tx, record)
}

// newPublications are those of a submission that were not published before. One
// that was, and said something else then, makes the whole submission refused.
func newPublications(ctx context.Context, tx *db.Tx, s *submission) (fresh []publication, err error) {
	before, err := publishedBefore(ctx, tx, s.publisher.Name, s.publications)
	if err != nil {
		return nil, err
	}
	for i, p := range s.publications {
		key := eventKey(s.publisher.Name, p.ID)
		digest, known := before[key]
		switch {
		case !known && p.nobody():
			s.err = inList(i, len(s.publications), errNobody)
			return nil, nil
		case !known:
			before[key] = p.digest // twice in one request is once
			fresh = append(fresh, p)
		case digest != p.digest:
			s.err = inList(i, len(s.publications), errOtherContent)
			return nil, nil
		}
	}
	return fresh, nil
}

func (c *Courier) isPublished(ctx context.Context, publisher string, p *publication) (known bool, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		before, err := publishedBefore(ctx, tx, publisher, []publication{*p})
		known = before[eventKey(publisher, p.ID)] == p.digest
		return err
	})
	return known, err
}
