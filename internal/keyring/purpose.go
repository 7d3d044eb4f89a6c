package keyring

import (
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/oauth"
)

// Purpose says what a token is for. A token's typ is part of its purpose.
type Purpose string

// The purposes there are.
const (
	Access      Purpose = "access"    // access tokens (RFC 9068 §2.1)
	ID          Purpose = "id"        // ID tokens
	IDRS256     Purpose = "id-rs256"  // ID tokens of clients that ask for RS256 (OIDC Core §15.1)
	Event       Purpose = "event"     // credentials of events
	SET         Purpose = "set"       // security event tokens (RFC 8417 §2.3)
	SETRS256    Purpose = "set-rs256" // and those in RS256 (CAEP Interoperability Profile 1.0 §2.6)
	Logout      Purpose = "logout"    // logout tokens
	LogoutRS256 Purpose = "logout-rs256"

	Response      Purpose = "response" // authorization responses (JARM §2.1)
	ResponseRS256 Purpose = "response-rs256"

	Introspection      Purpose = "introspection" // answers to introspection (RFC 9701 §5)
	IntrospectionRS256 Purpose = "introspection-rs256"
)

// form is how the tokens of a purpose look, and whose keys sign them.
type form struct {
	purpose Purpose
	keys    Purpose // nearly always its own
	alg     jose.Alg
	typ     string
}

// forms lists the purposes in the order of the published key set. Each has keys
// of its own but for logout tokens (OIDC Back-Channel Logout §2.4) and answers,
// which are signed with the keys of ID tokens; there the typ alone tells them apart.
func forms() []form {
	return []form{
		{Access, Access, jose.ES256, oauth.TypAccessToken},
		{ID, ID, jose.ES256, oauth.TypIDToken},
		{IDRS256, IDRS256, jose.RS256, oauth.TypIDToken},
		{Event, Event, jose.ES256, oauth.TypEvent},
		{SET, SET, jose.ES256, oauth.TypSET},
		{SETRS256, SETRS256, jose.RS256, oauth.TypSET},
		{Logout, ID, jose.ES256, oauth.TypLogout},
		{LogoutRS256, IDRS256, jose.RS256, oauth.TypLogout},
		{Response, ID, jose.ES256, oauth.TypAuthorizationResponse},
		{ResponseRS256, IDRS256, jose.RS256, oauth.TypAuthorizationResponse},
		{Introspection, ID, jose.ES256, oauth.TypIntrospection},
		{IntrospectionRS256, IDRS256, jose.RS256, oauth.TypIntrospection},
	}
}

// keyPurposes lists the purposes that have keys of their own.
func keyPurposes() []Purpose {
	var own []Purpose
	for _, f := range forms() {
		if f.keys == f.purpose {
			own = append(own, f.purpose)
		}
	}
	return own
}

// alg is the algorithm of the keys of a purpose.
func (p Purpose) alg() jose.Alg {
	for _, f := range forms() {
		if f.purpose == p {
			return f.alg
		}
	}
	return ""
}
