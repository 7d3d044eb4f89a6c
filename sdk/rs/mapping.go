package rs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/sdk/rp"
)

// ErrUnknownUser means that the authorization server knows nobody by an
// identifier, or that this service has no such user.
var ErrUnknownUser = errors.New("rs: unknown user")

// Mapping turns the identifiers of relying parties into this service's own
// internal user ids and back. Inside, a service uses its internal ids alone;
// outside, callers see the identifiers issued to them alone. On the way lies
// the service's own pairwise subject, which the Store keeps beside the
// internal id; the authorization server turns one subject into another.
//
// Make it as a literal and share it: it is safe for parallel use. Conversions
// asked for while one is under way travel together in the next, and answers
// are remembered for a while. A user who is deleted at the authorization
// server may therefore be known here until CacheTTL is over.
type Mapping struct {
	Client *rp.Client // this service's own client
	Store  Store

	CacheSize int              // conversions remembered; zero: 100,000
	CacheTTL  time.Duration    // for how long; zero: 5 minutes
	Now       func() time.Time // nil: time.Now

	once      sync.Once
	converter *converter
	rekeyed   atomic.Int64 // until then (unix ns) it is believed that the sector was not re-keyed
	tags      tagIndex
}

// Store keeps which internal user id belongs to which subject of this
// service's own. SQLStore is one. Answers leave out what is not known.
type Store interface {
	// Internal finds internal ids by subject.
	Internal(ctx context.Context, subjects []string) (map[string]string, error)
	// Subjects finds subjects by internal id.
	Subjects(ctx context.Context, internalIDs []string) (map[string]string, error)
	// Add answers the internal id of a subject seen for the first time, made
	// now. Of several that add the same subject at once, one makes the user
	// and all get the same id.
	Add(ctx context.Context, subject string) (internalID string, err error)
}

// Internal is the internal id of the person who calls, made by the Store at
// first sight.
func (m *Mapping) Internal(ctx context.Context, user *User) (string, error) {
	own := user.own
	if own == "" {
		converted, err := m.convert(ctx, inward(user.Subsystem), []string{user.Subject})
		if err != nil {
			return "", err
		}
		own = converted[0]
	}
	if own == "" {
		return "", ErrUnknownUser
	}
	internal, err := m.internalIDs(ctx, []string{own})
	if err != nil {
		return "", err
	}
	return internal[0], nil
}

// Known is the internal id of a person by this service's own subject, as events
// name people. It makes no user: ErrUnknownUser means that there is none here.
// In makes one, with this service's own subsystem for the caller.
func (m *Mapping) Known(ctx context.Context, subject string) (string, error) {
	known, err := m.Store.Internal(ctx, present([]string{subject}))
	if err != nil {
		return "", fmt.Errorf("rs: mapping: %w", err)
	}
	if id := known[subject]; id != "" || subject == "" {
		return id, unknownIf(id == "")
	}
	renewed, err := m.renewed(ctx, []string{subject})
	if err != nil {
		return "", err
	}
	return renewed[subject], unknownIf(renewed[subject] == "")
}

func unknownIf(unknown bool) error {
	if unknown {
		return ErrUnknownUser
	}
	return nil
}

// Forget drops the remembered conversion between a person's subject at another
// subsystem and this service's own, so that the server is asked again: the
// account may be gone. The pairs in the Store stay; they are the service's own.
func (m *Mapping) Forget(subsystem, subject, own string) {
	m.once.Do(m.prepare)
	m.converter.known.Delete(conversion{inward(subsystem), subject})
	m.converter.known.Delete(conversion{outward(subsystem), own})
}

// Subject is the identifier under which subsystem knows the user with an
// internal id. ErrUnknownUser means that there is none: such a user must not
// be named to that subsystem.
func (m *Mapping) Subject(ctx context.Context, subsystem, internalID string) (string, error) {
	subjects, err := m.outward(ctx, subsystem, []string{internalID})
	if err != nil {
		return "", err
	}
	if subjects[0] == "" {
		return "", ErrUnknownUser
	}
	return subjects[0], nil
}

// In turns the identifiers in v, which came from subsystem, into internal ids.
// For the answer of a service that was called, subsystem is this service
// itself: answers name people in the caller's identifiers. Those are taken as
// they are, so pass so only what a service of the group has answered.
//
// v is a pointer; what is turned are the fields tagged `ppid:"user"` in all it
// holds: strings, pointers to them, and lists and maps of them. A *[]string is
// turned as a whole. Users not seen before are made by the Store. Empty strings
// stay empty. An identifier that names nobody is an error with the path of its
// field, and v is left as it was.
func (m *Mapping) In(ctx context.Context, subsystem string, v any) error {
	return m.turn(ctx, v, direction{
		convert: func(ctx context.Context, subjects []string) ([]string, error) {
			return m.convert(ctx, inward(subsystem), subjects)
		},
		strict: true,
		// Only now: a value that is refused makes no users.
		after: m.internalIDs,
	})
}

// Out turns the internal ids in v into the identifiers that subsystem knows
// the users by; it is In the other way round. A user whom subsystem does not
// know becomes an empty string, and an entry of a map keyed by that user is
// taken out; where the tag says `ppid:"user,required"` it is an error with
// the path of the field. After an error v is as it was and must not be sent.
func (m *Mapping) Out(ctx context.Context, subsystem string, v any) error {
	return m.turn(ctx, v, direction{
		convert: func(ctx context.Context, ids []string) ([]string, error) {
			return m.outward(ctx, subsystem, ids)
		},
	})
}

// outward: internal ids to identifiers of subsystem.
func (m *Mapping) outward(ctx context.Context, subsystem string, ids []string) ([]string, error) {
	known, err := m.Store.Subjects(ctx, present(ids))
	if err != nil {
		return nil, fmt.Errorf("rs: mapping: %w", err)
	}
	own := make([]string, len(ids))
	for i, id := range ids {
		own[i] = known[id]
	}
	return m.convert(ctx, outward(subsystem), own)
}

// internalIDs finds or makes the internal ids of own subjects; an empty
// subject has none.
func (m *Mapping) internalIDs(ctx context.Context, own []string) ([]string, error) {
	known, err := m.Store.Internal(ctx, present(own))
	if err != nil {
		return nil, fmt.Errorf("rs: mapping: %w", err)
	}
	var unknown []string
	for _, subject := range present(own) {
		if known[subject] == "" {
			unknown = append(unknown, subject)
		}
	}
	renewed, err := m.renewed(ctx, unknown)
	if err != nil {
		return nil, err
	}
	maps.Copy(known, renewed)
	ids := make([]string, len(own))
	for i, subject := range own {
		id, found := known[subject]
		if !found && subject != "" {
			if id, err = m.Store.Add(ctx, subject); err != nil {
				return nil, fmt.Errorf("rs: mapping: %w", err)
			}
			known[subject] = id
		}
		ids[i] = id
	}
	return ids, nil
}

// present lists each string once, without the empty one.
func present(all []string) []string {
	seen := make(map[string]bool, len(all))
	var some []string
	for _, s := range all {
		if s != "" && !seen[s] {
			seen[s] = true
			some = append(some, s)
		}
	}
	return some
}
