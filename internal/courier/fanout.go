package courier

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// takeAtOnce is how many happenings are turned into messages in one transaction.
const takeAtOnce = 100

// news is something that receivers are to be told of.
type news struct {
	event     *registry.Event
	name      string // what its publisher calls it; empty for the platform's
	publisher string // name of the subsystem; empty for the platform
	client    string // of the publisher; empty for the platform
	who       account.Ref
	session   *[16]byte
	knownTo   []string  // the clients that held something of the person then; nil: ask now
	at        time.Time // when it happened; zero: not told

	data    json.RawMessage        // what a publisher said: a JSON object
	people  map[string]account.Ref // further people in it, by what they are
	payload map[string]any         // what the platform says
}

// telling is one message to be made: news for a stream.
type telling struct {
	*news
	to     registry.EventReceiver
	stream *Stream
}

// publish hands events of a publisher, which one of its clients handed in, to their
// receivers, in the transaction that accepts them.
func (c *Courier) publish(ctx context.Context, tx *db.Tx, publisher *registry.Subsystem, client string, publications []publication) error {
	list := make([]news, len(publications))
	for i, p := range publications {
		list[i] = news{
			event: p.Event, name: p.ID, publisher: publisher.Name, client: client, who: p.Subject, at: p.HappenedAt,
			data: p.Data, people: p.People,
		}
	}
	return c.fanOut(ctx, tx, c.Registry.Current(), list)
}

// tellHappenings turns happenings of the platform into messages, and says how
// many it took. Taking and adding are one transaction.
func (c *Courier) tellHappenings(ctx context.Context) (taken int, err error) {
	err = c.DB.Update(ctx, func(tx *db.Tx) error {
		happenings, err := outbox.TakeHappenings(ctx, tx, takeAtOnce)
		if taken = len(happenings); err != nil || taken == 0 {
			return err
		}
		group := c.Registry.Current()
		var list []news
		for i := range happenings {
			h := &happenings[i]
			if event, ok := group.Event(h.Type); ok && event.Publisher == nil {
				list = append(list, news{
					event: event, who: account.Ref{Handle: h.Handle, Gen: h.Gen}, session: h.Session,
					knownTo: h.KnownTo, at: h.At, payload: h.Payload,
				})
			}
		}
		if err := c.fanOut(ctx, tx, group, list); err != nil {
			return err
		}
		if err := c.addRekeyings(ctx, tx, group, happenings); err != nil {
			return err
		}
		return c.addLogouts(ctx, tx, group, happenings)
	})
	return taken, err
}

// fanOut makes the messages for all who may hear of the news.
func (c *Courier) fanOut(ctx context.Context, tx *db.Tx, group *registry.Snapshot, list []news) error {
	tellings, known := c.tellings(group, list)
	if len(tellings) == 0 {
		return nil
	}
	if err := known.load(ctx, tx, c.Grants); err != nil {
		return err
	}
	without := make([]leftOut, len(tellings))
	for i, t := range tellings {
		without[i] = leaveOut(t.stream.ID, t.who.Handle)
	}
	removed, err := leftOutAmong(ctx, tx, without)
	if err != nil {
		return err
	}
	deliveries := make([]outbox.Delivery, 0, len(tellings))
	for i, t := range tellings {
		if removed[without[i]] || t.to.RequireGrant && !known.knows(t.to.Subsystem, t.news, t.who) {
			continue
		}
		d, ok, err := c.compose(ctx, tx, group, known, t)
		if err != nil {
			return err
		}
		if ok {
			deliveries = append(deliveries, d)
		}
	}
	return outbox.Add(ctx, tx, c.Now(), deliveries)
}

// tellings finds the streams that want the news and may have them, and notes who
// has to be asked about whom.
func (c *Courier) tellings(group *registry.Snapshot, list []news) ([]telling, acquaintances) {
	table, known := c.table.Load(), acquaintances{}
	var tellings []telling
	for i := range list {
		n := &list[i]
		for _, to := range n.event.Receivers {
			for _, stream := range table.byReceiver[to.Name] {
				if stream.Status == StreamDisabled || !stream.wants(n.event.URI) || !current(group, stream) {
					continue
				}
				tellings = append(tellings, telling{n, to, stream})
				known.noteAll(group, n, to)
			}
		}
	}
	return tellings, known
}

// current reports whether the client of a stream still is one that may have it.
func current(group *registry.Snapshot, s *Stream) bool {
	client, ok := group.Client(s.Client)
	return ok && client.Subsystem.Name == s.Receiver && group.MayReceive(client)
}

// compose makes the message of a telling; ok is false where nothing is left to be
// told.
func (c *Courier) compose(ctx context.Context, tx *db.Tx, group *registry.Snapshot, known acquaintances, t telling) (d outbox.Delivery, ok bool, err error) {
	sector := t.to.Sector
	m := &message{
		Subject: c.Pairwise.Subject(sector, t.who), Publisher: t.client, IssuedAt: c.Now().Unix(),
	}
	if !t.at.IsZero() {
		m.HappenedAt = t.at.Unix()
	}
	if t.session != nil {
		m.Session = c.Pairwise.SessionID(sector, *t.session)
	}
	id := secret.ID()
	if t.event.Publisher == nil {
		m.Payload, ok, err = c.platformPayload(ctx, tx, group, known, t)
	} else {
		id = c.Mint.EventID(t.publisher, t.to.Name, t.name)
		m.Payload, ok, err = c.publishedPayload(known, t), true, nil
	}
	if err != nil || !ok {
		return d, false, err
	}
	return c.deliver(t.stream.ID, id, t.event.URI, personKey(t.stream.ID, t.who.Handle), m), true, nil
}

// publishedPayload is what a publisher said, with the people it names as the
// receiver knows them. Those it must not know of are left out.
func (c *Courier) publishedPayload(known acquaintances, t telling) json.RawMessage {
	if len(t.people) == 0 {
		return t.data
	}
	subjects := map[string]string{}
	for name, who := range t.people {
		if !t.to.RequireGrant || known.knows(t.to.Subsystem, t.news, who) {
			subjects[name] = c.Pairwise.Subject(t.to.Sector, who)
		}
	}
	return withMember(t.data, "people", subjects)
}

// addStreamEvent adds an event on a stream itself, verification (SSF 1.0 §8.1.4).
// It waits for no other.
func (c *Courier) addStreamEvent(ctx context.Context, tx *db.Tx, s *Stream, eventType string, payload any) error {
	text, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	id := secret.ID()
	d := c.deliver(s.ID, id, eventType, ownKey(id), &message{Stream: s.ID, IssuedAt: c.Now().Unix(), Payload: text})
	return outbox.Add(ctx, tx, c.Now(), []outbox.Delivery{d})
}

// wants reports whether a stream asks for a type of event.
func (s *Stream) wants(uri string) bool {
	return s.Requested == nil || slices.Contains(s.Requested, uri)
}
