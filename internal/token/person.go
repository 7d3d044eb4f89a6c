package token

import (
	"slices"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/oauth"
)

// personAnswer makes the tokens that a grant of a person gives: an access
// token, an ID token if openid is granted, and the refresh token that the grant
// room made. The code and the refresh grants end here.
func (d *Door) personAnswer(c call, given *grant.Grant, target target, refreshToken, nonce string) (answer, error) {
	how := mint.SignIn{
		Session: given.SessionID, At: given.AuthTime, Exact: given.ExactAuthTime,
		ACR: given.ACR, AMR: given.AMR,
	}
	access, err := d.Mint.UserToken(mint.UserToken{
		Client: c.client, Who: given.Ref, Audience: target.audience, Scopes: target.scopes,
		Opaque: target.opaque, SignIn: how, Grant: given.ID,
	})
	if err != nil {
		return answer{}, err
	}
	response := oauth.TokenResponse{
		AccessToken:  access.Token,
		TokenType:    oauth.Bearer,
		ExpiresIn:    access.ExpiresIn(),
		RefreshToken: refreshToken,
		Scope:        target.scopes,
	}
	if d.wantsIDToken(c, given) {
		id, err := d.Mint.IDToken(mint.IDToken{
			Client: c.client, Who: given.Ref, SignIn: how, Nonce: nonce, AccessToken: access.Token,
		})
		if err != nil {
			return answer{}, err
		}
		response.IDToken = id.Token
	}
	return answer{response: response}, nil // the grant room recorded it, in the transaction
}

// wantsIDToken reports whether an ID token goes beside the access token: openid
// was granted, and a refresh that narrows its scopes has kept it.
func (d *Door) wantsIDToken(c call, given *grant.Grant) bool {
	return slices.Contains(given.Scopes[d.Issuer], oauth.ScopeOpenID) &&
		(c.scopes == nil || c.scopes.Has(oauth.ScopeOpenID))
}

// mayRefresh reports whether a client gets refresh tokens at all.
func (d *Door) mayRefresh(c call) bool {
	return c.client.AllowsGrant(oauth.GrantRefreshToken) == nil
}
