package rp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

const callTimeout = 30 * time.Second

// credential is a token with the place it is remembered at.
type credential struct {
	token *oauth2.Token
	key   string
}

type findCredential func(context.Context) (credential, error)

// bearer makes the HTTP client of a token. Its Timeout may be changed.
func (c *Client) bearer(find findCredential) *http.Client {
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     &bearerTransport{base: c.http.Transport, find: find, tokens: c.tokens},
		CheckRedirect: sameOrigin,
	}
}

// bearerTransport adds the token to each request. When the resource server
// does not accept it (any more), it is forgotten, so that the next call gets
// another.
type bearerTransport struct {
	base   http.RoundTripper
	find   findCredential
	tokens *tokens
}

func (t *bearerTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	held, err := t.find(request.Context())
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	// A RoundTripper must not change the request it was given.
	authorized := request.Clone(request.Context())
	authorized.Header.Set("Authorization", "Bearer "+held.token.AccessToken)
	response, err := t.base.RoundTrip(authorized)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.tokens.drop(held.key, held.token)
	}
	return response, err
}

var errForeignRedirect = errors.New("rp: redirect to another origin refused: it would receive the token")

// sameOrigin keeps a redirect from carrying the token away: net/http drops the
// header on the way to another host, but the transport would add it again.
func sameOrigin(request *http.Request, via []*http.Request) error {
	first := via[0].URL
	if request.URL.Scheme != first.Scheme || request.URL.Host != first.Host {
		return errForeignRedirect
	}
	if len(via) >= 10 {
		return errors.New("rp: more than 10 redirects")
	}
	return nil
}
