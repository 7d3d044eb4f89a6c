package courier

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

// message is what a delivery says, whatever form it travels in. It is sealed in
// the outbox. All of it is fixed when the event is fanned out.
type message struct {
	Subject    string // the person, in the receiver's sector
	Session    string // the session it is about, in the receiver's sector
	Stream     string // the stream it is about, of events on the stream itself
	Publisher  string // the client that published it; empty: the platform
	IssuedAt   int64
	HappenedAt int64           // zero: not told
	Payload    json.RawMessage // of the event, or the body of the ID token form
}

// messageForm begins every sealed message, so that another form can follow.
const messageForm = 1

// plain writes a message as it is sealed: the texts with their lengths, the
// numbers, and the payload to the end. As JSON it cost as much to read as to seal
// and to open.
func (m *message) plain() []byte {
	b := make([]byte, 1, 64+len(m.Subject)+len(m.Session)+len(m.Stream)+len(m.Publisher)+len(m.Payload))
	b[0] = messageForm
	for _, text := range []string{m.Subject, m.Session, m.Stream, m.Publisher} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendVarint(b, m.IssuedAt)
	b = binary.AppendVarint(b, m.HappenedAt)
	return append(b, m.Payload...)
}

// errMessage counts as one that cannot be opened: it never will be.
var errMessage = fmt.Errorf("courier: it does not have the form that messages have: %w", secret.ErrSealed)

// readMessage is the way back from plain.
func readMessage(b []byte) (*message, error) {
	if len(b) == 0 || b[0] != messageForm {
		return nil, errMessage
	}
	b = b[1:]
	m := new(message)
	for _, text := range []*string{&m.Subject, &m.Session, &m.Stream, &m.Publisher} {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return nil, errMessage
		}
		end := n + int(length)
		*text, b = string(b[n:end]), b[end:]
	}
	for _, number := range []*int64{&m.IssuedAt, &m.HappenedAt} {
		value, n := binary.Varint(b)
		if n <= 0 {
			return nil, errMessage
		}
		*number, b = value, b[n:]
	}
	m.Payload = b
	return m, nil
}

// deliver makes the delivery of a message.
func (c *Courier) deliver(stream, id, eventType string, key [8]byte, m *message) outbox.Delivery {
	return outbox.Delivery{
		Stream: stream, ID: id, Type: eventType, Key: key, Sealed: c.box.Seal(m.plain(), sealContext(stream, id)),
	}
}

// open reads the message of a delivery.
func (c *Courier) open(d *outbox.Delivery) (*message, error) {
	plain, err := c.box.Open(d.Sealed, sealContext(d.Stream, d.ID))
	if err != nil {
		return nil, fmt.Errorf("courier: delivery %d: %w", d.Seq, err)
	}
	return readMessage(plain)
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
