package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a request object.
const (
	requestObjectLife  = time.Hour        // how far away exp, and how old nbf, may be
	requestObjectAhead = 60 * time.Second // how far ahead of ours a client's clock may be
)

// requestObjectTypes are the typ headers of a request object: none, the general one,
// and its own (RFC 9101 §10.8).
var requestObjectTypes = []string{"", "jwt", "oauth-authz-req+jwt"}

// ErrRequestObject is a request object that is not what it must be.
var ErrRequestObject = errors.New("registry: request object refused")

// requestObject is what a request object says of itself (RFC 9101 §4, FAPI 2.0
// Message Signing §5.3.1).
type requestObject struct {
	Issuer    string         `json:"iss"`
	Subject   *string        `json:"sub"`
	Audience  oauth.Audience `json:"aud"`
	Expires   *float64       `json:"exp"`
	NotBefore *float64       `json:"nbf"`
	ClientID  string         `json:"client_id"`
}

// aboutItself are claims of a request object that are no parameters.
var aboutItself = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// RequestObject verifies a request object of the client, which has keys, and gives
// the parameters in it. The error wraps ErrRequestObject.
func (c *Client) RequestObject(compact, issuer string, now time.Time) (url.Values, error) {
	payload, header, err := c.JWKS.Verify(compact, c.Profile.signingAlgs())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequestObject, err)
	}
	if !slices.Contains(requestObjectTypes, strings.ToLower(header.Typ)) {
		return nil, fmt.Errorf("%w: typ is for another purpose", ErrRequestObject)
	}
	var object requestObject
	if err := jose.Decode(payload, &object); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequestObject, err)
	}
	if err := object.check(c.ID, issuer, now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequestObject, err)
	}
	values, err := parametersOf(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequestObject, err)
	}
	return values, nil
}

func (o *requestObject) check(client, issuer string, now time.Time) error {
	switch {
	case o.Issuer != client || o.ClientID != client:
		return errors.New("iss and client_id are not both the client")
	case o.Subject != nil: // else it could be taken for a client assertion (RFC 9101 §10.8)
		return errors.New("it has a sub")
	case !slices.Contains(o.Audience, issuer):
		return errors.New("aud does not name this server")
	case o.Expires == nil || o.NotBefore == nil:
		return errors.New("exp or nbf is missing")
	case !now.Before(numericDate(*o.Expires)):
		return errors.New("it has expired")
	case numericDate(*o.Expires).After(now.Add(requestObjectLife)):
		return errors.New("exp is more than an hour away")
	case numericDate(*o.NotBefore).After(now.Add(requestObjectAhead)):
		return errors.New("nbf is ahead")
	case numericDate(*o.NotBefore).Before(now.Add(-requestObjectLife)):
		return errors.New("nbf is more than an hour ago")
	}
	return nil
}

// parametersOf gives the claims that are parameters as a form has them
// (RFC 9101 §4): JSON values other than texts by their JSON, lists as parameters
// that are there several times.
func parametersOf(payload []byte) (url.Values, error) {
	var claims map[string]json.RawMessage
	if err := jose.DecodePart(payload, &claims); err != nil {
		return nil, err
	}
	values := url.Values{}
	for name, claim := range claims {
		switch {
		case slices.Contains(aboutItself, name):
			continue
		case name == "request" || name == "request_uri":
			return nil, errors.New("it holds another request") // RFC 9101 §4
		}
		var text string
		var texts []string
		switch {
		case json.Unmarshal(claim, &text) == nil:
			values.Set(name, text)
		case json.Unmarshal(claim, &texts) == nil:
			values[name] = texts
		default:
			values.Set(name, string(claim))
		}
	}
	return values, nil
}
