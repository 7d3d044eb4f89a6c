package token

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Push checks and keeps an authorization request of a client. It is the door of the
// browser that knows what such a request must be. key is the thumbprint of the DPoP
// key that the client has proved to hold, empty for none.
type Push func(ctx context.Context, client *registry.Client, values url.Values, key string) (requestURI string, life time.Duration, err error)

// pushed is the answer to a pushed request (RFC 9126 §2.2).
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// PushedRequest is the pushed authorization request endpoint (RFC 9126 §2). A client
// proves itself as at the token endpoint; a public one names itself.
func (d *Door) PushedRequest(w http.ResponseWriter, r *http.Request) {
	if d.crossOrigin(w, r, http.MethodPost) {
		return
	}
	answer, err := d.push(w, r)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	web.WriteJSON(w, http.StatusCreated, answer)
}

func (d *Door) push(w http.ResponseWriter, r *http.Request) (pushed, error) {
	form, err := parsePost(w, r)
	if err != nil {
		return pushed{}, err
	}
	client, _, err := d.authenticate(r, form, web.ClientIP(r, d.TrustProxy))
	if err != nil {
		return pushed{}, err
	}
	if err := d.limits.takeToken(client); err != nil {
		return pushed{}, err
	}
	key, err := d.Mint.PushedKey(w, r, client)
	if err != nil {
		return pushed{}, err
	}
	requestURI, life, err := d.Push(r.Context(), client, form, key)
	return pushed{requestURI, int64(life / time.Second)}, err
}
