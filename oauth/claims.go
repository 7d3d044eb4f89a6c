package oauth

import (
	"encoding/json"
	"slices"
)

// Audience is an aud claim: one string or a list of them (RFC 7519 §4.1.3).
// One audience is written as a plain string.
type Audience []string

// Has reports whether the audience names aud.
func (a Audience) Has(aud string) bool { return slices.Contains(a, aud) }

// MarshalJSON writes one audience as a string, several as a list.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *Audience) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*a = Audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return err
	}
	*a = many
	return nil
}

// Actor is an act claim: who acts, and for whom that one acted before
// (RFC 8693 §4.1). Subject is a client id; the innermost actor is the client
// the person used.
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// Chain lists the client ids from the present actor to the first.
func (a *Actor) Chain() []string {
	var chain []string
	for ; a != nil; a = a.Actor {
		chain = append(chain, a.Subject)
	}
	return chain
}

// Confirmation is a cnf claim: the key that the sender of a token must hold
// (RFC 7800 §3.1). One of the two is set.
type Confirmation struct {
	JKT string `json:"jkt,omitempty"`      // of a DPoP key (RFC 9449 §6.1)
	X5T string `json:"x5t#S256,omitempty"` // of a client certificate (RFC 8705 §3.1)
}

// AccessTokenClaims are the claims of an access token (RFC 9068 §2.2). Times
// are unix seconds. In service context Subject equals ClientID; in user context
// it is the person's pairwise subject in the client's sector.
type AccessTokenClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  Audience `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`
	ClientID  string   `json:"client_id"`
	Scope     Scopes   `json:"scope,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	Actor     *Actor   `json:"act,omitempty"`

	Confirmation *Confirmation `json:"cnf,omitempty"` // of a sender-constrained token

	// AuthorizationDetails are what its bearer may do in detail: a list (RFC 9396 §9.1).
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
}

// ServiceContext reports whether the token speaks for the client itself and
// for no person.
func (c *AccessTokenClaims) ServiceContext() bool { return c.Subject == c.ClientID }

// IDTokenClaims are the claims of a sign-in ID token (OIDC Core §2).
type IDTokenClaims struct {
	Issuer          string   `json:"iss"`
	Subject         string   `json:"sub"`
	Audience        Audience `json:"aud"`
	ExpiresAt       int64    `json:"exp"`
	IssuedAt        int64    `json:"iat"`
	ID              string   `json:"jti,omitempty"`
	AuthTime        int64    `json:"auth_time,omitempty"`
	Nonce           string   `json:"nonce,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	SessionID       string   `json:"sid,omitempty"`
	AccessTokenHash string   `json:"at_hash,omitempty"`
	AuthorizedParty string   `json:"azp,omitempty"`
	Actor           *Actor   `json:"act,omitempty"`
	FormerSubject   string   `json:"former_sub,omitempty"` // sub before the sector was re-keyed
}

// Introspection is the answer of the introspection endpoint (RFC 7662 §2.2).
// ResourceSubject is the same person's pairwise subject in the sector of the
// resource server that asked.
type Introspection struct {
	Active          bool     `json:"active"`
	Issuer          string   `json:"iss,omitempty"`
	Subject         string   `json:"sub,omitempty"`
	ResourceSubject string   `json:"resource_sub,omitempty"`
	Audience        Audience `json:"aud,omitempty"`
	ExpiresAt       int64    `json:"exp,omitempty"`
	IssuedAt        int64    `json:"iat,omitempty"`
	ID              string   `json:"jti,omitempty"`
	ClientID        string   `json:"client_id,omitempty"`
	Scope           Scopes   `json:"scope,omitempty"`
	TokenType       string   `json:"token_type,omitempty"`
	AuthTime        int64    `json:"auth_time,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	SessionID       string   `json:"sid,omitempty"`
	Actor           *Actor   `json:"act,omitempty"`
	NotBefore       int64    `json:"nbf,omitempty"`

	// Confirmation is of a sender-constrained token (RFC 8705 §3.2, RFC 9449 §6.2).
	// Who cannot check the proof must refuse the token.
	Confirmation *Confirmation `json:"cnf,omitempty"`

	// AuthorizationDetails are those for the API that asked (RFC 9396 §9.2).
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
}
