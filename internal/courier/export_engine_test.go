package courier

import (
	"context"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// Publication is an event of a publisher.
type Publication = publication

// CreateStream writes a stream as its endpoint does.
func CreateStream(ctx context.Context, tx *db.Tx, s *Stream) error { return createStream(ctx, tx, s) }

// LoadStream gives one stream.
func LoadStream(ctx context.Context, tx *db.Tx, id string) (*Stream, error) {
	return loadStream(ctx, tx, id)
}

// WriteStatus changes the status of a stream.
func WriteStatus(ctx context.Context, tx *db.Tx, id string, status StreamStatus, now time.Time) error {
	_, err := writeStatus(ctx, tx, id, status, "", now)
	return err
}

// RemovePerson takes a person off a stream.
func RemovePerson(ctx context.Context, tx *db.Tx, stream string, who account.Handle) error {
	return removePerson(ctx, tx, stream, who)
}

// Hand hands events of a publisher to their receivers.
func (c *Courier) Hand(ctx context.Context, tx *db.Tx, publisher *registry.Subsystem, list []Publication) error {
	return c.publish(ctx, tx, publisher, publisher.Name+".backend", list)
}

// AddStreamEvent adds an event on a stream itself.
func (c *Courier) AddStreamEvent(ctx context.Context, tx *db.Tx, s *Stream, eventType string, payload any) error {
	return c.addStreamEvent(ctx, tx, s, eventType, payload)
}

// SealCredential seals an Authorization header.
func (c *Courier) SealCredential(stream, header string) []byte {
	return c.sealCredential(stream, header)
}

// PolicyOf says where messages for a subsystem may go.
func (c *Courier) PolicyOf(receiver string) outgoing.Policy { return c.policy(receiver) }

// Held counts the buckets that this process sends for.
func (c *Courier) Held() (n int) {
	for i := range buckets {
		if c.dispatch.holds(i, c.Now()) {
			n++
		}
	}
	return n
}

// BucketOf says in which bucket a stream is.
func BucketOf(stream string) int { return bucketOf(stream) }

// Wait is how long a schedule waits.
func Wait(slowly bool, failures int) time.Duration {
	if slowly {
		return slow.wait(failures)
	}
	return fast.wait(failures)
}

// RetryAfter reads a Retry-After.
var RetryAfter = retryAfter

// PlainAndBack writes a message and reads it again.
func PlainAndBack(subject, session, stream, publisher string, issued, happened int64, payload []byte) (same bool) {
	m := message{subject, session, stream, publisher, issued, happened, payload}
	back, err := readMessage(m.plain())
	return err == nil && string(back.Payload) == string(payload) && back.Subject == subject && back.Session == session &&
		back.Stream == stream && back.Publisher == publisher && back.IssuedAt == issued && back.HappenedAt == happened
}

// ReadMessage reads what was sealed, and says whether writing it again gives the same.
func ReadMessage(plain []byte) (again []byte, err error) {
	m, err := readMessage(plain)
	if err != nil {
		return nil, err
	}
	return m.plain(), nil
}
