package courier

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// message is what a delivery says, whatever form it travels in. It is sealed in
// the outbox. All of it is fixed when the event is fanned out.
type message struct {
	Subject    string          `json:"sub,omitempty"`    // the person, in the receiver's sector
	Session    string          `json:"sid,omitempty"`    // the session it is about, in the receiver's sector
	Stream     string          `json:"stream,omitempty"` // the stream it is about, of events on the stream itself
	Publisher  string          `json:"azp,omitempty"`    // the client that published it; empty: the platform
	IssuedAt   int64           `json:"iat"`
	HappenedAt int64           `json:"toe,omitempty"`
	Payload    json.RawMessage `json:"payload"` // of the event, or the body of the ID token form
}

// deliver makes the delivery of a message.
func (c *Courier) deliver(stream, id, eventType string, key [8]byte, m *message) (outbox.Delivery, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return outbox.Delivery{}, err
	}
	return outbox.Delivery{
		Stream: stream, ID: id, Type: eventType, Key: key, Sealed: c.box.Seal(plain, sealContext(stream, id)),
	}, nil
}

// open reads the message of a delivery.
func (c *Courier) open(d *outbox.Delivery) (*message, error) {
	plain, err := c.box.Open(d.Sealed, sealContext(d.Stream, d.ID))
	if err != nil {
		return nil, fmt.Errorf("courier: delivery %d: %w", d.Seq, err)
	}
	m := new(message)
	return m, json.Unmarshal(plain, m)
}

func sealContext(stream, id string) []byte {
	return slices.Concat([]byte(stream), []byte{0}, []byte(id))
}

// personKey names a person within a stream. Like leftOut it tells neither who is
// meant nor that two streams mean the same person.
func personKey(stream string, who account.Handle) [8]byte {
	sum := sha256.Sum256(slices.Concat([]byte("key\x00"), []byte(stream), []byte{0}, who[:]))
	return [8]byte(sum[:8])
}

// ownKey is the key of a delivery that waits for no other.
func ownKey(id string) [8]byte {
	sum := sha256.Sum256([]byte(id))
	return [8]byte(sum[:8])
}

// makeSET makes the security event token of a delivery, signed now, of what was
// fixed when the event was fanned out.
func (c *Courier) makeSET(client *registry.Client, d *outbox.Delivery, m *message) (string, error) {
	claims, err := json.Marshal(oauth.SETClaims{
		Issuer:     c.Mint.Issuer,
		Audience:   oauth.Audience{client.Subsystem.Name},
		IssuedAt:   m.IssuedAt,
		ID:         d.ID,
		HappenedAt: m.HappenedAt,
		SubjectID:  m.subjectID(c.Mint.Issuer),
		Events:     map[string]json.RawMessage{d.Type: m.Payload},
	})
	if err != nil {
		return "", err
	}
	return c.Mint.SignSET(client, claims)
}

// subjectID says what a message is about (RFC 9493; CAEP Interoperability Profile
// 1.0 §2.5).
func (m *message) subjectID(issuer string) *oauth.SubjectID {
	if m.Stream != "" {
		return &oauth.SubjectID{Format: oauth.FormatOpaque, ID: m.Stream} // SSF 1.0 §8.1.4.1
	}
	user := &oauth.SubjectID{Format: oauth.FormatIssuerSubject, Issuer: issuer, Subject: m.Subject}
	if m.Session == "" {
		return user
	}
	return &oauth.SubjectID{
		Format: oauth.FormatComplex, User: user,
		Session: &oauth.SubjectID{Format: oauth.FormatOpaque, ID: m.Session},
	}
}
