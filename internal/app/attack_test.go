package app_test

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/keyring"
)

// What an attacker would try next, over the whole server.

// TestOnlyTheConfiguredIssuerIsBelieved: whatever a request says of the host it
// came to, the metadata, iss, redirects, pages and cookies name the configured
// issuer (check R20).
func TestOnlyTheConfiguredIssuerIsBelieved(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b := w.suite(""), w.browser()
	usual := b.get("/.well-known/openid-configuration").body
	b.host = "evil.test"
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url"} {
		b.header.Set(name, "evil.test")
	}
	b.header.Set("X-Forwarded-Proto", "http")
	b.header.Set("X-Forwarded-Prefix", "/evil")
	b.header.Set("Forwarded", "host=evil.test;proto=http")
	if got := b.get("/.well-known/openid-configuration").body; got != usual {
		t.Errorf("metadata %s", got)
	}
	first := b.send(http.MethodGet, "/oauth2/authorize?"+rp.ask().Encode(), nil)
	page := b.follow(first)
	for _, a := range []answer{first, page, b.get("/account"), b.get("/nothing")} {
		for name, values := range a.header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%s: %q", name, values)
			}
		}
		if strings.Contains(a.body, "evil") {
			t.Errorf("the page names the host of the request:\n%s", a.body)
		}
	}
	if cookie := first.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-") || !strings.Contains(cookie, "; Secure") || strings.Contains(cookie, "Domain") {
		t.Errorf("cookie %q", cookie)
	}
	rp.finish(b, b.signIn(page)) // iss is checked there
}

// TestNothingIsFetched: no parameter of a request makes the server call
// anybody (check R18).
func TestNothingIsFetched(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b, evil := w.suite(""), w.signedIn(), attacker(t)
	rp.wantError(b, rp.open(b, "request_uri", evil+"/object"), usualState, "request_uri_not_supported")
	rp.wantError(b, rp.open(b, "request", evil), usualState, "request_not_supported")
	rp.wantError(b, rp.open(b, "registration", `{"jwks_uri":"`+evil+`"}`), usualState, "registration_not_supported")
	rp.wantError(b, rp.open(b, "resource", evil), usualState, "invalid_target")
	wantErrorPage(t, rp.open(b, "redirect_uri", evil), "invalid_request")
	wantErrorPage(t, rp.open(b, "client_id", evil), "invalid_request")
	rp.logout(b, "post_logout_redirect_uri", evil)
	rp.finish(b, rp.open(b, "claims", `{"userinfo":{"picture":{"value":"`+evil+`"}}}`, "login_hint", evil))
}

// TestClientIDsAreComparedByteForByte: look-alikes, other case, other Unicode
// forms and encodings of a client id are unknown, at both endpoints.
func TestClientIDsAreComparedByteForByte(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b := w.suite(""), w.signedIn()
	for _, id := range []string{
		"SUITE.BASIC", "Suite.basic", "suite.basic ", " suite.basic", "suite.basic.", "suite..basic", "suite%2Ebasic", "suite\u2024basic",
		"\u017fuite.basic", "su\u0131te.basic", "suite.ba\u0455ic", "\uff53uite.basic", "suite.basic\u200b", "suite\u3002basic", "suite/basic", "suite.basic\t", "*", "",
	} {
		wantErrorPage(t, rp.open(b, "client_id", id), "invalid_request")
		a := w.browser().send(http.MethodPost, "/oauth2/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secrets["suite.basic"]},
		})
		rp.wantRefused(a, "invalid_client")
		w.clock.Advance(10 * time.Second) // failures of one source are counted
	}
}

// TestSecretsAreFormEncodedInBasic: a secret with the characters that form
// encoding changes is good in that form only (RFC 6749 §2.3.1, check T1).
func TestSecretsAreFormEncodedInBasic(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.suite("")
	rp.id = "suite.second"
	b := w.signedIn()
	rp.finish(b, rp.open(b))
	for _, pair := range [][2]string{
		{rp.id, secrets[rp.id]}, {rp.id, url.PathEscape(secrets[rp.id])}, {url.QueryEscape(rp.id), url.QueryEscape(url.QueryEscape(secrets[rp.id]))},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", strings.NewReader("grant_type=authorization_code&code=x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(pair[0], pair[1])
		a := w.do(r)
		rp.wantRefused(a, "invalid_client")
	}
}

// TestWordsHaveOneSpelling: the words of the protocol have one
// spelling.
func TestWordsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := &relyingParty{w: w, id: "pay.backend"}
	for _, grantType := range []string{"Client_Credentials", "client_credentials ", "client-credentials", "client_credential\u017f", "password"} {
		rp.wantRefused(rp.post("/oauth2/token", "grant_type", grantType, "scope", "settle"), "unsupported_grant_type")
	}
	suite, b := w.suite(""), w.signedIn()
	for _, pair := range [][]string{{"response_type", "CODE"}, {"response_type", "code "}, {"response_type", "code code"}} {
		suite.wantError(b, suite.open(b, pair...), usualState, "unsupported_response_type")
	}
	for _, pair := range [][]string{{"response_mode", "QUERY"}, {"response_mode", "form_post.JWT"}, {"prompt", "NONE"}, {"prompt", "none,login"}} {
		suite.wantError(b, suite.open(b, pair...), usualState, "invalid_request")
	}
}

// TestMethodOverridesAreIgnored: a header or field does not turn a GET into a
// POST.
func TestMethodOverridesAreIgnored(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.signedIn()
	b.header.Set("X-Http-Method-Override", "POST")
	b.header.Set("X-Http-Method", "POST")
	for _, path := range []string{"/oauth2/token?grant_type=client_credentials&_method=POST", "/oauth2/revoke?token=x", "/oauth2/introspect?token=x"} {
		if a := b.send(http.MethodGet, path, nil); a.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
	rp := w.suite("")
	b.get("/oauth2/logout?confirm=yes")
	rp.finish(b, rp.open(b, "prompt", "none"))
}

// TestStolenCodeIsWorthNothingInAnotherBrowser: a code that an attacker puts
// into the callback of somebody else's sign-in does not fit its verifier, and
// one without PKCE does not fit its nonce (RFC 9700 §4.5).
func TestStolenCodeIsWorthNothingInAnotherBrowser(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.suite("")
	thief, honest := w.signedIn(), w.signedIn()
	stolen := rp.code(thief, rp.open(thief, "code_challenge", challenge, "code_challenge_method", "S256", "nonce", "of-the-thief"), usualState)
	rp.code(honest, rp.open(honest, "code_challenge", strings.Repeat("A", 42)+"E", "code_challenge_method", "S256"), usualState)
	another := strings.Repeat("another-verifier-", 3)
	redemption := []string{"grant_type", "authorization_code", "code", stolen, "redirect_uri", rp.redirect}
	rp.wantRefused(rp.post("/oauth2/token", append(redemption, "code_verifier", another)...), "invalid_grant")
	rp.wantRefused(rp.post("/oauth2/token", redemption...), "invalid_grant")
	plain := rp.code(thief, rp.open(thief, "nonce", "of-the-thief"), usualState)
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "authorization_code", "code", plain, "redirect_uri", rp.redirect, "code_verifier", another), "invalid_grant")
	if id := rp.idToken(rp.redeem(plain), "of-the-thief"); id["nonce"] == usualNonce {
		t.Error("the ID token has a nonce that it was not asked with")
	}
}

// TestSessionCannotBeFixed: neither a session nor a browser cookie that was
// there before a sign-in opens it for whoever put it there.
func TestSessionCannotBeFixed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, thief, victim := w.suite(""), w.browser(), w.browser()
	page := rp.open(thief)
	action, _ := thief.form(page, "signin-form")
	victim.setCookie("__Host-sekisho_browser", thief.cookie("__Host-sekisho_browser"))
	victim.setCookie(sessionCookie, "a-session-that-the-thief-chose-and-knows-0123")
	rp.code(victim, victim.signIn(victim.get(action)), usualState)
	if got := victim.cookie(sessionCookie); got == "" || got == "a-session-that-the-thief-chose-and-knows-0123" {
		t.Errorf("session cookie %q after the sign-in", got)
	}
	rp.wantGone(thief)
	if a := thief.get(action); a.location != nil || !a.has("error-code") && !a.has("signin-form") {
		t.Errorf("the thief is shown %d %v", a.status, a.location)
	}
	thief.setCookie(sessionCookie, "a-session-that-the-thief-chose-and-knows-0123")
	rp.wantGone(thief)
}

// TestTokensOfAnotherInstallationAreForeign: the same issuer name, group and
// even the same PPID secret do not make another database's tokens ours (checks
// X3, I4: wrong realm).
func TestTokensOfAnotherInstallationAreForeign(t *testing.T) {
	t.Parallel()
	ours, dir := setup(t), t.TempDir()
	group, err := writeGroup(dir)
	if err != nil {
		t.Fatal(err)
	}
	theirs := &world{t: t, path: filepath.Join(dir, "sekisho.db"), clock: ours.clock, log: &logBuffer{}}
	if err := theirs.open(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.app.Close(context.Background()) })
	if theirs.person, err = theirs.app.People.SignUp(t.Context(), account.NewAccount{Email: email, Password: password}); err != nil {
		t.Fatal(err)
	}
	rp, b := theirs.suite(""), theirs.signedIn()
	foreign := rp.finish(b, rp.open(b, "scope", "openid items.read")).tokens

	local, gateway := ours.suite(""), &relyingParty{w: ours, id: "market.gateway"}
	if a := gateway.post("/oauth2/introspect", "token", foreign.AccessToken); a.body != `{"active":false}` {
		t.Errorf("introspection: %s", a.body)
	}
	gateway.wantRefused(gateway.post("/oauth2/token", exchange(foreign.AccessToken, pay)...), "invalid_request")
	if a := ours.bearer(http.MethodGet, "/oauth2/userinfo", foreign.AccessToken); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo: %d", a.status)
	}
	local.wantRefused(local.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", foreign.RefreshToken), "invalid_grant")
	browser := ours.signedIn()
	local.wantError(browser, local.open(browser, "id_token_hint", foreign.IDToken), usualState, "invalid_request")
	browser.setCookie(sessionCookie, b.cookie(sessionCookie))
	local.wantGone(browser)
}

// TestTokensOfOurKeysWithOtherClaimsAreForeign: what was signed with our own
// key, but for another issuer or for later, is not valid here (check X3).
func TestTokensOfOurKeysWithOtherClaimsAreForeign(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b := w.suite(""), w.signedIn()
	real := rp.finish(b, rp.open(b, "scope", "openid items.read")).tokens.AccessToken
	gateway := &relyingParty{w: w, id: "market.gateway"}
	now := w.clock.Now()
	for name, changes := range map[string]map[string]any{
		"nothing changed":         nil,
		"another issuer":          {"iss": "https://other.test"},
		"the issuer with a dash":  {"iss": issuer + "/"},
		"a client nobody has":     {"client_id": "suite.nobody"},
		"a person nobody is":      {"sub": strings.Repeat("a", 26)},
		"expired":                 {"exp": now.Unix()},
		"without an end":          {"exp": 0},
		"issued in a moment":      {"iat": now.Add(59 * time.Second).Unix(), "exp": now.Add(2 * time.Hour).Unix()},
		"issued in an hour":       {"iat": now.Add(time.Hour).Unix(), "exp": now.Add(2 * time.Hour).Unix()},
		"a jti not of our making": {"jti": "0123456789abcdef"},
	} {
		claims := decode[map[string]any](t, segment(t, real, 1))
		for claim, value := range changes {
			claims[claim] = value
		}
		token, err := w.app.Keys.Sign(keyring.Access, []byte(encode(t, claims)))
		if err != nil {
			t.Fatal(err)
		}
		good := name == "nothing changed" || name == "issued in a moment"
		a := gateway.post("/oauth2/introspect", "token", token)
		if active := a.body != `{"active":false}`; active != good {
			t.Errorf("%s: introspection %s", name, a.body)
		}
		if !good {
			gateway.wantRefused(gateway.post("/oauth2/token", exchange(token, pay)...), "invalid_request")
		}
	}
}

// TestIDTokensOfOurKeysWithOtherClaimsNameNobody: an ID token of our own key for
// another issuer, another client or several is no hint (check R16).
func TestIDTokensOfOurKeysWithOtherClaimsNameNobody(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b := w.suite(""), w.signedIn()
	real := rp.finish(b, rp.open(b)).tokens.IDToken
	for name, changes := range map[string]map[string]any{
		"nothing changed":         nil,
		"expired":                 {"exp": w.clock.Now().Add(-time.Hour).Unix()},
		"another issuer":          {"iss": "https://other.test"},
		"another client":          {"aud": "market-app.spa"},
		"several clients":         {"aud": []string{rp.id, "market-app.spa"}},
		"this client twice":       {"aud": []string{rp.id, rp.id}},
		"no client":               {"aud": []string{}},
		"a client nobody has":     {"aud": "suite.nobody"},
		"a person nobody is":      {"sub": strings.Repeat("a", 26)},
		"a client for a person":   {"sub": rp.id},
		"no person":               {"sub": nil},
		"an audience of a number": {"aud": 5},
	} {
		claims := decode[map[string]any](t, segment(t, real, 1))
		for claim, value := range changes {
			claims[claim] = value
		}
		hint, err := w.app.Keys.Sign(keyring.IDRS256, []byte(encode(t, claims)))
		if err != nil {
			t.Fatal(err)
		}
		a := rp.open(b, "prompt", "none", "id_token_hint", hint)
		if name == "nothing changed" || name == "expired" {
			rp.code(b, a, usualState)
		} else {
			rp.wantError(b, a, usualState, "invalid_request")
		}
	}
}

// TestFreshServerHasNoAccounts: nobody can sign in to a new installation with
// anything (check A12).
func TestFreshServerHasNoAccounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	group, err := writeGroup(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, path: filepath.Join(dir, "sekisho.db"), clock: newClock(), log: &logBuffer{}}
	if err := w.open(t.Context(), group); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.app.Close(context.Background()) })
	err = w.app.DB.Read(t.Context(), func(tx *db.Tx) error {
		n, err := w.app.People.CountActive(t.Context(), tx)
		if err == nil && n != 0 {
			t.Errorf("%d accounts", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"admin", "admin@id.test", "root", "test"} {
		b := w.browser()
		if a := b.fill(b.get("/account"), "signin-form", "email", login, "password", "admin"); a.status != http.StatusUnprocessableEntity || b.cookie(sessionCookie) != "" {
			t.Errorf("%s: %d", login, a.status)
		}
	}
}
