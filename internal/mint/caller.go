package mint

import (
	"strings"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// ServiceCaller is the client that calls an API of the authorization server
// itself: one with a token in service context, for this server, that has one of
// the scopes. Whether that client may still do so is for the door to ask of the
// group of the moment. The error is an *oauth.Error.
func (m *Mint) ServiceCaller(checked Checked, scopes ...string) (*registry.Client, error) {
	claims := checked.Claims()
	needed := strings.Join(scopes, " or ")
	switch {
	case !claims.Audience.Has(m.Issuer):
		return nil, oauth.Refuse(oauth.InvalidToken, "The access token is not for this server; ask for one with the scope "+needed+".")
	case checked.Service == nil:
		return nil, oauth.Refuse(oauth.InsufficientScope,
			"The access token is in user context; this endpoint takes one that a client got for itself with client credentials.")
	}
	for _, scope := range scopes {
		if claims.Scope.Has(scope) {
			return checked.Service.Client, nil
		}
	}
	return nil, oauth.Refuse(oauth.InsufficientScope, "The access token does not have the scope "+needed+".")
}
