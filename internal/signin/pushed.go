package signin

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	pushedPrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2

	// pushedLife is how long a pushed request may be begun with. A person who has
	// begun takes as long as any other.
	pushedLife = time.Minute
)

// Push checks an authorization request of an authenticated client as /authorize
// does, and keeps it (RFC 9126 §2.1). key is the thumbprint of the DPoP key that the
// client has proved to hold, empty for none. The error is an *oauth.Error where the
// request is wrong.
func (d *Door) Push(ctx context.Context, client *registry.Client, values url.Values, key string) (requestURI string, life time.Duration, err error) {
	if values.Has("request_uri") {
		return "", 0, oauth.Refuse(oauth.InvalidRequest, "A pushed request holds the parameters themselves, and no request_uri (RFC 9126 section 2.1).")
	}
	if id := values.Get("client_id"); id != "" && id != client.ID {
		return "", 0, oauth.Refuse(oauth.InvalidRequest, "The client_id is not that of the client that has authenticated.")
	}
	inner, signed, err := d.unwrapPushed(client, values)
	if err != nil {
		return "", 0, err
	}
	inner.Set("client_id", client.ID)
	request, err := d.parse(ctx, inner, origin{pushed: true, signed: signed, key: key})
	if err != nil {
		return "", 0, err
	}
	requestURI = secret.Token(pushedPrefix)
	err = d.DB.Update(ctx, func(tx *db.Tx) error {
		return insertPushed(ctx, tx, requestURI, request, d.Now().Add(pushedLife))
	})
	return requestURI, pushedLife, err
}

// isPushed reports whether the parameters name a request that was pushed here.
func isPushed(values url.Values) bool {
	return strings.HasPrefix(values.Get("request_uri"), pushedPrefix)
}

var errNotPushed = shown{oauth.Refuse(oauth.InvalidRequestURI,
	"The request_uri is not known, has expired, was completed already, or belongs to another client.")}

// loadPushed gives the request that the client has pushed. Of the parameters beside
// the request_uri the client_id alone counts (RFC 9126 §4, RFC 9101 §5). It stays
// until the request is answered, so that a page can be loaded again.
func (d *Door) loadPushed(ctx context.Context, values url.Values) (*Request, error) {
	if len(values["request_uri"]) > 1 || len(values["client_id"]) > 1 {
		return nil, shown{oauth.Refuse(oauth.InvalidRequest, "The client_id or the request_uri is there more than once.")}
	}
	requestURI := values.Get("request_uri")
	var request *Request
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		request, err = readPushed(ctx, tx, requestURI, values.Get("client_id"), d.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return nil, errNotPushed
	}
	if err != nil {
		return nil, err
	}
	request.Pushed = secret.Hash(requestURI)
	return request, nil
}
