package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// signing is the client that must sign its requests, and may push them.
func (w *world) signing() *relyingParty {
	return &relyingParty{w: w, id: "suite.signing", redirect: suiteCallback}
}

// object is a request object of the client, with claims changed.
func (rp *relyingParty) object(change func(claims map[string]any)) string {
	rp.w.t.Helper()
	return rp.objectBy(signerKey(), "oauth-authz-req+jwt", change)
}

func (rp *relyingParty) objectBy(key *ecdsa.PrivateKey, typ string, change func(claims map[string]any)) string {
	rp.w.t.Helper()
	now := rp.w.clock.Now().Unix()
	claims := map[string]any{"iss": rp.id, "aud": issuer, "nbf": now, "exp": now + 300, "iat": now, "jti": "j", "max_age": 600}
	for name, values := range rp.ask(pkce...) {
		claims[name] = values[0]
	}
	if change != nil {
		change(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		rp.w.t.Fatal(err)
	}
	signer, err := jose.NewSigner(key, jose.ES256, "k1", typ)
	if err != nil {
		rp.w.t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		rp.w.t.Fatal(err)
	}
	return object
}

// openObject opens a request object, with other parameters beside it.
func (rp *relyingParty) openObject(b *browser, object string) answer {
	rp.w.t.Helper()
	return b.get("/oauth2/authorize?" + url.Values{
		"client_id": {rp.id}, "request": {object}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"other"}, "redirect_uri": {"https://evil.test/"},
	}.Encode())
}

// pushObject pushes a request object with nothing but the proof beside it.
func (rp *relyingParty) pushObject(object string, pairs ...string) answer {
	rp.w.t.Helper()
	form := url.Values{
		"client_assertion_type": {assertionType}, "request": {object},
		"client_assertion": {rp.w.assertion(func(claims map[string]any) { claims["iss"], claims["sub"] = rp.id, rp.id })},
	}
	if object == "" {
		form.Del("request")
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(rp.w.t.Context(), http.MethodPost, issuer+"/oauth2/par", strings.NewReader(form.Encode()))
	if err != nil {
		rp.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return rp.w.do(r)
}

func TestRequestObjectIsWhatCounts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"as it should be":       nil,
		"aud among others":      func(c map[string]any) { c["aud"] = []string{"https://other.test", issuer} },
		"nbf eight seconds off": func(c map[string]any) { c["nbf"] = c["nbf"].(int64) + 8 },
		"resources as a list":   func(c map[string]any) { c["resource"] = []string{issuer} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rp := setup(t).signing()
			b := rp.w.signedIn()
			rp.code(b, rp.openObject(b, rp.object(change)), usualState)
			a := rp.pushObject(rp.object(change))
			pushed := decode[map[string]any](t, a.body)
			requestURI, _ := pushed["request_uri"].(string)
			rp.code(b, rp.openPushed(b, requestURI), usualState)
		})
	}
}

func TestRequestObjectIsRefused(t *testing.T) {
	t.Parallel()
	rp := setup(t).signing()
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) string {
		return rp.object(func(c map[string]any) {
			c[name] = value
			if value == nil {
				delete(c, name)
			}
		})
	}
	now := rp.w.clock.Now()
	good := rp.object(nil)
	for name, object := range map[string]string{
		"no exp":                claim("exp", nil),
		"no nbf":                claim("nbf", nil),
		"expired":               claim("exp", now.Unix()),
		"exp 70 minutes ahead":  claim("exp", now.Add(70*time.Minute).Unix()),
		"nbf 70 minutes ago":    claim("nbf", now.Add(-70*time.Minute).Unix()),
		"nbf two minutes ahead": claim("nbf", now.Add(2*time.Minute).Unix()),
		"aud of another":        claim("aud", "https://other.test"),
		"no aud":                claim("aud", nil),
		"iss of another":        claim("iss", "suite.basic"),
		"client_id of another":  claim("client_id", "suite.basic"),
		"no client_id":          claim("client_id", nil),
		"a sub":                 claim("sub", rp.id),
		"request_uri inside":    claim("request_uri", "urn:ietf:params:oauth:request_uri:x"),
		"request inside":        claim("request", good),
		"another key":           rp.objectBy(stranger, "oauth-authz-req+jwt", nil),
		"typ of a proof":        rp.objectBy(signerKey(), "dpop+jwt", nil),
		"unsigned":              unsignedJWT(map[string]any{"iss": rp.id, "aud": issuer, "client_id": rp.id}),
		"signature of another":  good[:strings.LastIndexByte(good, '.')] + claim("state", "x")[strings.LastIndexByte(claim("state", "x"), '.'):],
		"garbage":               "x.y.z",
	} {
		t.Run(name, func(t *testing.T) {
			rp.w.t = t
			wantErrorPage(t, rp.openObject(rp.w.browser(), object), "invalid_request_object")
			rp.wantRefused(rp.pushObject(object), "invalid_request_object")
		})
	}
}

func TestUnsignedRequestOfAClientThatMustSignIsRefused(t *testing.T) {
	t.Parallel()
	rp := setup(t).signing()
	b := rp.w.signedIn()
	rp.wantError(b, rp.open(b, pkce...), usualState, "invalid_request")
	var plain []string
	for name, values := range rp.ask(pkce...) {
		plain = append(plain, name, values[0])
	}
	rp.wantRefused(rp.pushObject("", plain...), "invalid_request")
	// Beside an object nothing is said of the authorization (RFC 9126 §3).
	rp.wantRefused(rp.pushObject(rp.object(nil), "scope", "openid"), "invalid_request")
}

// The SDK signs and pushes, and another implementation checks the rest.
func TestSDKSignsAndPushes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	client, err := rp.Discover(t.Context(), rp.Config{
		Issuer: issuer, ClientID: "suite.signing", Key: signerKey(), KeyID: "k1", HTTPClient: &http.Client{Transport: w}, Now: w.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, push := range []bool{false, true} {
		signIn, err := rp.NewSignIn(rp.SignInConfig{
			Client: client, RedirectURL: suiteCallback, CookieKey: make([]byte, 32), Sign: true, Push: push,
		})
		if err != nil {
			t.Fatal(err)
		}
		start := httptest.NewRecorder()
		signIn.Start(start, httptest.NewRequest(http.MethodGet, "https://suite.test/sign-in", nil))
		address, err := url.Parse(start.Header().Get("Location"))
		if err != nil || address.Query().Has("scope") || address.Query().Has("request_uri") != push {
			t.Fatalf("%d %v %v", start.Code, address, err)
		}
		back := w.signedIn().get(address.RequestURI())
		if back.location == nil {
			t.Fatalf("%d %s", back.status, back.text("error-description"))
		}
		callback := httptest.NewRequest(http.MethodGet, back.location.String(), nil)
		for _, cookie := range start.Result().Cookies() {
			callback.AddCookie(cookie)
		}
		identity, err := signIn.Finish(httptest.NewRecorder(), callback)
		if err != nil || identity.Subject == "" {
			t.Errorf("push %v: %+v %v", push, identity, err)
		}
	}
}
