package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// assertion authenticates market.backend with a JWT of its own, whose claims
// can be changed.
func (b *bundle) assertion(change func(claims map[string]any)) as {
	b.t.Helper()
	now := b.clock.Now().Unix()
	claims := map[string]any{
		"iss": "market.backend", "sub": "market.backend", "aud": issuer,
		"iat": now, "exp": now + 60, "jti": secret.ID(),
	}
	if change != nil {
		change(claims)
	}
	signer, err := jose.NewSigner(marketKey(), jose.ES256, "k1", "JWT")
	if err != nil {
		b.t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		b.t.Fatal(err)
	}
	jwt, err := signer.Sign(payload)
	if err != nil {
		b.t.Fatal(err)
	}
	return func(_ *http.Request, form url.Values) {
		form.Set("client_assertion", jwt)
		form.Set("client_assertion_type", oauth.AssertionJWTBearer)
	}
}

// secretPost authenticates with client_secret_post.
func secretPost(clientID string) as {
	return func(_ *http.Request, form url.Values) {
		form.Set("client_id", clientID)
		form.Set("client_secret", secretOf(clientID))
	}
}

// both makes a request authenticate in two ways.
func both(one, other as) as {
	return func(r *http.Request, form url.Values) {
		one(r, form)
		other(r, form)
	}
}

// header sets the Authorization header.
func header(value string) as {
	return func(r *http.Request, _ url.Values) { r.Header.Set("Authorization", value) }
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	replayed := b.assertion(nil)
	for _, c := range []struct {
		name   string
		who    as
		client string // the token's client where it goes well
		status int
		code   oauth.Code
		words  string
	}{
		{"basic", basic("pay.backend"), "pay.backend", 200, "", ""},
		{"secret in the body", secretPost("crypto.backend"), "crypto.backend", 200, "", ""},
		{"assertion for the issuer", b.assertion(nil), "market.backend", 200, "", ""},
		{"assertion for the token endpoint", b.assertion(func(c map[string]any) { c["aud"] = issuer + token.PathToken }), "market.backend", 200, "", ""},
		{"T1 two ways at once", both(basic("pay.backend"), secretPost("pay.backend")), "", 400, oauth.InvalidRequest, "more than one way"},
		{"T1 assertion and secret", both(b.assertion(nil), secretPost("market.backend")), "", 400, oauth.InvalidRequest, "more than one way"},
		{"two names", both(basic("pay.backend"), public("shop.backend")), "", 400, oauth.InvalidRequest, "client_id"},
		{"T2 unknown client", basic("nobody.backend"), "", 401, oauth.InvalidClient, "failed"},
		{"T2 wrong secret", func(r *http.Request, _ url.Values) { r.SetBasicAuth("pay.backend", "wrong") }, "", 401, oauth.InvalidClient, "failed"},
		{"T2 not the declared method", secretPost("pay.backend"), "", 401, oauth.InvalidClient, "failed"},
		{"T2 no secret", public("pay.backend"), "", 401, oauth.InvalidClient, "failed"},
		{"no client at all", func(*http.Request, url.Values) {}, "", 401, oauth.InvalidClient, "which client"},
		{"another scheme", header("Bearer abc"), "", 401, oauth.InvalidClient, "Basic"},
		{"not base64", header("Basic ***"), "", 401, oauth.InvalidClient, "Basic"},
		{"T1 broken form encoding", header("Basic cGF5LmJhY2tlbmQ6JXp6"), "", 401, oauth.InvalidClient, "form-encoded"},
		{"K1 assertion for somebody else", b.assertion(func(c map[string]any) { c["aud"] = issuer + "/" }), "", 401, oauth.InvalidClient, "failed"},
		{"K1 assertion for two", b.assertion(func(c map[string]any) { c["aud"] = []string{issuer, "https://other.test"} }), "", 401, oauth.InvalidClient, "failed"},
		{"K2 assertion of another issuer", b.assertion(func(c map[string]any) { c["iss"] = "pay.backend" }), "", 401, oauth.InvalidClient, "failed"},
		{"K4 assertion without exp", b.assertion(func(c map[string]any) { delete(c, "exp") }), "", 401, oauth.InvalidClient, "failed"},
		{"assertion used for the first time", replayed, "market.backend", 200, "", ""},
		{"assertion used again", replayed, "", 401, oauth.InvalidClient, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			scope := "settle"
			if c.client == "market.backend" {
				scope = "post"
			}
			a := b.post(token.PathToken, c.who, clientCredentials("scope", scope)...)
			if c.status != 200 {
				b.wantRefusal(a, c.status, c.code, c.words)
				return
			}
			if got := b.claims(into[oauth.TokenResponse](t, a).AccessToken).ClientID; a.status != 200 || got != c.client {
				t.Errorf("%d %s: token of %q, want %q", a.status, a.body, got, c.client)
			}
		})
	}
}

func TestChallengeOnlyForBasic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.post(token.PathToken, header("Basic cGF5LmJhY2tlbmQ6d3Jvbmc="), clientCredentials()...)
	if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("WWW-Authenticate %q after Basic", a.header.Get("WWW-Authenticate"))
	}
	a = b.post(token.PathToken, public("pay.backend"), clientCredentials()...)
	if got := a.header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("WWW-Authenticate %q without Basic", got)
	}
}

func TestTokenRequestForm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := func(method, path, contentType, body string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, issuer+path, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.SetBasicAuth("pay.backend", secretOf("pay.backend"))
		return b.send(r)
	}
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name   string
		answer answer
		status int
		code   oauth.Code
	}{
		{"T1 GET", request(http.MethodGet, token.PathToken+"?grant_type=client_credentials", "", ""), 405, oauth.InvalidRequest},
		{"T1 JSON", request(http.MethodPost, token.PathToken, "application/json", `{"grant_type":"client_credentials"}`), 400, oauth.InvalidRequest},
		{"T1 no content type", request(http.MethodPost, token.PathToken, "", "grant_type=client_credentials"), 400, oauth.InvalidRequest},
		{"parameters in the URL too", request(http.MethodPost, token.PathToken+"?scope=settle", form, "grant_type=client_credentials"), 400, oauth.InvalidRequest},
		{"a parameter twice", request(http.MethodPost, token.PathToken, form, "grant_type=client_credentials&scope=settle&scope=settle"), 400, oauth.InvalidRequest},
		{"no grant type", request(http.MethodPost, token.PathToken, form, "scope=settle"), 400, oauth.InvalidRequest},
		{"T3 password", request(http.MethodPost, token.PathToken, form, "grant_type=password&username=a&password=b"), 400, oauth.UnsupportedGrantType},
		{"T3 implicit", request(http.MethodPost, token.PathToken, form, "grant_type=implicit"), 400, oauth.UnsupportedGrantType},
		{"a grant type longer than a record", request(http.MethodPost, token.PathToken, form, "grant_type="+strings.Repeat("%01", 4000)), 400, oauth.UnsupportedGrantType},
		{"T3 a client that signs nobody in", request(http.MethodPost, token.PathToken, form, "grant_type=authorization_code&code=x"), 400, oauth.UnauthorizedClient},
		{"a body too large", request(http.MethodPost, token.PathToken, form, "grant_type="+strings.Repeat("a", 65<<10)), 413, oauth.InvalidRequest},
		{"introspection by GET", request(http.MethodGet, token.PathIntrospection+"?token=x", "", ""), 405, oauth.InvalidRequest},
		{"revocation by GET", request(http.MethodGet, token.PathRevocation+"?token=x", "", ""), 405, oauth.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.wantRefusal(c.answer, c.status, c.code, "")
			if c.status == 405 && c.answer.header.Get("Allow") != "POST" {
				t.Errorf("Allow %q", c.answer.header.Get("Allow"))
			}
		})
	}
}

func TestTokenAnswerIsNotStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.post(token.PathToken, basic("pay.backend"), clientCredentials()...)
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", a.header)
	}
}

func TestNothingIsIssuedUnrecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tokens(basic("pay.backend"), clientCredentials()...)
	if err := b.audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	b.tokens(basic("pay.backend"), clientCredentials()...) // accepted into the queue
	if err := b.audit.Flush(t.Context()); !errors.Is(err, audit.ErrUnavailable) {
		t.Fatalf("flush into a closed database: %v", err)
	}
	a := b.post(token.PathToken, basic("pay.backend"), clientCredentials()...)
	b.wantRefusal(a, http.StatusServiceUnavailable, oauth.TemporarilyUnavailable, "")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestEveryDecisionIsRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subject := b.charged("charge")
	next := b.tokens(basic("pay.backend"), exchange(subject, market)...).AccessToken
	b.post(token.PathToken, basic("pay.backend"), exchange(subject, archive)...)
	b.tokens(basic("pay.backend"), clientCredentials()...)
	b.post(token.PathToken, basic("pay.backend"), clientCredentials("scope", "openid")...)
	b.post(token.PathToken, header("Basic cGF5LmJhY2tlbmQ6d3Jvbmc="), clientCredentials()...)
	if err := b.audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	var text strings.Builder
	err := b.db.Read(t.Context(), func(tx *db.Tx) error {
		records, err := audit.Find(t.Context(), tx, audit.Query{Client: "pay.backend"})
		for _, r := range records {
			found[string(r.Event)+" "+string(r.Outcome)]++
			fmt.Fprintf(&text, "%+v\n", r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"exchange.issued ok", "exchange.refused refused", "token.issued ok", "token.refused refused", "client.refused refused"} {
		if found[want] != 1 {
			t.Errorf("%d records %q in\n%s", found[want], want, text.String())
		}
	}
	for _, secret := range []string{subject, next, secretOf("pay.backend")} {
		if strings.Contains(text.String(), secret) {
			t.Error("a record holds a credential")
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	request := func(method, path, origin string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, issuer+path, http.NoBody)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		return b.send(r)
	}
	const ours, foreign = "https://market.test", "https://evil.test"
	for _, path := range []string{token.PathToken, token.PathRevocation, token.PathUserinfo} {
		known, unknown := request(http.MethodOptions, path, ours), request(http.MethodOptions, path, foreign)
		if known.status != 204 || known.header.Get("Access-Control-Allow-Origin") != ours || known.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", path, known.status, known.header)
		}
		if got := unknown.header.Get("Access-Control-Allow-Origin"); got != "" || unknown.header.Get("Vary") != "Origin" {
			t.Errorf("%s from a foreign origin: %v", path, unknown.header)
		}
		if got := request(http.MethodPost, path, ours).header.Get("Access-Control-Allow-Origin"); got != ours {
			t.Errorf("%s: the answer itself allows %q", path, got)
		}
	}
	// An origin of a confidential client is no browser's.
	if got := request(http.MethodOptions, token.PathToken, "https://crypto.test").header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("the origin of a confidential client is allowed: %q", got)
	}
	if got := request(http.MethodPost, token.PathIntrospection, ours).header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("introspection allows %q", got)
	}
}
