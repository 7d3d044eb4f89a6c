package event

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

const (
	// skew is how far the clocks of issuer and receiver may be apart.
	skew = 10 * time.Second

	// maxAge is how long an event may be under way: as long as the issuer keeps
	// what is not acknowledged, and a week to send again what was given up. An
	// inbox remembers longer, so that none is handled twice.
	maxAge = 37 * 24 * time.Hour

	maxIDBytes = 255
)

// The typ keeps sign-in ID tokens, access tokens and logout tokens apart from
// the two kinds of tokens that events come in (RFC 8725 §3.11).
var (
	credentialKind = issuer.Kind{
		Types:      []string{oauth.TypEvent},
		Algorithms: []jose.SignatureAlgorithm{jose.ES256},
	}
	setKind = issuer.Kind{
		Types:      []string{oauth.TypSET},
		Algorithms: []jose.SignatureAlgorithm{jose.RS256, jose.ES256},
		MaxBytes:   maxBodyBytes,
	}
)

// verifyToken checks signature and kind of a token and reads its claims.
func (r *Receiver) verifyToken(ctx context.Context, compact string, kind issuer.Kind, claims any) error {
	err := r.keys.Verify(ctx, compact, kind, claims)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, issuer.ErrMalformed):
		return refuse(InvalidRequest, "The token is no well formed signed JWT.")
	case errors.Is(err, issuer.ErrKind):
		return refuse(InvalidRequest, "The token is of another kind, or signed in a way that is not accepted.")
	case errors.Is(err, issuer.ErrSignature):
		return refuse(AuthenticationFailed, "The signature of the token is not its issuer's.")
	case errors.Is(err, issuer.ErrUnknownKey) && !errors.Is(err, issuer.ErrNotAsked):
		return refuse(InvalidKey, "The token is signed with a key that the issuer does not publish.")
	}
	return unavailable("the issuer's keys", err)
}

// envelope is what the two kinds of tokens have in common.
type envelope struct {
	issuer   string
	audience oauth.Audience
	id       string
	issuedAt int64
}

// checkEnvelope judges whether a token is for this subsystem, and of now.
func (r *Receiver) checkEnvelope(e envelope) error {
	now := r.now()
	switch {
	case e.issuer != r.config.Issuer:
		return refuse(InvalidIssuer, "The token is of another issuer.")
	case len(e.audience) != 1 || e.audience[0] != r.config.Audience:
		return refuse(InvalidAudience, "The token is for another receiver.")
	case !isID(e.id):
		return refuse(InvalidRequest, "The token has no jti of 1 to 255 printable characters.")
	case time.Unix(e.issuedAt, 0).After(now.Add(skew)):
		return refuse(InvalidRequest, "The token was issued in the future; compare the clocks.")
	case now.After(time.Unix(e.issuedAt, 0).Add(maxAge)):
		return refuse(InvalidRequest, "The token is so old that it cannot be told whether it was handled.")
	}
	return nil
}

// isID reports whether a text can name an event in every database.
func isID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxIDBytes
}

// one is the only entry of a map.
func one[V any](events map[string]V) (eventType string, body V, ok bool) {
	for eventType, body = range events {
		return eventType, body, len(events) == 1 && eventType != ""
	}
	return "", body, false
}

// credentialClaims are an event credential's claims with those it never has.
type credentialClaims struct {
	oauth.EventTokenClaims
	NotBefore    int64           `json:"nbf"`
	Nonce        json.RawMessage `json:"nonce"`
	Confirmation json.RawMessage `json:"cnf"`
}

// verifyCredential judges the ID token that proves one event, and the body
// that came with it.
func (r *Receiver) verifyCredential(ctx context.Context, compact string, body []byte) (*Event, error) {
	var claims credentialClaims
	if err := r.verifyToken(ctx, compact, credentialKind, &claims); err != nil {
		return nil, err
	}
	if err := r.checkEnvelope(envelope{claims.Issuer, claims.Audience, claims.ID, claims.IssuedAt}); err != nil {
		return nil, err
	}
	now := r.now()
	eventType, bound, single := one(claims.Events)
	sum := sha256.Sum256(body)
	hash := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case !now.Before(time.Unix(claims.ExpiresAt, 0).Add(skew)):
		return nil, refuse(AuthenticationFailed, "The event credential has expired; get a new one.")
	case time.Unix(claims.NotBefore, 0).After(now.Add(skew)):
		return nil, refuse(AuthenticationFailed, "The event credential is not valid yet.")
	case len(claims.Nonce) > 0 || len(claims.Confirmation) > 0:
		return nil, refuse(AuthenticationFailed, "The token is bound to a sign-in or a key, which no event credential is.")
	case claims.Subject == "":
		return nil, refuse(InvalidRequest, "The event credential names nobody.")
	case !single:
		return nil, refuse(InvalidRequest, "The event credential is not for exactly one event.")
	case subtle.ConstantTimeCompare([]byte(bound.SHA256), []byte(hash)) != 1:
		return nil, refuse(AuthenticationFailed, "The body is not the one that the event credential is for.")
	case !isObject(body):
		return nil, refuse(InvalidRequest, "The body is no JSON object.")
	}
	publisher, err := r.publisherOf(eventType, claims.AuthorizedParty)
	if err != nil {
		return nil, err
	}
	e := &Event{
		Issuer:     claims.Issuer,
		ID:         claims.ID,
		Type:       eventType,
		Publisher:  publisher,
		Subject:    claims.Subject,
		HappenedAt: happenedAt(claims.HappenedAt, claims.IssuedAt),
		Data:       body,
	}
	if publisher == Platform {
		return e, readPlatform(e)
	}
	return e, nil
}

// readPlatform reads what a Security Event Token has in its sub_id: here sub is
// the stream where the event is about one, and the body names the session.
func readPlatform(e *Event) error {
	if oauth.AboutStream(e.Type) {
		e.Subject, e.Stream = "", e.Subject
		return nil
	}
	var about struct {
		Session string `json:"sid"`
	}
	if err := json.Unmarshal(e.Data, &about); err != nil {
		return refuse(InvalidRequest, "The event is not of the form of its type.")
	}
	e.Session = about.Session
	return nil
}

// publisherOf holds the party that published an event against the type of it:
// the client that delivers, the subsystem for which the hub does, or the
// platform. The issuer has done so too; where Config.Publishers says whose the types are,
// nothing hangs on that.
func (r *Receiver) publisherOf(eventType, party string) (string, error) {
	publisher := rp.SubsystemOf(party)
	switch {
	case publisher == "":
		return "", refuse(AccessDenied, "The event credential does not say who published the event.")
	case ofPlatform(eventType) != (publisher == Platform):
		return "", refuse(AccessDenied, "The type of the event is not one of its publisher's.")
	}
	return publisher, r.checkType(eventType, publisher)
}

// checkType holds a type against Config.Publishers. An empty publisher stands
// for any.
func (r *Receiver) checkType(eventType, publisher string) error {
	if r.config.Publishers == nil || ofPlatform(eventType) {
		return nil
	}
	owner := r.ownerOf(eventType)
	if owner == "" || publisher != "" && publisher != owner {
		return refuse(AccessDenied, "The type of the event is not one that this receiver takes from its publisher.")
	}
	return nil
}

// ownerOf is the subsystem that a type belongs to, as far as it is configured.
func (r *Receiver) ownerOf(eventType string) string {
	audience, _, _ := strings.Cut(eventType, "/events/")
	return r.config.Publishers[audience]
}

func happenedAt(told, issued int64) time.Time {
	if told == 0 {
		told = issued
	}
	return time.Unix(told, 0)
}

func isObject(data []byte) bool {
	return json.Valid(data) && bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
}
