package issuertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
)

// ItemSold is the type of an event of the subsystem market.
const ItemSold = "https://api.market.example/events/item.sold"

// DeliveryClaims are the claims of a good credential of an event that happened
// five seconds ago: market tells receiver about a person, with a body.
func (i *Issuer) DeliveryClaims(person, receiver string, body []byte) map[string]any {
	sum := sha256.Sum256(body)
	return i.EventClaims(person, "market.backend", oauth.EventDetail{
		Receiver: receiver, EventType: ItemSold, EventID: rand.Text(),
		BodySHA256: base64.RawURLEncoding.EncodeToString(sum[:]), HappenedAt: i.Clock.Now().Unix() - 5,
	})
}

// SETClaims are the claims of a good Security Event Token about a person.
func (i *Issuer) SETClaims(person, receiver, eventType string, payload map[string]any) map[string]any {
	now := i.Clock.Now()
	return map[string]any{
		"iss": i.URL, "aud": receiver, "iat": now.Unix(), "jti": rand.Text(), "toe": now.Unix() - 5,
		"sub_id": map[string]any{"format": oauth.FormatIssuerSubject, "iss": i.URL, "sub": Subject(person, receiver)},
		"events": map[string]any{eventType: payload},
	}
}

// SessionRevoked are the claims of a Security Event Token about the end of a
// session, which has its own name in each sector: "session-1.market".
func (i *Issuer) SessionRevoked(person, receiver, session string, callers ...string) map[string]any {
	payload := map[string]any{"event_timestamp": i.Clock.Now().Unix(), "callers": callersOf(person, session, callers)}
	return With(i.SETClaims(person, receiver, oauth.EventSessionRevoked, payload), map[string]any{
		"sub_id": map[string]any{
			"format":  oauth.FormatComplex,
			"user":    map[string]any{"format": oauth.FormatIssuerSubject, "iss": i.URL, "sub": Subject(person, receiver)},
			"session": map[string]any{"format": oauth.FormatOpaque, "id": Subject(session, receiver)},
		},
	})
}

// AccountEvent are the claims of a Security Event Token about an account.
func (i *Issuer) AccountEvent(person, receiver, eventType string, callers ...string) map[string]any {
	payload := map[string]any{"event_timestamp": i.Clock.Now().Unix(), "callers": callersOf(person, "", callers)}
	return i.SETClaims(person, receiver, eventType, payload)
}

func callersOf(person, session string, subsystems []string) []map[string]string {
	var callers []map[string]string
	for _, name := range subsystems {
		caller := map[string]string{"subsystem": name, "sub": Subject(person, name)}
		if session != "" {
			caller["sid"] = Subject(session, name)
		}
		callers = append(callers, caller)
	}
	return callers
}

// Verification are the claims of a verification event (SSF 1.0 §8.1.4.1).
func (i *Issuer) Verification(receiver, stream, state string) map[string]any {
	payload := map[string]any{}
	if state != "" {
		payload["state"] = state
	}
	return With(i.SETClaims("", receiver, oauth.EventVerification, payload), map[string]any{
		"sub_id": map[string]any{"format": oauth.FormatOpaque, "id": stream},
	})
}

// SET signs claims as the issuer signs Security Event Tokens.
func (i *Issuer) SET(claims map[string]any) string {
	return Sign(jose.ES256, i.Key, map[string]any{"kid": i.KeyID, "typ": oauth.TypSET}, claims)
}

// LogoutClaims are the claims of a good logout token for alice's session.
func (i *Issuer) LogoutClaims(client string) map[string]any {
	now := i.Clock.Now()
	return map[string]any{
		"iss": i.URL, "sub": Subject("alice", client), "aud": client, "sid": "session-1",
		"iat": now.Unix(), "exp": now.Unix() + 120, "jti": rand.Text(),
		"events": map[string]any{oauth.EventBackChannelLogout: map[string]any{}},
	}
}

// LogoutToken signs claims as the issuer signs logout tokens.
func (i *Issuer) LogoutToken(claims map[string]any) string {
	return Sign(jose.ES256, i.Key, map[string]any{"kid": i.KeyID, "typ": oauth.TypLogout}, claims)
}

// Rotate publishes a further key beside those there are, and signs with it.
func (i *Issuer) Rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys[:len(i.keys):len(i.keys)], PublicKey(key, kid))
	i.Key, i.KeyID = key, kid
}
