package token

import (
	"context"
	"errors"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// authorized is what a person's authorization gives at one token request.
type authorized struct {
	given        *grant.Grant
	target       target
	refreshToken string
	nonce        string
}

// personAnswer makes the tokens: an access token, an ID token if openid is
// granted, and the refresh token that the grant room made. The code and the
// refresh grants end here.
func (d *Door) personAnswer(ctx context.Context, c call, a authorized) (answer, error) {
	given, target := a.given, a.target
	how := mint.SignIn{
		Session: given.SessionID, At: given.AuthTime, Exact: given.ExactAuthTime,
		ACR: given.ACR, AMR: given.AMR,
	}
	// The sid of an access token is the session that it ends with. A grant with
	// offline access lives on without.
	lasting := how
	if given.Offline {
		lasting.Session = nil
	}
	access, err := d.Mint.UserToken(mint.UserToken{
		Client: c.client, Who: given.Ref, Audience: target.audience, Scopes: target.scopes, Details: target.details,
		Opaque: target.opaque, SignIn: lasting, Grant: given.ID, Bound: c.bound,
	})
	if err != nil {
		return answer{}, err
	}
	response := oauth.TokenResponse{
		AccessToken:  access.Token,
		TokenType:    tokenType(c.bound),
		ExpiresIn:    access.ExpiresIn(),
		RefreshToken: a.refreshToken,
		Scope:        target.scopes,

		AuthorizationDetails: target.details.JSON(),
	}
	if d.wantsIDToken(c, given) {
		about, err := d.askedOfIDToken(ctx, c.client, given)
		if err != nil {
			return answer{}, err
		}
		id, err := d.Mint.IDToken(mint.IDToken{
			Client: c.client, Who: given.Ref, SignIn: how, Nonce: a.nonce, AccessToken: access.Token, About: about,
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

// askedOfIDToken are the claims about the person that a client wants in the ID
// token itself. Scopes put none there: they are for userinfo (OIDC Core §5.4).
func (d *Door) askedOfIDToken(ctx context.Context, client *registry.Client, given *grant.Grant) (map[string]any, error) {
	names := readAsked(given).IDToken
	if len(names) == 0 {
		return nil, nil
	}
	var person *account.Account
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		person, err = d.People.ByID(ctx, tx, given.AccountID)
		return err
	})
	if errors.Is(err, account.ErrUnknown) {
		return nil, grant.ErrAccount // deleted since the grant was looked at
	}
	if err != nil {
		return nil, err
	}
	return d.released(client, given, person, nil, names), nil
}
