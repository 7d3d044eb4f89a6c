package oauth

import "encoding/json"

// Types of the JWTs that carry events. None of them can stand in for a token of
// another kind.
const (
	TypEvent  = "event+jwt"    // the ID token that proves one event, docs/events.md
	TypSET    = "secevent+jwt" // RFC 8417 §2.3
	TypLogout = "logout+jwt"   // OIDC Back-Channel Logout §2.4

	TypIntrospection         = "token-introspection+jwt" // RFC 9701 §5
	TypAuthorizationResponse = "oauth-authz-resp+jwt"    // ours: JARM names none, and it must be taken for nothing else
)

// Scopes of the authorization server's own API for events.
const (
	// ScopePublish lets a declared publisher hand events to the hub.
	ScopePublish = "events:publish"
	// ScopeStreamRead and ScopeStreamManage let a declared receiver look at its
	// streams and manage them (CAEP Interoperability Profile 1.0 §2.7.3).
	ScopeStreamRead   = "ssf.read"
	ScopeStreamManage = "ssf.manage"
)

// TokenTypeSubject is the type of a subject_token that is the asker's own
// pairwise subject of a person. Only the credential of an event is given for it.
const TokenTypeSubject TokenType = "urn:sekisho:params:oauth:token-type:subject"

// DetailEvent is the type of the authorization_details that ask for the
// credentials of events (RFC 9396 §2).
const DetailEvent = "event"

// Ways in which the events of a stream travel (SSF 1.0 §6.1).
const (
	DeliveryPush    = "urn:ietf:rfc:8935"                   // SETs, pushed
	DeliveryPoll    = "urn:ietf:rfc:8936"                   // SETs, fetched
	DeliveryIDToken = "urn:sekisho:event:delivery:id-token" // a body and the ID token that proves it, pushed
)

// Event types of the platform itself, and of streams (CAEP 1.0 §3, RISC 1.0 §2,
// SSF 1.0 §8.1.4).
const (
	EventSessionRevoked    = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	EventTokenClaimsChange = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"
	EventCredentialChange  = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
	EventAccountDisabled   = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
	EventAccountEnabled    = "https://schemas.openid.net/secevent/risc/event-type/account-enabled"
	EventAccountPurged     = "https://schemas.openid.net/secevent/risc/event-type/account-purged"

	EventVerification  = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	EventStreamUpdated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"

	// EventSubjectsRekeyed tells the subsystems of a sector that it was re-keyed:
	// people have other pairwise subjects there.
	EventSubjectsRekeyed = "urn:sekisho:event-type:subjects-rekeyed"

	// EventBackChannelLogout is the one member of events in a logout token
	// (OIDC Back-Channel Logout §2.4).
	EventBackChannelLogout = "http://schemas.openid.net/event/backchannel-logout"
)

// AboutStream reports whether events of a type are about the stream that brings
// them, and about no person.
func AboutStream(eventType string) bool {
	return eventType == EventVerification || eventType == EventStreamUpdated || eventType == EventSubjectsRekeyed
}

// EventTokenClaims are the claims of the ID token that proves one event: who
// published it (azp), for which subsystem (aud), about whom in that subsystem's
// terms (sub), and of which body. Times are unix seconds.
type EventTokenClaims struct {
	Issuer          string               `json:"iss"`
	Subject         string               `json:"sub"`
	Audience        Audience             `json:"aud"` // the receiving subsystem, never a client id
	AuthorizedParty string               `json:"azp"` // the client that publishes
	ExpiresAt       int64                `json:"exp"`
	IssuedAt        int64                `json:"iat"`
	ID              string               `json:"jti"`           // the same for every delivery of one event
	HappenedAt      int64                `json:"toe,omitempty"` // RFC 8417 §2.2
	Events          map[string]EventBody `json:"events"`        // one member: the event type
}

// EventBody binds an event to the bytes that travel with it.
type EventBody struct {
	SHA256 string `json:"body_sha256"` // base64url without padding
}

// EventDetail asks for the credential of one event for one receiver, as an
// element of authorization_details, and is its answer (RFC 9396 §2, §7.1).
type EventDetail struct {
	Type       string `json:"type"`                  // DetailEvent
	Receiver   string `json:"receiver"`              // name of the subsystem
	EventType  string `json:"event_type"`            // URI
	EventID    string `json:"event_id"`              // the publisher's own name of the event
	BodySHA256 string `json:"body_sha256"`           // base64url without padding
	HappenedAt int64  `json:"happened_at,omitempty"` // unix seconds

	// IDToken is the answer; empty where the receiver must not hear of the person.
	IDToken string `json:"id_token,omitempty"`
}

// SETClaims are the claims of a Security Event Token (RFC 8417 §2.2): no sub
// and no exp, so that none is taken for an ID token.
type SETClaims struct {
	Issuer     string                     `json:"iss"`
	Audience   Audience                   `json:"aud"` // the receiving subsystem
	IssuedAt   int64                      `json:"iat"`
	ID         string                     `json:"jti"`
	HappenedAt int64                      `json:"toe,omitempty"`
	SubjectID  *SubjectID                 `json:"sub_id"`
	Events     map[string]json.RawMessage `json:"events"` // one member: event type to its payload
}

// Formats of subject identifiers (RFC 9493 §3.2, SSF 1.0 §3).
const (
	FormatIssuerSubject = "iss_sub"
	FormatOpaque        = "opaque"
	FormatComplex       = "complex"
)

// SubjectID names what an event is about (RFC 9493). Which members count
// depends on the format.
type SubjectID struct {
	Format  string     `json:"format"`
	Issuer  string     `json:"iss,omitempty"`
	Subject string     `json:"sub,omitempty"` // the receiver's pairwise subject
	ID      string     `json:"id,omitempty"`
	User    *SubjectID `json:"user,omitempty"`
	Session *SubjectID `json:"session,omitempty"`
}

// LogoutTokenClaims are the claims of a logout token (OIDC Back-Channel Logout
// §2.4). It never has a nonce.
type LogoutTokenClaims struct {
	Issuer    string                     `json:"iss"`
	Subject   string                     `json:"sub"`
	Audience  Audience                   `json:"aud"` // a client id
	IssuedAt  int64                      `json:"iat"`
	ExpiresAt int64                      `json:"exp"`
	ID        string                     `json:"jti"`
	SessionID string                     `json:"sid,omitempty"`
	Former    string                     `json:"former_sub,omitempty"` // sub before the sector was re-keyed
	Events    map[string]json.RawMessage `json:"events"`
}
