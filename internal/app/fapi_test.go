package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// FAPI 2.0, Security Profile and Message Signing, by the client suite.fapi, and the
// client credentials profile by market.strict. What holds of every client is tested
// where it is tested for every client: the proofs of DPoP in possession_test.go and
// internal/dpop, pushed requests in pushed_test.go, request objects in
// requestobject_test.go.

// fapi is a client of the profile, which authenticates by assertions.
type fapi struct {
	*relyingParty
	change func(claims map[string]any) // of the assertion
}

func (w *world) fapi(id string) *fapi {
	return &fapi{relyingParty: &relyingParty{w: w, id: id, redirect: suiteCallback, prover: w.prover()}}
}

// assert sends a form with an assertion of the client and, where it holds a key, a
// proof.
func (f *fapi) assert(path string, pairs ...string) answer {
	f.w.t.Helper()
	return f.assertBy(path, f.w.assertion(func(claims map[string]any) {
		claims["iss"], claims["sub"] = f.id, f.id
		if f.change != nil {
			f.change(claims)
		}
	}), pairs...)
}

func (f *fapi) assertBy(path, assertion string, pairs ...string) answer {
	f.w.t.Helper()
	form := url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(f.w.t.Context(), http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if f.prover != nil {
		f.prover.prove(r, "")
	}
	return f.w.do(r)
}

// authorizes pushes a signed request, signs the person in and gives the code.
func (f *fapi) authorizes(change func(claims map[string]any)) string {
	f.w.t.Helper()
	a := f.assert("/oauth2/par", "request", f.object(change))
	pushed := decode[map[string]any](f.w.t, a.body)
	requestURI, _ := pushed["request_uri"].(string)
	b := f.w.browser()
	return f.code(b, b.signIn(f.openPushed(b, requestURI)), usualState)
}

func (f *fapi) redeems(code string, pairs ...string) answer {
	f.w.t.Helper()
	return f.assert("/oauth2/token", append(f.redemption(code), pairs...)...)
}

// TestFAPIFlow is happy-flow, with a refresh that keeps its token.
func TestFAPIFlow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("suite.fapi")
	got := f.wantTokens(f.redeems(f.authorizes(nil)))
	header := decode[map[string]any](t, segment(t, got.IDToken, 0))
	if header["alg"] != "ES256" {
		t.Errorf("ID token signed with %v", header["alg"])
	}
	if a := f.prover.get("/oauth2/userinfo", got.AccessToken); a.status != http.StatusOK {
		t.Errorf("userinfo: %d %s", a.status, a.body)
	}
	again := f.wantTokens(f.assert("/oauth2/token", "grant_type", "refresh_token", "refresh_token", got.RefreshToken))
	if again.RefreshToken != got.RefreshToken {
		t.Error("the refresh token was rotated")
	}
}

// TestFAPIWithoutOpenID is happy-flow as plain OAuth: a token for an API, nobody is
// signed in to the client, and no ID token says who it was. Without a state none
// comes back.
func TestFAPIWithoutOpenID(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("suite.fapi")
	a := f.assert("/oauth2/par", "request", f.object(func(c map[string]any) {
		c["scope"] = "items.read"
		delete(c, "nonce")
		delete(c, "state")
	}))
	requestURI, _ := decode[map[string]any](t, a.body)["request_uri"].(string)
	b := w.browser()
	got := f.wantTokens(f.redeems(f.code(b, b.signIn(f.openPushed(b, requestURI)), "")))
	if got.IDToken != "" {
		t.Error("an ID token was made that nobody asked for")
	}
	claims := decode[map[string]any](t, segment(t, got.AccessToken, 1))
	confirmation, _ := claims["cnf"].(map[string]any)
	if claims["aud"] != market || claims["scope"] != "items.read" || confirmation["jkt"] != f.prover.key.Thumbprint {
		t.Errorf("the token says %v", claims)
	}
	again := f.wantTokens(f.assert("/oauth2/token", "grant_type", "refresh_token", "refresh_token", got.RefreshToken))
	if again.IDToken != "" || again.RefreshToken != got.RefreshToken {
		t.Errorf("a refresh gave %+v", again)
	}
}

// TestFAPIRequestsArePushedAndSigned is ensure-unsigned-authorization-request-
// without-using-par-fails, ensure-pkce-required, plain-pkce-rejected and what Message
// Signing adds.
func TestFAPIRequestsArePushedAndSigned(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("suite.fapi")
	b := w.browser()
	f.wantError(b, f.open(b, pkce...), usualState, "invalid_request")
	f.wantError(b, b.get("/oauth2/authorize?"+url.Values{"client_id": {f.id}, "request": {f.object(nil)}}.Encode()), usualState, "invalid_request")
	var unsigned []string
	for name, values := range f.ask(pkce...) {
		unsigned = append(unsigned, name, values[0])
	}
	f.wantRefused(f.assert("/oauth2/par", unsigned...), "invalid_request")
	for name, change := range map[string]func(map[string]any){
		"no challenge":       func(c map[string]any) { delete(c, "code_challenge") },
		"a plain challenge":  func(c map[string]any) { c["code_challenge_method"] = "plain" },
		"no redirect_uri":    func(c map[string]any) { delete(c, "redirect_uri") },
		"code id_token":      func(c map[string]any) { c["response_type"] = "code id_token" },
		"another's dpop_jkt": func(c map[string]any) { c["dpop_jkt"] = w.prover().key.Thumbprint },
	} {
		if a := f.assert("/oauth2/par", "request", f.object(change)); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// TestFAPIAssertionsAreForTheIssuerAlone is row K1 and the assertion modules of the
// suite: array-as-audience, par-endpoint- and token-endpoint-url-as-audience, no sub,
// expired, nbf ahead.
func TestFAPIAssertionsAreForTheIssuerAlone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("market.strict")
	ask := []string{"grant_type", "client_credentials", "scope", "book", "resource", "https://api.ledger.test"}
	now := w.clock.Now().Unix()
	for name, c := range map[string]struct {
		change func(map[string]any)
		good   bool
	}{
		"the issuer":                 {nil, true},
		"the issuer in a list":       {func(c map[string]any) { c["aud"] = []string{issuer} }, false},
		"the issuer among others":    {func(c map[string]any) { c["aud"] = []string{issuer, "https://other.test"} }, false},
		"the token endpoint":         {func(c map[string]any) { c["aud"] = issuer + "/oauth2/token" }, false},
		"the pushing endpoint":       {func(c map[string]any) { c["aud"] = issuer + "/oauth2/par" }, false},
		"the issuer with a slash":    {func(c map[string]any) { c["aud"] = issuer + "/" }, false},
		"the issuer in capitals":     {func(c map[string]any) { c["aud"] = strings.ToUpper(issuer) }, false},
		"no sub":                     {func(c map[string]any) { delete(c, "sub") }, false},
		"expired five minutes ago":   {func(c map[string]any) { c["exp"] = now - 300 }, false},
		"nbf eight seconds ahead":    {func(c map[string]any) { c["nbf"] = now + 8 }, true},
		"nbf over a minute ahead":    {func(c map[string]any) { c["nbf"] = now + 61 }, false},
		"exp six minutes to come":    {func(c map[string]any) { c["exp"] = now + 360 }, false},
		"another client's assertion": {func(c map[string]any) { c["iss"], c["sub"] = "market.signer", "market.signer" }, false},
	} {
		w.clock.Advance(time.Minute) // for failures are few
		now = w.clock.Now().Unix()
		f.change = c.change
		a := f.assert("/oauth2/token", append(ask, "client_id", f.id)...)
		if c.good {
			f.wantTokens(a)
		} else if a.status != http.StatusUnauthorized || !strings.Contains(a.body, `"invalid_client"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	// A client of the profile oidc may address the token endpoint (OIDC Core §9).
	plain := w.fapi("market.signer")
	plain.change = func(c map[string]any) { c["aud"] = []string{issuer + "/oauth2/token"} }
	plain.wantTokens(plain.assert("/oauth2/token", "grant_type", "client_credentials", "scope", "charge"))
}

// TestFAPIDoesNotKnowRS256 is ensure-signed-client-assertion-with-RS256-fails: the
// client has an RSA key, which is for PS256 alone.
func TestFAPIDoesNotKnowRS256(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for alg, good := range map[jose.Alg]bool{jose.PS256: true, jose.RS256: false} {
		f := w.fapi("market.strict")
		now := w.clock.Now().Unix()
		payload, err := json.Marshal(map[string]any{"iss": f.id, "sub": f.id, "aud": issuer, "iat": now, "exp": now + 60, "jti": secret.ID()})
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(rsaKey(), alg, "rsa", "JWT")
		if err != nil {
			t.Fatal(err)
		}
		assertion, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		a := f.assertBy("/oauth2/token", assertion, "grant_type", "client_credentials", "scope", "book")
		if good {
			f.wantTokens(a)
		} else {
			f.wantRefused(a, "invalid_client")
		}
	}
}

// TestFAPITokensAreBound is ensure-holder-of-key-required and the mismatches at the
// token endpoint: without a proof there is no token, and a code pushed with a proof
// is for its key.
func TestFAPITokensAreBound(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("suite.fapi")
	code, held := f.authorizes(nil), f.prover
	f.prover = nil
	f.wantRefused(f.redeems(code), "invalid_dpop_proof")
	f.prover = w.prover()
	f.wantRefused(f.redeems(code), "invalid_grant")
	f.prover = held
	f.wantRefused(f.redeems(code, "code_verifier", verifier), "invalid_request") // twice
	got := f.wantTokens(f.redeems(code))
	f.prover = nil
	f.wantRefused(f.assert("/oauth2/token", "grant_type", "refresh_token", "refresh_token", got.RefreshToken), "invalid_dpop_proof")
}

// TestFAPICodes is ensure-authorization-code-is-bound-to-client, attempt-reuse-
// authorization-code, expired-auth-code, and both modules of the code verifier.
func TestFAPICodes(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("suite.fapi")
	code := f.authorizes(nil)
	other := &fapi{relyingParty: &relyingParty{w: w, id: "suite.signing", redirect: suiteCallback, prover: f.prover}}
	f.wantRefused(other.redeems(code), "invalid_grant")
	f.wantRefused(f.assert("/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", f.redirect), "invalid_grant")
	f.wantRefused(f.assert("/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", f.redirect, "code_verifier", strings.Repeat("x", 43)), "invalid_grant")
	f.wantTokens(f.redeems(code))
	w.clock.Advance(time.Second)
	f.wantRefused(f.redeems(code), "invalid_grant")
	late := f.authorizes(nil)
	w.clock.Advance(62 * time.Second)
	f.wantRefused(f.redeems(late), "invalid_grant")
}

// TestResourceOfAProfile: tokens for it are given to clients of the profile alone.
func TestResourceOfAProfile(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ask := []string{"grant_type", "client_credentials", "scope", "book", "resource", "https://api.ledger.test"}
	strict := w.fapi("market.strict")
	strict.wantTokens(strict.assert("/oauth2/token", ask...))
	for _, id := range []string{"market.gateway", "market.signer"} {
		plain := w.fapi(id)
		a := plain.post("/oauth2/token", ask...)
		if id == "market.signer" {
			a = plain.assert("/oauth2/token", ask...)
		}
		plain.wantRefused(a, "unauthorized_client")
	}
	strict.prover = nil
	strict.wantRefused(strict.assert("/oauth2/token", ask...), "invalid_dpop_proof")
}
