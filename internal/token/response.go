package token

import (
	"slices"
	"strconv"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/oauth"
)

// usualResponse fits a token response but for its tokens.
const usualResponse = 512

// appendResponse writes what encoding/json would write for a token response
// (RFC 6749 §5.1), without its reflection. A test holds the two equal.
func appendResponse(b []byte, r *oauth.TokenResponse) []byte {
	b = slices.Grow(b, usualResponse+len(r.AccessToken)+len(r.RefreshToken)+len(r.IDToken))
	b = append(b, `{"access_token":`...)
	b = appendjson.String(b, r.AccessToken)
	b = appendText(b, `,"issued_token_type":`, string(r.IssuedTokenType))
	b = append(b, `,"token_type":`...)
	b = appendjson.String(b, r.TokenType)
	b = append(b, `,"expires_in":`...)
	b = strconv.AppendInt(b, r.ExpiresIn, 10)
	b = appendText(b, `,"refresh_token":`, r.RefreshToken)
	b = appendScope(b, r.Scope)
	b = appendText(b, `,"id_token":`, r.IDToken)
	if len(r.AuthorizationDetails) > 0 {
		b = append(b, `,"authorization_details":`...)
		b = append(b, r.AuthorizationDetails...)
	}
	return append(b, '}')
}

// appendDetails writes the credentials of events with what was asked for
// (RFC 9396 §7).
func appendDetails(b []byte, details []oauth.EventDetail) []byte {
	b = append(b, '[')
	for i := range details {
		if i > 0 {
			b = append(b, ',')
		}
		d := &details[i]
		b = append(b, `{"type":`...)
		b = appendjson.String(b, d.Type)
		b = append(b, `,"receiver":`...)
		b = appendjson.String(b, d.Receiver)
		b = append(b, `,"event_type":`...)
		b = appendjson.String(b, d.EventType)
		b = append(b, `,"event_id":`...)
		b = appendjson.String(b, d.EventID)
		b = append(b, `,"body_sha256":`...)
		b = appendjson.String(b, d.BodySHA256)
		b = appendNumber(b, `,"happened_at":`, d.HappenedAt)
		b = appendText(b, `,"id_token":`, d.IDToken)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendIntrospection is appendResponse for an answer to introspection
// (RFC 7662 §2.2).
func appendIntrospection(b []byte, i *oauth.Introspection) []byte {
	b = slices.Grow(b, usualResponse)
	b = append(b, `{"active":`...)
	b = strconv.AppendBool(b, i.Active)
	b = appendText(b, `,"iss":`, i.Issuer)
	b = appendText(b, `,"sub":`, i.Subject)
	b = appendText(b, `,"resource_sub":`, i.ResourceSubject)
	b = appendAudience(b, i.Audience)
	b = appendNumber(b, `,"exp":`, i.ExpiresAt)
	b = appendNumber(b, `,"iat":`, i.IssuedAt)
	b = appendText(b, `,"jti":`, i.ID)
	b = appendText(b, `,"client_id":`, i.ClientID)
	b = appendScope(b, i.Scope)
	b = appendText(b, `,"token_type":`, i.TokenType)
	b = appendNumber(b, `,"auth_time":`, i.AuthTime)
	b = appendText(b, `,"acr":`, i.ACR)
	if len(i.AMR) > 0 {
		b = append(b, `,"amr":`...)
		b = appendjson.Strings(b, i.AMR)
	}
	b = appendText(b, `,"sid":`, i.SessionID)
	if i.Actor != nil {
		b = append(b, `,"act":`...)
		b = mint.AppendActor(b, i.Actor)
	}
	b = appendNumber(b, `,"nbf":`, i.NotBefore)
	if i.Confirmation != nil {
		b = append(b, `,"cnf":`...)
		b = mint.AppendConfirmation(b, i.Confirmation)
	}
	if len(i.AuthorizationDetails) > 0 {
		b = append(b, `,"authorization_details":`...)
		b = append(b, i.AuthorizationDetails...)
	}
	return append(b, '}')
}

// appendText appends a member unless it is empty.
func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	return appendjson.String(b, value)
}

// appendNumber appends a member unless it is zero.
func appendNumber(b []byte, name string, value int64) []byte {
	if value == 0 {
		return b
	}
	b = append(b, name...)
	return strconv.AppendInt(b, value, 10)
}

// appendScope appends the scope member unless it is empty: one string
// (RFC 6749 §3.3).
func appendScope(b []byte, scopes oauth.Scopes) []byte {
	if len(scopes) == 0 {
		return b
	}
	b = append(b, `,"scope":`...)
	return appendjson.String(b, scopes.String())
}

// appendAudience appends the aud member unless it is empty: one string or a
// list (RFC 7519 §4.1.3).
func appendAudience(b []byte, audience oauth.Audience) []byte {
	switch len(audience) {
	case 0:
		return b
	case 1:
		b = append(b, `,"aud":`...)
		return appendjson.String(b, audience[0])
	default:
		b = append(b, `,"aud":`...)
		return appendjson.Strings(b, audience)
	}
}
