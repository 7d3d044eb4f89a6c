package token

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/oauth"
)

// code is the authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5,
// OIDC Core §3.1.3).
func (d *Door) code(ctx context.Context, c call) (answer, error) {
	if c.code == "" {
		return answer{}, oauth.Refuse(oauth.InvalidRequest, "The parameter code is missing.")
	}
	c.scopes = nil // the code fixes them; RFC 6749 §4.1.3 knows no scope here

	// The target is settled before the code is spent, so that a client which
	// forgot to name its resource may try again with the same code.
	var target target
	given, refreshToken, err := d.Grants.Redeem(ctx, grant.Redemption{
		Code:        c.code,
		ClientID:    c.client.ID,
		RedirectURI: c.redirectURI,
		Verifier:    c.verifier,
		Key:         c.key(),
		Refresh:     true,
		Check: func(given *grant.Grant) (err error) {
			target, err = c.grantTarget(stillAllowed(c.group, c.client, given.Scopes), given.Details)
			return err
		},
	})
	if err != nil {
		return answer{}, err
	}
	return d.personAnswer(ctx, c, authorized{given, target, refreshToken, given.Nonce})
}
