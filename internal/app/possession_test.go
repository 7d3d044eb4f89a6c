package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// Proof of possession (RFC 9449): rows D1 to D11 and X8 of what must be refused.

// prover holds a key. Before the proof it makes, change may change what it is for.
type prover struct {
	w      *world
	key    *dpop.Key
	nonce  string
	change func(*dpop.Request)
	last   string // the proof it made last
}

func (w *world) prover() *prover {
	w.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := dpop.NewKey(private)
	if err != nil {
		w.t.Fatal(err)
	}
	return &prover{w: w, key: key}
}

// prove puts a proof into a request; token is the access token sent with it.
func (p *prover) prove(r *http.Request, token string) {
	p.w.t.Helper()
	request := dpop.Request{Method: r.Method, URL: r.URL.String(), Token: token}
	if p.change != nil {
		p.change(&request)
	}
	var err error
	if p.last, err = p.key.Proof(request, p.nonce, p.w.clock.Now()); err != nil {
		p.w.t.Fatal(err)
	}
	r.Header.Set("DPoP", p.last)
}

// get sends a request with a bound token and its proof.
func (p *prover) get(path, token string) answer {
	p.w.t.Helper()
	r, err := http.NewRequestWithContext(p.w.t.Context(), http.MethodGet, issuer+path, nil)
	if err != nil {
		p.w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	p.prove(r, token)
	return p.w.do(r)
}

// send is get with headers as they are given.
func (w *world) send(path string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, issuer+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.do(r)
}

func (rp *relyingParty) tokenType() string {
	if rp.prover != nil {
		return "DPoP"
	}
	return "Bearer"
}

// spa is the public client, which proves to hold a new key.
func (w *world) boundSPA() *relyingParty {
	w.t.Helper()
	return &relyingParty{w: w, id: "market-app.spa", inBody: true, redirect: "https://market.test/callback", prover: w.prover()}
}

// public sends a token request of a public client with a proof.
func (rp *relyingParty) public(pairs ...string) answer {
	rp.w.t.Helper()
	form := url.Values{"client_id": {rp.id}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(rp.w.t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		rp.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if rp.prover != nil {
		rp.prover.prove(r, "")
	}
	return rp.w.do(r)
}

// signIn gives a code for scopes.
func (rp *relyingParty) signIn(scope string, pairs ...string) string {
	rp.w.t.Helper()
	b := rp.w.browser()
	return rp.code(b, b.signIn(rp.open(b, append([]string{"scope", scope, "code_challenge", challenge, "code_challenge_method", "S256"}, pairs...)...)), usualState)
}

func (rp *relyingParty) redemption(code string, more ...string) []string {
	return append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", rp.redirect, "code_verifier", verifier}, more...)
}

func wantUnauthorized(t testing.TB, what string, a answer, code string) {
	t.Helper()
	if challenge := a.header.Get("WWW-Authenticate"); a.status != http.StatusUnauthorized || !strings.Contains(challenge, `error="`+code+`"`) {
		t.Errorf("%s: %d %s %s", what, a.status, challenge, a.body)
	}
}

func TestBoundTokensNameTheirKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	got := rp.wantTokens(rp.public(rp.redemption(rp.signIn("openid items.read"))...))
	claims := decode[map[string]any](t, segment(t, got.AccessToken, 1))
	if cnf, _ := claims["cnf"].(map[string]any); cnf["jkt"] != rp.prover.key.Thumbprint || len(cnf) != 1 {
		t.Errorf("cnf %v, want jkt %s", claims["cnf"], rp.prover.key.Thumbprint)
	}
	service := &relyingParty{w: w, id: "market.gateway"}
	seen := decode[map[string]any](t, service.post("/oauth2/introspect", "token", got.AccessToken).body)
	if cnf, _ := seen["cnf"].(map[string]any); seen["token_type"] != "DPoP" || cnf["jkt"] != rp.prover.key.Thumbprint {
		t.Errorf("introspection %v", seen)
	}
}

// TestProofsAtTheTokenEndpoint is rows D1 to D3: a proof that is not right is refused,
// and the code is left for another try.
func TestProofsAtTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	code := rp.signIn("openid")
	now := w.clock.Now()
	for name, change := range map[string]func(*dpop.Request){
		"another method": func(r *dpop.Request) { r.Method = http.MethodGet },
		"another path":   func(r *dpop.Request) { r.URL = issuer + "/oauth2/par" },
		"another host":   func(r *dpop.Request) { r.URL = "https://evil.test/oauth2/token" },
		"another scheme": func(r *dpop.Request) { r.URL = "http://id.test/oauth2/token" },
	} {
		rp.prover.change = change
		if a := rp.public(rp.redemption(code)...); a.status != http.StatusBadRequest || !strings.Contains(a.body, `"invalid_dpop_proof"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	rp.prover.change = nil
	for _, apart := range []time.Duration{-61 * time.Second, 61 * time.Second} {
		w.clock.Set(now.Add(apart))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader(url.Values{"client_id": {rp.id}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rp.prover.prove(request, "")
		w.clock.Set(now)
		if a := w.do(request); !strings.Contains(a.body, `"invalid_dpop_proof"`) {
			t.Errorf("%v apart: %d %s", apart, a.status, a.body)
		}
	}
	rp.prover.change = func(r *dpop.Request) { r.URL = "HTTPS://ID.test:443/oauth2/token?a=b#c" }
	rp.wantTokens(rp.public(rp.redemption(code)...))
}

// TestProofIsUsedOnceByAllReplicas is row D4.
func TestProofIsUsedOnceByAllReplicas(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	rp := both[0].boundSPA()
	form := url.Values{"client_id": {rp.id}, "grant_type": {"refresh_token"}, "refresh_token": {"x"}}.Encode()
	request := func(w *world) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if rp.prover.last == "" {
			both[0].clock.Advance(time.Minute) // made by a clock that is ahead
			rp.prover.prove(r, "")
			both[0].clock.Advance(-time.Minute)
		}
		r.Header.Set("DPoP", rp.prover.last)
		return r
	}
	if a := both[0].do(request(both[0])); !strings.Contains(a.body, `"invalid_grant"`) {
		t.Fatalf("the first: %d %s", a.status, a.body)
	}
	for range 12 {
		for i, w := range both {
			if a := w.do(request(w)); !strings.Contains(a.body, `"invalid_dpop_proof"`) {
				t.Fatalf("again at replica %d, %v after: %d %s", i, w.clock.Now(), a.status, a.body)
			}
		}
		if err := both[0].app.Registry.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		both[0].clock.Advance(10 * time.Second)
	}
}

// TestBoundTokensAtUserinfo is rows D5 to D8.
func TestBoundTokensAtUserinfo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	token := rp.wantTokens(rp.public(rp.redemption(rp.signIn("openid"))...)).AccessToken
	const path = "/oauth2/userinfo"
	if a := rp.prover.get(path, token); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	wantUnauthorized(t, "the same proof again", w.send(path, "Authorization", "DPoP "+token, "DPoP", rp.prover.last), "invalid_dpop_proof")
	wantUnauthorized(t, "no proof", w.send(path, "Authorization", "DPoP "+token), "invalid_dpop_proof")
	wantUnauthorized(t, "as a bearer token", w.send(path, "Authorization", "Bearer "+token), "invalid_token")
	wantUnauthorized(t, "another key", w.prover().get(path, token), "invalid_token")
	wantUnauthorized(t, "two proofs", w.send(path, "Authorization", "DPoP "+token, "DPoP", "a.b.c", "DPoP", "a.b.c"), "invalid_dpop_proof")
	for name, change := range map[string]func(*dpop.Request){
		"no ath": func(r *dpop.Request) { r.Token = "" }, "another ath": func(r *dpop.Request) { r.Token += "x" },
	} {
		rp.prover.change = change
		wantUnauthorized(t, name, rp.prover.get(path, token), "invalid_dpop_proof")
	}
	rp.prover.change = nil
	plain := *rp
	plain.prover = nil
	unbound := decode[tokens](t, plain.public(plain.redemption(plain.signIn("openid"))...).body)
	if unbound.TokenType != "Bearer" {
		t.Errorf("token type %s", unbound.TokenType)
	}
	wantUnauthorized(t, "a bearer token under the scheme DPoP", rp.prover.get(path, unbound.AccessToken), "invalid_token")
	offered := w.send(path)
	if schemes := offered.header.Values("WWW-Authenticate"); len(schemes) != 2 || !strings.HasPrefix(schemes[1], `DPoP algs="ES256`) {
		t.Errorf("schemes %q", schemes)
	}
}

// TestServersNonce is row D9: the nonce of one replica is good at the other.
func TestServersNonce(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	rp := &relyingParty{w: both[0], id: "suite.bound", redirect: suiteCallback, prover: both[0].prover()}
	code := rp.signIn("openid")
	asked := rp.post("/oauth2/token", rp.redemption(code)...)
	if asked.status != http.StatusBadRequest || !strings.Contains(asked.body, `"use_dpop_nonce"`) {
		t.Fatalf("%d %s", asked.status, asked.body)
	}
	rp.w, rp.prover.w, rp.prover.nonce = both[1], both[1], asked.header.Get("DPoP-Nonce")
	token := rp.wantTokens(rp.post("/oauth2/token", rp.redemption(code)...)).AccessToken
	if a := rp.prover.get("/oauth2/userinfo", token); a.status != http.StatusOK || a.header.Get("DPoP-Nonce") == "" {
		t.Errorf("userinfo: %d %v %s", a.status, a.header, a.body)
	}
	both[0].clock.Advance(4 * time.Minute)
	if a := rp.prover.get("/oauth2/userinfo", token); a.status != http.StatusOK {
		t.Errorf("userinfo after four minutes: %d %s", a.status, a.body)
	}
	for _, nonce := range []string{"", "x", strings.Repeat("A", 32), asked.header.Get("DPoP-Nonce") + "A"} {
		rp.prover.nonce = nonce
		wantUnauthorized(t, "nonce "+nonce, rp.prover.get("/oauth2/userinfo", token), "use_dpop_nonce")
	}
	rp.prover = nil
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", "x"), "invalid_dpop_proof")
}

// TestRefreshTokensOfPublicClientsAreBound is row D10: no other key than the first
// will do, and none at all does not.
func TestRefreshTokensOfPublicClientsAreBound(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	held := rp.wantTokens(rp.public(rp.redemption(rp.signIn("openid"))...)).RefreshToken
	thief, naked := *rp, *rp
	thief.prover, naked.prover = w.prover(), nil
	for name, other := range map[string]*relyingParty{"another key": &thief, "no proof": &naked} {
		if a := other.public("grant_type", "refresh_token", "refresh_token", held); a.status != http.StatusBadRequest || !strings.Contains(a.body, `"invalid_grant"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	rp.wantTokens(rp.public("grant_type", "refresh_token", "refresh_token", held)) // nothing was lost
}

// TestConfidentialClientsMayChangeTheirKey: they prove themselves, and a bound refresh
// token still gives no bearer token.
func TestConfidentialClientsMayChangeTheirKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.suite("")
	rp.prover = w.prover()
	held := rp.redeem(rp.signIn("openid"), "code_verifier", verifier).RefreshToken
	rp.prover = w.prover()
	rp.wantTokens(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", held))
	rp.prover = nil
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", held), "invalid_grant")
}

// TestCodesAreBoundToAKey is row D11, by the parameter and by a pushed request.
func TestCodesAreBoundToAKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	thief := *rp
	thief.prover = w.prover()
	code := rp.signIn("openid", "dpop_jkt", rp.prover.key.Thumbprint)
	if a := thief.public(rp.redemption(code)...); !strings.Contains(a.body, `"invalid_grant"`) {
		t.Errorf("another key: %d %s", a.status, a.body)
	}
	rp.wantTokens(rp.public(rp.redemption(code)...))

	pushing := w.pushing()
	pushing.prover = w.prover()
	wrong := pushing.push(append(pkce, "dpop_jkt", thief.prover.key.Thumbprint)...)
	pushing.wantRefused(wrong, "invalid_dpop_proof")
	pushing.wantRefused(pushing.push(append(pkce, "dpop_jkt", "x")...), "invalid_request")
	b := w.browser()
	code = pushing.code(b, b.signIn(pushing.openPushed(b, pushing.pushes(pkce...))), usualState)
	held := pushing.prover
	for _, other := range []*prover{nil, thief.prover} {
		pushing.prover = other
		pushing.wantRefused(pushing.post("/oauth2/token", pushing.redemption(code)...), "invalid_grant")
	}
	pushing.prover = held
	pushing.redeem(code, "code_verifier", verifier)
}

// TestEdgesDemandBoundTokens: a resource, and an edge, may take bound tokens alone.
func TestEdgesDemandBoundTokens(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	naked := *rp
	naked.prover = nil
	code := rp.signIn("openid transfer")
	if a := naked.public(rp.redemption(code, "resource", bank)...); !strings.Contains(a.body, `"invalid_request"`) || !strings.Contains(a.body, "bound") {
		t.Errorf("a bearer token for the bank: %d %s", a.status, a.body)
	}
	rp.wantTokens(rp.public(rp.redemption(code, "resource", bank)...))

	service := &relyingParty{w: w, id: "bank.backend"}
	batch := []string{"grant_type", "client_credentials", "resource", market, "scope", "settle"}
	service.wantRefused(service.post("/oauth2/token", batch...), "invalid_request")
	service.prover = w.prover()
	service.wantTokens(service.post("/oauth2/token", batch...))
}

const bank = "https://api.bank.test"

// TestBoundSubjectTokensAreExchangedWithTheirProof is row X8: app → bank → market,
// bound all the way, each to the key of whoever got it.
func TestBoundSubjectTokensAreExchangedWithTheirProof(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.boundSPA()
	subject := rp.wantTokens(rp.public(rp.redemption(rp.signIn("openid transfer"), "resource", bank)...)).AccessToken
	call := func(p *prover, token string) string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, bank+"/transfers", nil)
		if err != nil {
			t.Fatal(err)
		}
		p.prove(r, token)
		return p.last
	}
	seen := call(rp.prover, subject)
	service := &relyingParty{w: w, id: "bank.backend", prover: w.prover()}
	ask := exchange(subject, market)
	for name, proof := range map[string]string{
		"none": "", "of another key": call(w.prover(), subject), "of another token": call(rp.prover, subject+"x"),
		"of the asker": call(service.prover, subject), "garbage": "a.b.c",
	} {
		a := service.post("/oauth2/token", append(ask, "subject_token_proof", proof)...)
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, `"invalid_request"`) || !strings.Contains(a.body, "subject_token") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	got := service.wantTokens(service.post("/oauth2/token", append(ask, "subject_token_proof", seen)...))
	claims := decode[map[string]any](t, segment(t, got.AccessToken, 1))
	if cnf, _ := claims["cnf"].(map[string]any); cnf["jkt"] != service.prover.key.Thumbprint {
		t.Errorf("cnf %v, want that of the asker", claims["cnf"])
	}
	w.clock.Advance(4 * time.Minute)
	service.wantTokens(service.post("/oauth2/token", append(ask, "subject_token_proof", seen)...))
}

// TestProofsAreSeenByTheOtherAPIs: conversion and streams take bound tokens, with
// their proof only.
func TestProofsAreSeenByTheOtherAPIs(t *testing.T) {
	t.Parallel()
	w := setup(t)
	service := &relyingParty{w: w, id: "pay.backend", prover: w.prover()}
	token := service.wantTokens(service.post("/oauth2/token", "grant_type", "client_credentials", "scope", "subjects:convert")).AccessToken
	convert := func(scheme string, p *prover) answer {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/subjects/convert", strings.NewReader(`{"from":"market-app","to":"pay","subjects":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", scheme+" "+token)
		if p != nil {
			p.prove(r, token)
		}
		return w.do(r)
	}
	wantUnauthorized(t, "as a bearer token", convert("Bearer", service.prover), "invalid_token")
	wantUnauthorized(t, "without a proof", convert("DPoP", nil), "invalid_dpop_proof")
	wantUnauthorized(t, "with another's", convert("DPoP", w.prover()), "invalid_token")
	if a := convert("DPoP", service.prover); a.status != http.StatusOK {
		t.Errorf("with its proof: %d %s", a.status, a.body)
	}
}

// group is the APIs of the bank and of the market beside the server, as one transport.
type group struct {
	w    *world
	apis map[string]http.Handler // by host
}

func (g group) RoundTrip(r *http.Request) (*http.Response, error) {
	api, ok := g.apis[r.URL.Host]
	if !ok {
		return g.w.RoundTrip(r)
	}
	recorder := httptest.NewRecorder()
	r.Host = r.URL.Host
	api.ServeHTTP(recorder, r)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// discover makes a client of the SDK in the group.
func (g group) discover(config rp.Config) *rp.Client {
	g.w.t.Helper()
	config.Issuer, config.HTTPClient, config.Now = issuer, &http.Client{Transport: g}, g.w.clock.Now
	found, err := rp.Discover(g.w.t.Context(), config)
	if err != nil {
		g.w.t.Fatal(err)
	}
	return found
}

// guard makes a guard of the SDK in the group.
func (g group) guard(config rs.Config) *rs.Guard {
	g.w.t.Helper()
	config.Issuer, config.HTTPClient, config.Now = issuer, &http.Client{Transport: g}, g.w.clock.Now
	made, err := rs.New(g.w.t.Context(), config)
	if err != nil {
		g.w.t.Fatal(err)
	}
	return made
}

// TestSDKHoldsItsKeys: app → bank → market with the SDK alone. Each has a key of its
// own, the market asks for its nonce, and a stolen token opens nothing.
func TestSDKHoldsItsKeys(t *testing.T) {
	t.Parallel()
	w := setup(t)
	around := group{w, map[string]http.Handler{}}
	discover, guard := around.discover, around.guard
	key := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	appKey := key()
	app := discover(rp.Config{ClientID: "market-app.spa", DPoPKey: appKey})
	backend := discover(rp.Config{ClientID: "bank.backend", Secret: secrets["bank.backend"], DPoPKey: key()})
	inner := guard(rs.Config{Audience: market, BaseURL: market, BoundOnly: true, NonceKey: make([]byte, 32)})
	around.apis["api.market.test"] = inner.User("items.read", func(w http.ResponseWriter, r *http.Request, user *rs.User) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, strings.Join(user.Chain, "←")+" "+string(body))
	})
	var stolen string
	around.apis["api.bank.test"] = guard(rs.Config{Audience: bank, BaseURL: bank}).User("transfer", func(w http.ResponseWriter, r *http.Request, _ *rs.User) {
		stolen = r.Header.Get("Authorization")
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, market+"/items", strings.NewReader("twice read"))
		if err != nil {
			t.Error(err)
		}
		answer, err := backend.OnBehalf(market).Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = answer.Body.Close() }()
		body, _ := io.ReadAll(answer.Body)
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(body)
	})

	held, err := dpop.NewKey(appKey)
	if err != nil {
		t.Fatal(err)
	}
	person := w.boundSPA()
	person.prover.key = held
	tokens := person.wantTokens(person.public(person.redemption(person.signIn("openid transfer"), "resource", bank)...))
	fresh, err := app.Refresh(t.Context(), tokens.RefreshToken, bank)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second with the nonce it knows
		answer, err := app.TokenClient(fresh).Post(bank+"/transfers?all=1", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK || string(body) != "bank.backend←market-app.spa twice read" {
			t.Fatalf("%d %v %s", answer.StatusCode, answer.Header, body)
		}
	}
	thief := discover(rp.Config{ClientID: "market-app.spa", DPoPKey: key()})
	answer, err := thief.TokenClient(&oauth2.Token{AccessToken: strings.TrimPrefix(stolen, "DPoP ")}).Get(bank + "/transfers")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stolen token: %d", answer.StatusCode)
	}

	// The server's own nonce, asked for at each of its endpoints.
	strict := discover(rp.Config{ClientID: "suite.bound", Secret: secrets["suite.bound"], DPoPKey: appKey})
	suite := &relyingParty{w: w, id: "suite.bound", redirect: suiteCallback}
	code := suite.signIn("openid")
	suite.prover = &prover{w: w, key: held}
	suite.prover.nonce = suite.post("/oauth2/token", suite.redemption(code)...).header.Get("DPoP-Nonce")
	mine := suite.wantTokens(suite.post("/oauth2/token", suite.redemption(code)...))
	again, err := strict.Refresh(t.Context(), mine.RefreshToken, "")
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	subject, _ := decode[map[string]any](t, segment(t, mine.IDToken, 1))["sub"].(string)
	if err := strict.UserInfo(t.Context(), again.AccessToken, subject, &claims); err != nil {
		t.Error(err)
	}
}

// TestRegisteredClientsTokensAreBoundWhereItSaysSo is RFC 9449 §5.2.
func TestRegisteredClientsTokensAreBoundWhereItSaysSo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader("dpop_bound_access_tokens", true))
	if a := w.ask(http.MethodGet, made.URI, made.Token, nil); !strings.Contains(a.body, `"dpop_bound_access_tokens":true`) {
		t.Errorf("its metadata: %s", a.body)
	}
	rp := &relyingParty{w: w, id: made.ID, given: made.Secret, redirect: readerCallback}
	b := w.signedIn()
	code := rp.code(b, b.fill(rp.open(b, pkce...), "consent-form", "decision", "allow"), usualState)
	rp.wantRefused(rp.post("/oauth2/token", rp.redemption(code)...), "invalid_dpop_proof")
	rp.prover = w.prover()
	rp.redeem(code, "code_verifier", verifier)
}
