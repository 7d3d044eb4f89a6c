package rs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

func TestUserIsWhoTheTokenNames(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	claims := issuertest.With(issuer.UserClaims("alice", "pay.backend", market, "items.read items.write"), map[string]any{
		"jti": "token-1",
		"act": map[string]any{"sub": "pay.backend", "act": map[string]any{"sub": "market-app.ios"}},
	})
	got, err := guard.CheckUser(t.Context(), issuer.AccessToken(claims), "items.read items.write")
	if err != nil {
		t.Fatal(err)
	}
	now := issuer.Clock.Now()
	want := &rs.User{
		Issuer: issuer.URL, Subject: "alice.pay", ClientID: "pay.backend", Subsystem: "pay",
		Scopes: oauth.Scopes{"items.read", "items.write"}, Chain: []string{"pay.backend", "market-app.ios"},
		AuthTime: now.Add(-time.Hour).Local(), ACR: "aal1", AMR: []string{"pwd"}, SessionID: "session-1",
		TokenID: "token-1", ExpiresAt: now.Add(issuer.Life).Local(),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(rs.User{}), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	direct, err := guard.CheckUser(t.Context(), issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, "")), "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"market-app.web"}, direct.Chain); diff != "" {
		t.Errorf("chain of a direct call: %s", diff)
	}
}

func TestServiceIsWhoTheTokenNames(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	claims := issuertest.With(issuer.ServiceClaims("pay.backend", market, "settle"), map[string]any{"jti": "token-1"})
	got, err := guard.CheckService(t.Context(), issuer.AccessToken(claims), "settle")
	if err != nil {
		t.Fatal(err)
	}
	want := &rs.Service{
		Issuer: issuer.URL, ClientID: "pay.backend", Subsystem: "pay", Scopes: oauth.Scopes{"settle"},
		TokenID: "token-1", ExpiresAt: issuer.Clock.Now().Add(issuer.Life).Local(),
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
}

func TestGuardRefusesClaims(t *testing.T) {
	t.Parallel()
	type claims = map[string]any
	at := func(d time.Duration) func(time.Time) int64 {
		return func(now time.Time) int64 { return now.Add(d).Unix() }
	}
	cases := []struct {
		name   string
		change claims
		sole   bool
		want   string // empty: accepted
	}{
		{name: "nothing changed", change: claims{}},
		{name: "another issuer", change: claims{"iss": "https://evil.example"}, want: "another issuer"},
		{name: "no issuer", change: claims{"iss": nil}, want: "another issuer"},
		{name: "another audience", change: claims{"aud": "https://api.pay.example"}, want: "another API"},
		{name: "no audience", change: claims{"aud": nil}, want: "another API"},
		{name: "several audiences", change: claims{"aud": []string{market, "https://api.pay.example"}}},
		{name: "several audiences where one is asked for", change: claims{"aud": []string{market, "https://api.pay.example"}}, sole: true, want: "other APIs"},
		{name: "the issuer beside", change: claims{"aud": []string{market, "issuer"}}, sole: true},
		{name: "expired", change: claims{"exp": at(-11 * time.Second)}, want: "expired"},
		{name: "expired by less than clocks differ", change: claims{"exp": at(-9 * time.Second)}},
		{name: "no expiry", change: claims{"exp": nil}, want: "expired"},
		{name: "not yet valid", change: claims{"nbf": at(11 * time.Second)}, want: "not valid yet"},
		{name: "from the future", change: claims{"iat": at(11 * time.Second)}, want: "future"},
		{name: "from the future by less than clocks differ", change: claims{"iat": at(9 * time.Second), "nbf": at(9 * time.Second)}},
		{name: "no subject", change: claims{"sub": nil}, want: "no subject"},
		{name: "no client", change: claims{"client_id": nil}, want: "no client"},
		{name: "neither", change: claims{"client_id": nil, "sub": nil}, want: "no subject"},
		{name: "bound to a key", change: claims{"cnf": claims{"jkt": "x"}}, want: "bound to a key"},
		{name: "bound to a certificate", change: claims{"cnf": claims{"x5t#S256": "x"}}, want: "bound to a certificate"},
		{name: "a bound that says nothing", change: claims{"cnf": claims{}}, want: "cannot check"},
		{name: "a bound of another kind", change: claims{"cnf": claims{"jwk": claims{}}}, want: "cannot check"},
		{name: "a subject that is no text", change: claims{"sub": 1}, want: "no well formed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			issuer := setupIssuer(t)
			config := config(t, issuer)
			config.SoleAudience = c.sole
			guard := newGuard(t, config)
			for name, value := range c.change {
				if late, ok := value.(func(time.Time) int64); ok {
					c.change[name] = late(issuer.Clock.Now())
				}
			}
			if list, ok := c.change["aud"].([]string); ok && list[1] == "issuer" {
				list[1] = issuer.URL
			}
			token := issuer.AccessToken(issuertest.With(issuer.UserClaims("alice", "market-app.web", market, ""), c.change))
			_, err := guard.CheckUser(t.Context(), token, "")
			if c.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantRefusal(t, err, oauth.InvalidToken, c.want)
		})
	}
}

func wantRefusal(t *testing.T, err error, code oauth.Code, text string) {
	t.Helper()
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != code || !strings.Contains(refusal.Description, text) {
		t.Errorf("got %v, want %s about %q", err, code, text)
	}
}

func TestGuardRefusesForgeries(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	claims := issuer.UserClaims("alice", "market-app.web", market, "")
	good := issuer.AccessToken(claims)
	if _, err := guard.CheckUser(t.Context(), good, ""); err != nil {
		t.Fatal(err)
	}
	mallory, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	header := func(more ...string) map[string]any {
		h := map[string]any{"kid": "key-1", "typ": "at+jwt"}
		for i := 0; i < len(more); i += 2 {
			if h[more[i]] = more[i+1]; more[i+1] == "" {
				delete(h, more[i])
			}
		}
		return h
	}
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a key was fetched from where the token said")
	}))
	t.Cleanup(attacker.Close)
	der, err := x509.MarshalPKIXPublicKey(&issuer.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(issuertest.PublicKey(issuer.Key, "key-1"))
	if err != nil {
		t.Fatal(err)
	}
	sign := issuertest.Sign
	parts := strings.Split(good, ".")
	raw := func(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) }
	withJWK := map[string]any{"typ": "at+jwt", "kid": "key-1", "jwk": issuertest.PublicKey(mallory, "key-1")}
	forgeries := map[string]string{
		"another key under a known id":   sign(jose.ES256, mallory, header(), claims),
		"another key it brings itself":   sign(jose.ES256, mallory, withJWK, claims),
		"a key set it names":             sign(jose.ES256, mallory, header("jku", attacker.URL), claims),
		"a certificate it names":         sign(jose.ES256, mallory, header("x5u", attacker.URL), claims),
		"the issuer's key and a key set": sign(jose.ES256, issuer.Key, header("jku", attacker.URL), claims),
		"no key id":                      sign(jose.ES256, issuer.Key, header("kid", ""), claims),
		"another kind of token":          sign(jose.ES256, issuer.Key, header("typ", "JWT"), claims),
		"no kind of token":               sign(jose.ES256, issuer.Key, header("typ", ""), claims),
		"the kind in other letters":      sign(jose.ES256, issuer.Key, header("typ", "AT+JWT"), claims),
		"a token in a token":             sign(jose.ES256, issuer.Key, header("cty", "JWT"), claims),
		"a compressed token":             sign(jose.ES256, issuer.Key, header("zip", "DEF"), claims),
		"another curve":                  sign(jose.ES384, p384, header(), claims),
		"RSA for an EC key":              sign(jose.RS256, rsaKey, header(), claims),
		"the public key as a secret":     sign(jose.HS256, der, header(), claims),
		"the JWK as a secret":            sign(jose.HS256, jwk, header(), claims),
		"a critical extension":           raw(`{"alg":"ES256","typ":"at+jwt","kid":"key-1","crit":["b64"],"b64":false}`) + "." + parts[1] + "." + parts[2],
		"a header with a member twice":   raw(`{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"key-1"}`) + "." + parts[1] + "." + parts[2],
		"alg none":                       raw(`{"alg":"none","typ":"at+jwt","kid":"key-1"}`) + "." + parts[1] + ".",
		"alg nOnE":                       raw(`{"alg":"nOnE","typ":"at+jwt","kid":"key-1"}`) + "." + parts[1] + ".",
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"a signature of zeros":           parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"another payload":                parts[0] + "." + raw(`{"sub":"bob"}`) + "." + parts[2],
		"four parts":                     good + ".x",
		"five parts":                     good + ".x.y",
		"an opaque token":                "sek_at_AAAAAAAA",
		"a very long token":              strings.Repeat("A", 1<<20),
		"a header that is a list":        raw(`[]`) + "." + parts[1] + "." + parts[2],
		"a typ that is no text":          raw(`{"alg":"ES256","typ":1,"kid":"key-1"}`) + "." + parts[1] + "." + parts[2],
	}
	for name, token := range forgeries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := guard.CheckUser(t.Context(), token, "")
			wantRefusal(t, err, oauth.InvalidToken, "")
		})
	}
}

// The ES256 key of a token must be on P-256: a P-384 key that calls itself
// ES256 is left out of the set.
func TestGuardTakesNoKeyOfAnotherCurve(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer.Publish(issuertest.PublicKey(issuer.Key, "key-1"), issuertest.PublicKey(p384, "key-2"))
	guard := newGuard(t, config(t, issuer))
	token := issuertest.Sign(jose.ES384, p384, map[string]any{"kid": "key-2", "typ": "at+jwt"}, issuer.UserClaims("alice", "market-app.web", market, ""))
	_, err = guard.CheckUser(t.Context(), token, "")
	wantRefusal(t, err, oauth.InvalidToken, "")
}

func TestGuardTakesTheAlgorithmsItIsToldTo(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	issuer.Publish(issuertest.PublicKey(issuer.Key, "key-1"), jose.JSONWebKey{Key: &key.PublicKey, KeyID: "rsa", Algorithm: "RS256"})
	token := func(alg jose.SignatureAlgorithm) string {
		return issuertest.Sign(alg, key, map[string]any{"kid": "rsa", "typ": "at+jwt"}, issuer.UserClaims("alice", "market-app.web", market, ""))
	}
	strict := newGuard(t, config(t, issuer))
	_, err = strict.CheckUser(t.Context(), token(jose.RS256), "")
	wantRefusal(t, err, oauth.InvalidToken, "accepted way")

	wider := config(t, issuer)
	wider.Algorithms = []string{"ES256", "RS256", "PS256"}
	guard := newGuard(t, wider)
	if _, err := guard.CheckUser(t.Context(), token(jose.RS256), ""); err != nil {
		t.Error(err)
	}
	// The key says RS256 of itself, so PS256 is not its.
	_, err = guard.CheckUser(t.Context(), token(jose.PS256), "")
	wantRefusal(t, err, oauth.InvalidToken, "")

	for _, bad := range []string{"none", "HS256", "es256"} {
		wider.Algorithms = []string{bad}
		if _, err := rs.New(t.Context(), wider); err == nil {
			t.Errorf("%s was taken for an algorithm", bad)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		describe func(*oauth.Metadata)
		change   func(*rs.Config)
	}{
		"no audience":       {change: func(c *rs.Config) { c.Audience = "" }},
		"another issuer":    {describe: func(m *oauth.Metadata) { m.Issuer = "https://evil.example" }},
		"no keys there":     {describe: func(m *oauth.Metadata) { m.JWKSURI += "x" }},
		"no client to ask":  {change: func(c *rs.Config) { c.Introspect = true }},
		"keys in the clear": {describe: func(m *oauth.Metadata) { m.JWKSURI = "http://id.market.example/jwks" }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := setupIssuer(t)
			issuer.Describe = c.describe
			config := config(t, issuer)
			if c.change != nil {
				c.change(&config)
			}
			if _, err := rs.New(t.Context(), config); err == nil {
				t.Error("no error")
			}
		})
	}
}
