package mint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// EventToken is the credential of one event for one receiver.
type EventToken struct {
	Publisher  string // client id
	Receiver   *registry.Subsystem
	Subject    string // the person, in the receiver's sector
	ID         string // of EventID
	Type       string // URI
	BodySHA256 string // of the bytes that travel with it: base64url without padding
	HappenedAt int64  // unix seconds; zero leaves it out
}

// EventToken makes the credential of an event. Its audience is the name of a
// subsystem, which is no client's id, so that nobody who takes ID tokens of a
// sign-in takes this for one.
func (m *Mint) EventToken(t EventToken) (Issued, error) {
	now := m.Now()
	claims := oauth.EventTokenClaims{
		Issuer:          m.Issuer,
		Subject:         t.Subject,
		Audience:        oauth.Audience{t.Receiver.Name},
		AuthorizedParty: t.Publisher,
		ExpiresAt:       now.Add(EventTokenLife).Unix(),
		IssuedAt:        now.Unix(),
		ID:              t.ID,
		HappenedAt:      t.HappenedAt,
		Events:          map[string]oauth.EventBody{t.Type: {SHA256: t.BodySHA256}},
	}
	token, err := m.Keys.Sign(keyring.Event, appendEventClaims(make([]byte, 0, claimsSize), &claims))
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		Token: token, ID: t.ID,
		IssuedAt: time.Unix(claims.IssuedAt, 0), ExpiresAt: time.Unix(claims.ExpiresAt, 0),
	}, nil
}

// eventIDBytes is as much of the MAC as an id holds: enough that no two events
// ever share one.
const eventIDBytes = 16

// EventID is the jti of an event for one receiver. It follows from what the
// publisher calls the event, so that the event has one jti however often it is
// published or delivered and by whichever road; and it follows under a key, so
// that two receivers cannot match theirs. Publisher and receiver are names of
// subsystems.
func (m *Mint) EventID(publisher, receiver, eventID string) string {
	mac := hmac.New(sha256.New, m.eventIDs)
	var size [8]byte
	for _, field := range []string{publisher, receiver, eventID} {
		binary.BigEndian.PutUint64(size[:], uint64(len(field)))
		mac.Write(size[:])
		mac.Write([]byte(field))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:eventIDBytes])
}

// SignSET signs the claims of a security event token, which were fixed when the
// event was fanned out, for the client whose stream it goes to: RS256, unless
// the client has its ID tokens in ES256 (CAEP Interoperability Profile 1.0 §2.6).
func (m *Mint) SignSET(client *registry.Client, claims []byte) (string, error) {
	return m.Keys.Sign(chosen(client, keyring.SET, keyring.SETRS256), claims)
}

// LogoutToken tells a client that a session of one of its people has ended.
type LogoutToken struct {
	Client    *registry.Client
	Subject   string // the person, in the client's sector
	SessionID string // the session, in the client's sector
	Former    string // the person before the sector was re-keyed; may be empty
	ID        string // jti: the same however often it is sent
}

// logoutEvents is the events claim of every logout token.
var logoutEvents = map[string]json.RawMessage{oauth.EventBackChannelLogout: json.RawMessage("{}")}

// LogoutToken makes a logout token with the algorithm that the client chose for
// its ID tokens (OIDC Back-Channel Logout §2.4).
func (m *Mint) LogoutToken(t LogoutToken) (Issued, error) {
	now := m.Now()
	claims := oauth.LogoutTokenClaims{
		Issuer:    m.Issuer,
		Subject:   t.Subject,
		Audience:  oauth.Audience{t.Client.ID},
		IssuedAt:  now.Unix(),
		ExpiresAt: now.Add(LogoutTokenLife).Unix(),
		ID:        t.ID,
		SessionID: t.SessionID,
		Former:    t.Former,
		Events:    logoutEvents,
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return Issued{}, err
	}
	token, err := m.Keys.Sign(chosen(t.Client, keyring.Logout, keyring.LogoutRS256), payload)
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		Token: token, ID: t.ID,
		IssuedAt: time.Unix(claims.IssuedAt, 0), ExpiresAt: time.Unix(claims.ExpiresAt, 0),
	}, nil
}

// appendEventClaims is appendClaims for the credential of an event, of which
// one is made for each event and receiver. There is one event in it.
func appendEventClaims(b []byte, c *oauth.EventTokenClaims) []byte {
	b = append(b, `{"iss":`...)
	b = appendjson.String(b, c.Issuer)
	b = append(b, `,"sub":`...)
	b = appendjson.String(b, c.Subject)
	b = append(b, `,"aud":`...)
	b = appendjson.String(b, c.Audience[0])
	b = append(b, `,"azp":`...)
	b = appendjson.String(b, c.AuthorizedParty)
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.ExpiresAt, 10)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt, 10)
	b = append(b, `,"jti":`...)
	b = appendjson.String(b, c.ID)
	if c.HappenedAt != 0 {
		b = append(b, `,"toe":`...)
		b = strconv.AppendInt(b, c.HappenedAt, 10)
	}
	b = append(b, `,"events":{`...)
	for uri, body := range c.Events {
		b = appendjson.String(b, uri)
		b = append(b, `:{"body_sha256":`...)
		b = appendjson.String(b, body.SHA256)
		b = append(b, '}')
	}
	return append(b, "}}"...)
}
