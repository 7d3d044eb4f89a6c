package mint

import (
	"encoding/json"
	"strconv"

	"github.com/sekisho-id/sekisho/oauth"
)

// claimsSize fits nearly every set of access token claims.
const claimsSize = 768

// appendClaims writes what encoding/json would write for the claims, without
// its reflection and its allocations: an access token is made on every call
// between subsystems. A test holds the two equal.
func appendClaims(b []byte, c *oauth.AccessTokenClaims) []byte {
	b = append(b, `{"iss":`...)
	b = appendString(b, c.Issuer)
	b = append(b, `,"sub":`...)
	b = appendString(b, c.Subject)
	b = append(b, `,"aud":`...)
	if len(c.Audience) == 1 {
		b = appendString(b, c.Audience[0])
	} else {
		b = appendStrings(b, c.Audience)
	}
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.ExpiresAt, 10)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt, 10)
	b = append(b, `,"jti":`...)
	b = appendString(b, c.ID)
	b = append(b, `,"client_id":`...)
	b = appendString(b, c.ClientID)
	if len(c.Scope) > 0 {
		b = append(b, `,"scope":`...)
		b = appendScopes(b, c.Scope)
	}
	if c.AuthTime != 0 {
		b = append(b, `,"auth_time":`...)
		b = strconv.AppendInt(b, c.AuthTime, 10)
	}
	if c.ACR != "" {
		b = append(b, `,"acr":`...)
		b = appendString(b, c.ACR)
	}
	if len(c.AMR) > 0 {
		b = append(b, `,"amr":`...)
		b = appendStrings(b, c.AMR)
	}
	if c.SessionID != "" {
		b = append(b, `,"sid":`...)
		b = appendString(b, c.SessionID)
	}
	if c.Actor != nil {
		b = append(b, `,"act":`...)
		b = appendActor(b, c.Actor)
	}
	return append(b, '}')
}

// appendActor writes an act claim with all that is nested in it.
func appendActor(b []byte, a *oauth.Actor) []byte {
	b = append(b, `{"sub":`...)
	b = appendString(b, a.Subject)
	if a.Actor != nil {
		b = append(b, `,"act":`...)
		b = appendActor(b, a.Actor)
	}
	return append(b, '}')
}

// appendScopes writes scopes as one string (RFC 8693 §4.2).
func appendScopes(b []byte, scopes oauth.Scopes) []byte {
	for _, scope := range scopes {
		if !plain(scope) {
			return appendString(b, scopes.String())
		}
	}
	b = append(b, '"')
	for i, scope := range scopes {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, scope...)
	}
	return append(b, '"')
}

// appendStrings writes a list of strings.
func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString writes one JSON string.
func appendString(b []byte, s string) []byte {
	if !plain(s) {
		quoted, _ := json.Marshal(s) // a string always marshals
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain reports whether s stands in JSON as it is, as encoding/json sees it.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c > 0x7e:
			return false
		case c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			return false
		}
	}
	return true
}
