package subjects

import (
	"net/http"
	"strings"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// checkAsker finds out who asks: a confidential client of a service, by a token
// in service context for this server with the scope subjects:convert.
func (d *Door) checkAsker(w http.ResponseWriter, r *http.Request) (*registry.Client, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusMethodNotAllowed,
			Description: "This endpoint takes POST requests only.",
		}
	}
	token, err := bearerToken(r)
	if err != nil {
		return nil, err
	}
	checked, err := d.Mint.Check(r.Context(), token)
	if err != nil {
		return nil, err
	}
	claims := checked.Claims()
	web.Event(r.Context()).Set("client", claims.ClientID)
	switch {
	case !claims.Audience.Has(d.Mint.Issuer):
		return nil, oauth.Refuse(oauth.InvalidToken, "The access token is not for this server; ask for one with the scope "+oauth.ScopeConvert+".")
	case checked.Service == nil:
		return nil, insufficient(w, "The access token is in user context; conversion takes a token that a service got for itself with client credentials.")
	case !claims.Scope.Has(oauth.ScopeConvert):
		return nil, insufficient(w, "The access token does not have the scope "+oauth.ScopeConvert+".")
	}
	// The scenario is asked again: the group may have changed since the token was
	// issued.
	asker := checked.Service.Client
	if !d.Registry.Current().MayConvert(asker) {
		return nil, oauth.Refuse(oauth.AccessDenied, "Only confidential clients of a service convert subjects; a subsystem of another scenario knows its own alone.")
	}
	return asker, nil
}

// bearerToken finds the access token, in the header only (RFC 6750 §2.1).
func bearerToken(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return "", web.NoToken
	case 1:
	default:
		return "", oauth.Refuse(oauth.InvalidRequest, "There is more than one Authorization header.")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, oauth.Bearer) {
		return "", oauth.Refuse(oauth.InvalidRequest, "The Authorization header must be Bearer with an access token.")
	}
	return strings.TrimSpace(token), nil
}

// insufficient refuses a token without the scope that is needed, which the
// challenge names (RFC 6750 §3).
func insufficient(w http.ResponseWriter, description string) *oauth.Error {
	w.Header().Set("WWW-Authenticate",
		`Bearer error="insufficient_scope", error_description="`+description+`", scope="`+oauth.ScopeConvert+`"`)
	return oauth.Refuse(oauth.InsufficientScope, description)
}
