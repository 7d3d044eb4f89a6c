package rs

import (
	"encoding/json"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// User is a person in whose name a relying party calls. It is a type of its
// own so that the call of a machine can never be taken for a person's.
type User struct {
	// Issuer and Subject name the person together. Subject is the relying
	// party's identifier, not this service's own: turn it with a Mapping.
	Issuer  string
	Subject string

	ClientID  string       // the client that calls
	Subsystem string       // the subsystem of that client: whose identifiers it speaks in
	Scopes    oauth.Scopes // what it may do here
	// Chain lists client ids from the one that calls to the one the person
	// uses. It has one entry unless the call came through other services.
	Chain     []string
	AuthTime  time.Time // when the person signed in, to the minute
	ACR       string
	AMR       []string
	SessionID string
	TokenID   string
	ExpiresAt time.Time

	// Details are the authorization_details of the token that are for this API, a
	// list in JSON (RFC 9396 §9); nil for none. DetailsOf reads them.
	Details json.RawMessage

	own string // this service's own subject of the person, where introspection told it
}

// Service is a subsystem that calls on its own behalf, with no person behind.
type Service struct {
	Issuer    string
	ClientID  string
	Subsystem string
	Scopes    oauth.Scopes
	TokenID   string
	ExpiresAt time.Time
}
