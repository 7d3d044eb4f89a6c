package token_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

const wellKnown = "/.well-known/openid-configuration"

// get fetches a public document.
func (b *bundle) get(path string, headers ...string) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, issuer+path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.send(r)
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.get(wellKnown, "Host", "evil.test", "X-Forwarded-Host", "evil.test")
	m := into[oauth.Metadata](t, a)
	if m.Issuer != issuer || m.TokenEndpoint != issuer+token.PathToken || m.JWKSURI != issuer+token.PathJWKS {
		t.Errorf("metadata %+v", m)
	}
	if !slices.Equal(m.ResponseTypesSupported, []string{"code"}) || !slices.Equal(m.CodeChallengeMethodsSupported, []string{"S256"}) ||
		!slices.Equal(m.SubjectTypesSupported, []string{"pairwise"}) || !m.AuthorizationResponseISSParameterSupported {
		t.Errorf("metadata %+v", m)
	}
	if !slices.Contains(m.IDTokenSigningAlgValuesSupported, "RS256") || !slices.Contains(m.ScopesSupported, "openid") {
		t.Errorf("metadata %+v", m)
	}
	// Without this list a client would have to assume that unsigned request
	// objects may work.
	if len(m.RequestObjectSigningAlgValuesSupported) == 0 || slices.Contains(m.RequestObjectSigningAlgValuesSupported, "none") || !m.RequestParameterSupported || m.RequestURIParameterSupported {
		t.Errorf("request objects: %+v", m)
	}
	if !slices.Equal(m.AuthorizationDetailsTypesSupported, []string{"event"}) || !m.BackChannelLogoutSupported || !m.BackChannelLogoutSessionSupported {
		t.Errorf("events: %+v", m)
	}
	members := into[map[string]any](t, a)
	for _, name := range []string{"request_parameter_supported", "request_uri_parameter_supported", "claims_supported"} {
		if _, ok := members[name]; !ok {
			t.Errorf("no member %s", name)
		}
	}
	for name, value := range members {
		if uri, ok := value.(string); ok && (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") && !strings.HasPrefix(uri, issuer+"/") {
			t.Errorf("%s is %s", name, uri)
		}
	}
}

func TestPublicDocumentsAreCached(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, path := range []string{wellKnown, token.PathJWKS} {
		a := b.get(path)
		if a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=600" || a.header.Get("Content-Type") != "application/json" ||
			a.header.Get("Access-Control-Allow-Origin") != "*" || !json.Valid([]byte(a.body)) {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		etag := a.header.Get("ETag")
		if again := b.get(path, "If-None-Match", `"other", W/`+etag); etag == "" || again.status != 304 || again.body != "" {
			t.Errorf("%s with ETag %s: %d", path, etag, again.status)
		}
		if again := b.get(path, "If-None-Match", `"other"`); again.status != 200 {
			t.Errorf("%s with another ETag: %d", path, again.status)
		}
	}
}

func TestJWKSHasNoPrivateMembers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	set := into[struct {
		Keys []map[string]any `json:"keys"`
	}](t, b.get(token.PathJWKS))
	kids := map[any]bool{}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if _, ok := key[private]; ok {
				t.Errorf("key %v has the member %s", key["kid"], private)
			}
		}
		if kids[key["kid"]] || key["kid"] == nil {
			t.Errorf("kid %v is missing or not unique", key["kid"])
		}
		kids[key["kid"]] = true
	}
	if len(set.Keys) < 6 {
		t.Errorf("%d keys, want one of each purpose", len(set.Keys))
	}
}
