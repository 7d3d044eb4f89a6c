package signin

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// besideObject are the parameters that a pushed request may have beside its request
// object: those that prove the client (RFC 9126 §3).
var besideObject = []string{"request", "client_id", "client_secret", "client_assertion", "client_assertion_type"}

// unwrap gives the parameters of the request object that a client with keys has
// sent, in place of those beside it, which do not count (RFC 9101 §6.3). A client
// without keys has none: the checks say so.
func (d *Door) unwrap(client *registry.Client, values url.Values) (inner url.Values, signed bool, err error) {
	if client.JWKS == nil || !values.Has("request") {
		return values, false, nil
	}
	if len(values["request"]) > 1 {
		return nil, false, web.RefuseRepeated("request")
	}
	inner, err = client.RequestObject(values.Get("request"), d.Issuer, d.Now())
	if errors.Is(err, registry.ErrRequestObject) {
		return nil, false, oauth.Refuse(oauth.InvalidRequestObject, web.Plain("The request object is refused: "+strings.TrimPrefix(err.Error(), registry.ErrRequestObject.Error()+": ")+"."))
	}
	return inner, true, err
}

// unwrapPushed is unwrap for a pushed request, beside whose object nothing else may
// be said of the authorization.
func (d *Door) unwrapPushed(client *registry.Client, values url.Values) (inner url.Values, signed bool, err error) {
	inner, signed, err = d.unwrap(client, values)
	if err != nil || !signed {
		return inner, signed, err
	}
	for name := range values {
		if !slices.Contains(besideObject, name) {
			return nil, false, oauth.Refuse(oauth.InvalidRequest, "Parameters stand beside the request object. All of them belong into it (RFC 9126 section 3).")
		}
	}
	return inner, true, nil
}
