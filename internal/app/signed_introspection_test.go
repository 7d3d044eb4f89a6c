package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// introspectSigned asks about a token with the Accept header of RFC 9701 §4.
func (rp *relyingParty) introspectSigned(token, accept string) answer {
	rp.w.t.Helper()
	r, err := http.NewRequestWithContext(rp.w.t.Context(), http.MethodPost, issuer+"/oauth2/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		rp.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	r.SetBasicAuth(url.QueryEscape(rp.id), url.QueryEscape(rp.secret()))
	return rp.w.do(r)
}

// TestIntrospectionIsSignedWhereItIsAskedFor: another implementation verifies the
// answer, which is for the asker alone, and has no claim by which it could be taken
// for another token (RFC 9701 §5, §8.1).
func TestIntrospectionIsSignedWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	market := &relyingParty{w: w, id: "market.gateway"}
	service := (&relyingParty{w: w, id: "pay.backend"}).post("/oauth2/token", "grant_type", "client_credentials", "scope", "settle", "resource", "https://api.market.test")
	token := decode[tokens](t, service.body).AccessToken
	keys := decode[jose.JSONWebKeySet](t, w.browser().send(http.MethodGet, "/oauth2/jwks", nil).body)
	for name, test := range map[string]struct {
		token  string
		active bool
	}{"alive": {token, true}, "unknown": {"x", false}} {
		a := market.introspectSigned(test.token, "application/json;q=0.5, application/Token-Introspection+jwt")
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/token-introspection+jwt" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v", name, a.status, a.header)
		}
		parsed, err := jwt.ParseSigned(a.body, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := parsed.Claims(keys, &claims); err != nil {
			t.Fatal(err)
		}
		said, _ := claims["token_introspection"].(map[string]any)
		if parsed.Headers[0].ExtraHeaders["typ"] != "token-introspection+jwt" || claims["iss"] != issuer || claims["aud"] != "market.gateway" ||
			claims["iat"] == nil || len(claims) != 4 || said["active"] != test.active || test.active != (said["client_id"] == "pay.backend") {
			t.Errorf("%s: %v %v", name, parsed.Headers[0], claims)
		}
		if plain := market.introspectSigned(test.token, "application/json"); !strings.HasPrefix(plain.body, `{"active":`) {
			t.Errorf("%s: %s", name, plain.body)
		}
	}
	if a := market.introspectSigned("", "application/token-introspection+jwt"); a.status != http.StatusBadRequest || !strings.HasPrefix(a.body, "{") {
		t.Errorf("an error is JSON: %d %s", a.status, a.body)
	}
}
