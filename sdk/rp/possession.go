package rp

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
)

// proofs makes proofs of possession, and remembers the nonce that each server gave
// last (RFC 9449 §8.2).
type proofs struct {
	key *dpop.Key

	mu     sync.Mutex
	nonces map[string]string // by origin
}

// newProofs gives nil where there is no key.
func newProofs(private crypto.Signer) (*proofs, error) {
	if private == nil {
		return nil, nil
	}
	key, err := dpop.NewKey(private)
	if err != nil {
		return nil, fmt.Errorf("rp: Config.DPoPKey: %w", err)
	}
	return &proofs{key: key, nonces: map[string]string{}}, nil
}

// tokenType is the type that tokens of this client have.
func (p *proofs) tokenType() string {
	if p == nil {
		return oauth.Bearer
	}
	return oauth.DPoP
}

// apply adds a proof for the request, which sends token; empty where one is asked for.
func (p *proofs) apply(request *http.Request, token string, now time.Time) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	nonce := p.nonces[origin(request)]
	p.mu.Unlock()
	proof, err := p.key.Proof(dpop.Request{Method: request.Method, URL: request.URL.String(), Token: token}, nonce, now)
	if err != nil {
		return err
	}
	request.Header.Set(oauth.HeaderDPoP, proof)
	return nil
}

// learn keeps the nonce of an answer and reports whether it is a new one, with which
// a request that was refused for want of it may be made again.
func (p *proofs) learn(response *http.Response) bool {
	if p == nil {
		return false
	}
	nonce := response.Header.Get(oauth.HeaderDPoPNonce)
	if nonce == "" {
		return false
	}
	at := origin(response.Request)
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.nonces[at] == nonce
	if len(p.nonces) >= maxOrigins {
		clear(p.nonces)
	}
	p.nonces[at] = nonce
	return !known
}

const maxOrigins = 1000

func origin(request *http.Request) string { return request.URL.Scheme + "://" + request.URL.Host }

// authorize puts a token into a request, with a proof where it is bound.
func (c *Client) authorize(request *http.Request, token string) error {
	request.Header.Set("Authorization", c.proofs.tokenType()+" "+token)
	return c.proofs.apply(request, token, c.now())
}

// TokenClient is an HTTP client that calls with one token, such as that of an
// Identity, and proves to hold its key where it is bound.
func (c *Client) TokenClient(token *oauth2.Token) *http.Client {
	return c.bearer(func(context.Context) (credential, error) { return credential{token: token}, nil })
}
