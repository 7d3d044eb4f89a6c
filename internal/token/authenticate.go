package token

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// authenticate tells which client a request is from (RFC 6749 §2.3). The client
// is given as the present snapshot knows it, with that snapshot, so that all
// that follows is decided on one state of the group.
func (d *Door) authenticate(r *http.Request, form url.Values, source netip.Addr) (*registry.Client, *registry.Snapshot, error) {
	credentials, err := readCredentials(r, form)
	if err != nil {
		return nil, nil, err
	}
	if credentials.Method == registry.AuthNone { // nothing in the request itself: RFC 8705 §2
		credentials.Certificates = d.Mint.Certificates.Of(r)
	}
	// RFC 7523 §3: an assertion is addressed to the issuer, or as OIDC Core §9
	// has it, to the token endpoint, RFC 9126 §2 to where requests are pushed.
	credentials.Audiences = []string{d.Issuer, d.Issuer + PathToken}
	if r.URL.Path == PathPush {
		credentials.Audiences = append(credentials.Audiences, d.Issuer+PathPush)
	}
	bucket := credentials.Claimed()
	if _, known := d.Registry.Current().Client(bucket); !known {
		bucket = "" // made-up names share one bucket of the source
	}
	if err := d.limits.mayAuthenticate(bucket, source); err != nil {
		return nil, nil, err
	}
	client, err := d.Registry.Authenticate(r.Context(), credentials)
	if errors.Is(err, registry.ErrClientAuthentication) {
		d.limits.failed(bucket, source)
		return nil, nil, d.recordFailure(r, bucket, source, err)
	}
	if err != nil {
		return nil, nil, err
	}
	group := d.Registry.Current()
	client, known := group.Client(client.ID)
	if !known {
		return nil, nil, registry.ErrClientUnknown // taken away this very moment
	}
	web.Event(r.Context()).Set("client", client.ID)
	return client, group, nil
}

// recordFailure writes down why a client was not believed, which it is not told.
func (d *Door) recordFailure(r *http.Request, claimed string, source netip.Addr, why error) error {
	web.Event(r.Context()).Set("cause", why.Error())
	err := d.Audit.Enqueue(audit.Record{
		At: d.Now(), Event: audit.ClientRefused, Outcome: audit.Refused, Client: claimed,
		Reason: why.Error(), Source: source.String(), Request: web.Event(r.Context()).ID,
	})
	if err != nil {
		return err
	}
	return why
}

// confidential is authenticate for endpoints that are not for public clients.
func (d *Door) confidential(r *http.Request, form url.Values, source netip.Addr) (*registry.Client, *registry.Snapshot, error) {
	client, group, err := d.authenticate(r, form, source)
	if err == nil && client.Public() {
		return nil, nil, oauth.Refuse(oauth.InvalidClient, "This endpoint is for confidential clients; a public client cannot prove to be itself.")
	}
	return client, group, err
}

// readCredentials finds the one way in which a request authenticates its
// client. Two ways at once are refused (RFC 6749 §2.3).
func readCredentials(r *http.Request, form url.Values) (registry.Credentials, error) {
	credentials := registry.Credentials{
		Method:        registry.AuthNone,
		ClientID:      form.Get("client_id"),
		AssertionType: form.Get("client_assertion_type"),
		Assertion:     form.Get("client_assertion"),
	}
	ways := 0
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		ways += len(headers)
		if err := readBasic(headers[0], &credentials); err != nil {
			return registry.Credentials{}, err
		}
	}
	if form.Get("client_secret") != "" {
		ways++
		credentials.Method, credentials.Secret = registry.AuthSecretPost, form.Get("client_secret")
	}
	if credentials.Assertion != "" || credentials.AssertionType != "" {
		ways++
		credentials.Method = registry.AuthPrivateKeyJWT
	}
	if ways > 1 {
		return registry.Credentials{}, oauth.Refuse(oauth.InvalidRequest, "The client authenticates in more than one way; use one.")
	}
	if credentials.Claimed() == "" {
		return registry.Credentials{}, oauth.Refuse(oauth.InvalidClient, "The request does not say which client it is from.")
	}
	return credentials, nil
}

var errBasic = oauth.Refuse(oauth.InvalidClient, "The Authorization header must be Basic with the form-encoded client id and secret.")

// readBasic reads HTTP Basic credentials, whose two halves are form-encoded
// first (RFC 6749 §2.3.1).
func readBasic(header string, credentials *registry.Credentials) error {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return errBasic
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return errBasic
	}
	user, password, _ := strings.Cut(string(decoded), ":")
	id, idErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(password)
	if idErr != nil || secretErr != nil || id == "" {
		return errBasic
	}
	if credentials.ClientID != "" && credentials.ClientID != id {
		return oauth.Refuse(oauth.InvalidRequest, "The client_id in the body is not the one of the Authorization header.")
	}
	credentials.Method, credentials.ClientID, credentials.Secret = registry.AuthSecretBasic, id, secret
	return nil
}
