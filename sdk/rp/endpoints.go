package rp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
)

// Introspect asks the server about an access token that was sent to this
// client's own resource (RFC 7662). Of any other it learns only that it is not
// active. Each call is a request; rs.Guard remembers answers.
func (c *Client) Introspect(ctx context.Context, token string) (*oauth.Introspection, error) {
	form := url.Values{"token": {token}}
	var answer oauth.Introspection
	if err := c.postForm(ctx, c.Metadata.IntrospectionEndpoint, form, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// Revoke ends a token of this client's and all that came from it (RFC 7009).
// A token that is unknown or already ended is no error.
func (c *Client) Revoke(ctx context.Context, token string) error {
	return c.postForm(ctx, c.Metadata.RevocationEndpoint, url.Values{"token": {token}}, nil)
}

// Refresh gets a new access token for a person who is not at the browser, for
// resource and scopes out of what was granted; an empty resource asks for the
// grant's usual one. Keep the RefreshToken of the answer in place of the old
// one: it is a new one where the server rotates them.
func (c *Client) Refresh(ctx context.Context, refreshToken, resource string, scopes ...string) (*oauth2.Token, error) {
	form := url.Values{
		"grant_type":    {string(oauth.GrantRefreshToken)},
		"refresh_token": {refreshToken},
	}
	token, _, err := c.token(ctx, withTarget(form, resource, scopes))
	if err != nil {
		return nil, err
	}
	if token.RefreshToken == "" {
		token.RefreshToken = refreshToken
	}
	return token, nil
}

// UserInfo reads the claims about a signed-in person into claims. The access
// token must be good for the authorization server itself. The answer must be
// about subject, the one of the ID token (OIDC Core §5.3.2).
func (c *Client) UserInfo(ctx context.Context, accessToken, subject string, claims any) error {
	if c.Metadata.UserinfoEndpoint == "" {
		return errors.New("rp: the authorization server has no userinfo endpoint")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Metadata.UserinfoEndpoint, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	var answer userinfo
	if err := c.sendWith(accessToken, request, &answer); err != nil {
		return err
	}
	if subject == "" || answer.Subject != subject {
		return errors.New("rp: userinfo answered about another subject than the one signed in")
	}
	return answer.decode(claims)
}

// LogoutURL is where to send the browser to sign out of the group (OIDC
// RP-Initiated Logout §2). returnTo must be registered for the client; it and
// state may be empty.
func (c *Client) LogoutURL(idToken, returnTo, state string) (string, error) {
	if c.Metadata.EndSessionEndpoint == "" {
		return "", errors.New("rp: the authorization server has no logout endpoint")
	}
	address, err := url.Parse(c.Metadata.EndSessionEndpoint)
	if err != nil {
		return "", fmt.Errorf("rp: end_session_endpoint: %w", err)
	}
	query := address.Query()
	query.Set("client_id", c.ID)
	for name, value := range map[string]string{
		"id_token_hint": idToken, "post_logout_redirect_uri": returnTo, "state": state,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	address.RawQuery = query.Encode()
	return address.String(), nil
}
