package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/tracing"
)

const (
	requestTimeout   = 10 * time.Second
	maxMetadataBytes = 256 << 10
)

// Client is the HTTP client to speak with the authorization server through:
// the given one or a plain one of our own, in both cases without redirects,
// since credentials must reach the address that was discovered and no other. A
// trace of the caller goes on.
func Client(given *http.Client) *http.Client {
	client := &http.Client{Timeout: requestTimeout}
	if given != nil {
		*client = *given
	} else if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		own := transport.Clone()
		own.MaxIdleConnsPerHost = 100 // every call of a busy service goes to this one host
		client.Transport = own
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = tracing.Transport{Next: client.Transport}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// Discover reads the metadata of issuer and checks that it is that issuer's
// (OIDC Discovery §4.3, RFC 8414 §3.3).
func Discover(ctx context.Context, client *http.Client, issuer string) (*oauth.Metadata, error) {
	if err := CheckURL("issuer", issuer, ""); err != nil {
		return nil, err
	}
	address := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	body, _, err := get(ctx, client, address, maxMetadataBytes)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	var metadata oauth.Metadata
	if err := json.Unmarshal(body, &metadata); err != nil {
		return nil, fmt.Errorf("discovery at %s: %w", address, err)
	}
	if metadata.Issuer != issuer {
		return nil, fmt.Errorf("discovery at %s: the server calls itself %q, configured is %q", address, metadata.Issuer, issuer)
	}
	return &metadata, checkEndpoints(&metadata)
}

// checkEndpoints refuses metadata that would send credentials in the clear.
func checkEndpoints(m *oauth.Metadata) error {
	required := map[string]string{"token_endpoint": m.TokenEndpoint, "jwks_uri": m.JWKSURI}
	for name, address := range required {
		if err := CheckURL(name, address, m.Issuer); err != nil {
			return err
		}
	}
	optional := map[string]string{
		"authorization_endpoint": m.AuthorizationEndpoint,
		"userinfo_endpoint":      m.UserinfoEndpoint,
		"introspection_endpoint": m.IntrospectionEndpoint,
		"revocation_endpoint":    m.RevocationEndpoint,
		"end_session_endpoint":   m.EndSessionEndpoint,
	}
	for name, address := range optional {
		if address == "" {
			continue
		}
		if err := CheckURL(name, address, m.Issuer); err != nil {
			return err
		}
	}
	return nil
}

// CheckURL wants https, or http on this machine where the issuer itself is
// such a development server. Name is what the fault is called by.
func CheckURL(name, address, issuer string) error {
	secure := strings.HasPrefix(issuer, "https:")
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%s %q is not an absolute URL", name, address)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && !secure && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s %q must be https", name, address)
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Read reads a further JSON document that the issuer publishes about itself
// under /.well-known/name, into v. The name stands before the issuer's own path
// (RFC 8615 §3, SSF 1.0 §7.2).
func Read(ctx context.Context, client *http.Client, issuer, name string, v any) error {
	if err := CheckURL("issuer", issuer, ""); err != nil {
		return err
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	u.Path = "/.well-known/" + name + strings.TrimSuffix(u.Path, "/")
	body, _, err := get(ctx, client, u.String(), maxMetadataBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %w", u, err)
	}
	return nil
}

// get reads a document of at most limit bytes.
func get(ctx context.Context, client *http.Client, address string, limit int64) ([]byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %s", address, response.Status)
	}
	body, err := Body(response, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", address, err)
	}
	return body, response.Header, nil
}

var errTooLarge = errors.New("the answer is larger than it may be")

// Body reads an answer of at most limit bytes.
func Body(response *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}
