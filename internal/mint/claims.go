package mint

import (
	"strconv"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/oauth"
)

// claimsSize fits nearly every set of access token claims.
const claimsSize = 768

// appendClaims writes what encoding/json would write for the claims, without
// its reflection and its allocations: an access token is made on every call
// between subsystems. A test holds the two equal.
func appendClaims(b []byte, c *oauth.AccessTokenClaims) []byte {
	b = append(b, `{"iss":`...)
	b = appendjson.String(b, c.Issuer)
	b = append(b, `,"sub":`...)
	b = appendjson.String(b, c.Subject)
	b = append(b, `,"aud":`...)
	if len(c.Audience) == 1 {
		b = appendjson.String(b, c.Audience[0])
	} else {
		b = appendjson.Strings(b, c.Audience)
	}
	b = append(b, `,"exp":`...)
	b = strconv.AppendInt(b, c.ExpiresAt, 10)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt, 10)
	b = append(b, `,"jti":`...)
	b = appendjson.String(b, c.ID)
	b = append(b, `,"client_id":`...)
	b = appendjson.String(b, c.ClientID)
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
		b = appendjson.String(b, c.ACR)
	}
	if len(c.AMR) > 0 {
		b = append(b, `,"amr":`...)
		b = appendjson.Strings(b, c.AMR)
	}
	if c.SessionID != "" {
		b = append(b, `,"sid":`...)
		b = appendjson.String(b, c.SessionID)
	}
	if c.Actor != nil {
		b = append(b, `,"act":`...)
		b = AppendActor(b, c.Actor)
	}
	if c.Confirmation != nil {
		b = append(b, `,"cnf":`...)
		b = AppendConfirmation(b, c.Confirmation)
	}
	if len(c.AuthorizationDetails) > 0 {
		b = append(b, `,"authorization_details":`...)
		b = append(b, c.AuthorizationDetails...)
	}
	return append(b, '}')
}

// AppendConfirmation writes a cnf claim.
func AppendConfirmation(b []byte, c *oauth.Confirmation) []byte {
	b = append(b, '{')
	if c.JKT != "" {
		b = append(b, `"jkt":`...)
		b = appendjson.String(b, c.JKT)
	}
	if c.X5T != "" {
		if c.JKT != "" {
			b = append(b, ',')
		}
		b = append(b, `"x5t#S256":`...)
		b = appendjson.String(b, c.X5T)
	}
	return append(b, '}')
}

// AppendActor writes an act claim with all that is nested in it.
func AppendActor(b []byte, a *oauth.Actor) []byte {
	b = append(b, `{"sub":`...)
	b = appendjson.String(b, a.Subject)
	if a.Actor != nil {
		b = append(b, `,"act":`...)
		b = AppendActor(b, a.Actor)
	}
	return append(b, '}')
}

// appendScopes writes scopes as one string (RFC 8693 §4.2).
func appendScopes(b []byte, scopes oauth.Scopes) []byte {
	for _, scope := range scopes {
		if !appendjson.Plain(scope) {
			return appendjson.String(b, scopes.String())
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
