package rp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
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
		Transport:     &bearerTransport{base: c.http.Transport, find: find, client: c},
		CheckRedirect: sameOrigin,
	}
}

// bearerTransport adds the token to each request. When the resource server
// does not accept it (any more), it is forgotten, so that the next call gets
// another.
type bearerTransport struct {
	base   http.RoundTripper
	find   findCredential
	client *Client
}

func (t *bearerTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	held, err := t.find(request.Context())
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	response, err := t.send(request, request.Body, held)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		if again, ok := t.withNonce(request, response); ok {
			response.Body.Close()
			response, err = t.send(request, again, held)
		}
	}
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		t.client.tokens.drop(held.key, held.token)
	}
	return response, err
}

// send sends the request with the token. A RoundTripper must not change the request
// it was given.
func (t *bearerTransport) send(request *http.Request, body io.ReadCloser, held credential) (*http.Response, error) {
	authorized := request.Clone(request.Context())
	authorized.Body = body
	if err := t.client.authorize(authorized, held.token.AccessToken); err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	return t.base.RoundTrip(authorized)
}

// withNonce reports whether the resource server asks for another nonce in the proof
// (RFC 9449 §9) and the request can be made again, and gives its body.
func (t *bearerTransport) withNonce(request *http.Request, response *http.Response) (io.ReadCloser, bool) {
	fresh := t.client.proofs.learn(response)
	if !fresh || !strings.Contains(response.Header.Get("WWW-Authenticate"), string(oauth.UseDPoPNonce)) {
		return nil, false
	}
	if request.Body == nil || request.Body == http.NoBody {
		return request.Body, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	return body, err == nil
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
