package rp

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
)

// ServiceToken gives tokens with which this subsystem calls resource on its
// own behalf (client credentials), for batch jobs and the like. Without
// scopes the token holds all that the group file grants. Tokens are shared by
// all sources of the client for the same resource and scopes, and renewed
// before they end.
func (c *Client) ServiceToken(resource string, scopes ...string) oauth2.TokenSource {
	return tokenSource(func() (*oauth2.Token, error) {
		return c.serviceToken(context.Background(), resource, scopes)
	})
}

// ServiceClient is an HTTP client that calls resource with a ServiceToken.
func (c *Client) ServiceClient(resource string, scopes ...string) *http.Client {
	key := serviceKey(resource, scopes)
	return c.bearer(func(ctx context.Context) (credential, error) {
		token, err := c.serviceToken(ctx, resource, scopes)
		return credential{token, key}, err
	})
}

func (c *Client) serviceToken(ctx context.Context, resource string, scopes []string) (*oauth2.Token, error) {
	return c.tokens.get(ctx, serviceKey(resource, scopes), true, func(ctx context.Context) (*oauth2.Token, error) {
		form := url.Values{"grant_type": {string(oauth.GrantClientCredentials)}}
		token, _, err := c.token(ctx, withTarget(form, resource, scopes))
		return token, err
	})
}

func serviceKey(resource string, scopes []string) string {
	return tokenKey("service", "", resource, scopes)
}

type tokenSource func() (*oauth2.Token, error)

func (s tokenSource) Token() (*oauth2.Token, error) { return s() }
