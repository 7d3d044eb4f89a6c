package token

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/oauth"
)

// refresh is the refresh token grant (RFC 6749 §6, RFC 9700 §4.14,
// OIDC Core §12). A public client gets a new refresh token at each use, a
// confidential one proves itself and keeps its own.
func (d *Door) refresh(ctx context.Context, c call) (answer, error) {
	if c.refreshToken == "" {
		return answer{}, oauth.Refuse(oauth.InvalidRequest, "The parameter refresh_token is missing.")
	}
	var target target
	given, successor, err := d.Grants.Refresh(ctx, grant.RefreshRequest{
		Token:    c.refreshToken,
		ClientID: c.client.ID,
		Key:      c.key(),
		Rotate:   c.client.Public(),
		Check: func(given *grant.Grant) (err error) {
			target, err = c.grantTarget(stillAllowed(c.group, c.client, given.Scopes), given.Details)
			return err
		},
	})
	if err != nil {
		return answer{}, err
	}
	return d.personAnswer(ctx, c, authorized{given, target, successor, ""}) // no nonce: OIDC Core §12.2
}
