package event

import (
	"context"
	"encoding/json"

	"github.com/sekisho-id/sekisho/oauth"
)

// setClaims are a Security Event Token's claims with those it never has.
type setClaims struct {
	oauth.SETClaims
	Subject   json.RawMessage `json:"sub"`
	ExpiresAt json.RawMessage `json:"exp"`
	Nonce     json.RawMessage `json:"nonce"`
}

// verifySET judges a Security Event Token (RFC 8417 §2, SSF 1.0 §4.1).
func (r *Receiver) verifySET(ctx context.Context, compact string) (*Event, error) {
	var claims setClaims
	if err := r.verifyToken(ctx, compact, setKind, &claims); err != nil {
		return nil, err
	}
	if err := r.checkEnvelope(envelope{claims.Issuer, claims.Audience, claims.ID, claims.IssuedAt}); err != nil {
		return nil, err
	}
	eventType, payload, single := one(claims.Events)
	switch {
	case len(claims.Subject) > 0 || len(claims.ExpiresAt) > 0 || len(claims.Nonce) > 0:
		// SSF 1.0 §4.1.2, §4.1.5: so none is ever taken for an ID token.
		return nil, refuse(InvalidRequest, "A Security Event Token has no sub, exp or nonce.")
	case !single:
		return nil, refuse(InvalidRequest, "The Security Event Token does not hold exactly one event.")
	case !isObject(payload):
		return nil, refuse(InvalidRequest, "The event is no JSON object.")
	}
	e := &Event{
		Issuer:     claims.Issuer,
		ID:         claims.ID,
		Type:       eventType,
		Publisher:  r.ownerOf(eventType),
		HappenedAt: happenedAt(claims.HappenedAt, claims.IssuedAt),
		Data:       payload,
	}
	if ofPlatform(eventType) {
		e.Publisher = Platform
	}
	if err := r.checkType(eventType, ""); err != nil {
		return nil, err
	}
	if !r.readSubject(e, claims.SubjectID) {
		return nil, refuse(InvalidRequest, "The subject of the event is not in a form that is understood here.")
	}
	return e, nil
}

// readSubject reads whom or what an event is about (RFC 9493 §3.2, SSF 1.0 §3):
// a person of this issuer's, a person with a session, or for events about
// streams the stream.
func (r *Receiver) readSubject(e *Event, id *oauth.SubjectID) bool {
	if id == nil {
		return false
	}
	if oauth.AboutStream(e.Type) {
		e.Stream = id.ID
		return id.Format == oauth.FormatOpaque && id.ID != ""
	}
	person := id
	if id.Format == oauth.FormatComplex {
		person = id.User
		if session := id.Session; session != nil {
			if session.Format != oauth.FormatOpaque || session.ID == "" {
				return false
			}
			e.Session = session.ID
		}
	}
	if person == nil || person.Format != oauth.FormatIssuerSubject || person.Issuer != r.config.Issuer || person.Subject == "" {
		return false
	}
	e.Subject = person.Subject
	return true
}
