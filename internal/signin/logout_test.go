package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/grant"
)

// signedIn is a browser in which aiko is signed in at shop, and the ID token
// that shop got.
func (b *bundle) signedIn() (w *browser, hint string) {
	b.t.Helper()
	w = b.browser()
	granted := b.redeem(wantCode(b.t, w.signIn(w.authorize(), "aiko"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	return w, b.idToken(granted)
}

// wantSignedIn checks whether anybody is signed in, without asking them.
func (w *browser) wantSignedIn(yes bool) {
	w.b.t.Helper()
	a := w.authorize("prompt", "none")
	if yes {
		wantCode(w.b.t, a, "https://a.example/cb?")
	} else {
		wantTold(w.b.t, a, "https://a.example/cb?", "login_required", "")
	}
}

func logoutQuery(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return "/oauth2/logout?" + values.Encode()
}

// TestLogoutByClient: a hint of this session and a registered address lead
// straight back (RP-Initiated Logout §2).
func TestLogoutByClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	state := strings.Repeat("s", 128)
	for name, test := range map[string]struct{ uri, state, want string }{
		"with state":    {"https://a.example/bye", state, "https://a.example/bye?state=" + state},
		"without state": {"https://a.example/bye", "", "https://a.example/bye"},
		"with a query":  {"https://a.example/bye?from=id", "x y", "https://a.example/bye?from=id&state=x+y"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, hint := b.signedIn()
			old := w.cookie("__Host-sekisho_session")
			a := w.get(logoutQuery("id_token_hint", hint, "post_logout_redirect_uri", test.uri, "state", test.state, "client_id", "shop.web"))
			if a.status != http.StatusSeeOther || a.location == nil || a.location.String() != test.want {
				t.Fatalf("%d %v, want %s", a.status, a.location, test.want)
			}
			w.wantSignedIn(false)
			if w.cookie("__Host-sekisho_session") != "" {
				t.Error("the cookie is still there")
			}
			thief := b.browser()
			thief.setCookie("__Host-sekisho_session", old)
			thief.wantSignedIn(false)
			// A second time nobody is signed in; the person is brought back all the same.
			a = w.get(logoutQuery("id_token_hint", hint, "post_logout_redirect_uri", test.uri, "state", test.state))
			if a.location == nil || a.location.String() != test.want {
				t.Errorf("second time %d %v", a.status, a.location)
			}
		})
	}
}

// TestLogoutByPost: the same by a form of the client, which comes without
// cookies and goes around once.
func TestLogoutByPost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, hint := b.signedIn()
	form := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://a.example/bye"}, "state": {"st"}}
	a := b.browser().send(http.MethodPost, "/oauth2/logout", form)
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location.String(), issuer+"/oauth2/logout?") {
		t.Fatalf("%d %v", a.status, a.location)
	}
	if a = w.get(a.location.String()); a.location == nil || a.location.String() != "https://a.example/bye?state=st" {
		t.Fatalf("%d %v", a.status, a.location)
	}
	w.wantSignedIn(false)
	w, hint = b.signedIn()
	form.Set("id_token_hint", hint)
	if a = w.post("/oauth2/logout", form); a.location == nil || a.location.String() != "https://a.example/bye?state=st" {
		t.Fatalf("with cookies %d %v", a.status, a.location)
	}
	w.wantSignedIn(false)
}

// TestLogoutWithoutProof: everybody else's person is asked, and never sent to
// an address (I10).
func TestLogoutWithoutProof(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, other := b.signedIn() // the same person in another browser: another session
	ben := b.browser()
	bens := b.idToken(b.redeem(wantCode(t, ben.signIn(ben.authorize(), "ben"), "https://a.example/cb?"), "shop.web", "https://a.example/cb"))
	_, mine := b.signedIn()
	parts := strings.Split(mine, ".")
	back := []string{"post_logout_redirect_uri", "https://a.example/bye", "state", "st"}
	for name, query := range map[string]string{
		"nothing":                      "/oauth2/logout",
		"state alone":                  logoutQuery("state", "st"),
		"address alone":                logoutQuery(back...),
		"address and client":           logoutQuery(append(back, "client_id", "shop.web")...),
		"hint of another session":      logoutQuery(append(back, "id_token_hint", other)...),
		"hint of another person":       logoutQuery(append(back, "id_token_hint", bens)...),
		"hint without signature":       logoutQuery(append(back, "id_token_hint", "eyJhbGciOiJub25lIn0."+parts[1]+".")...),
		"hint signed by somebody else": logoutQuery(append(back, "id_token_hint", parts[0]+"."+parts[1]+"."+parts[2][1:]+"A")...),
		"unknown address":              logoutQuery("post_logout_redirect_uri", "https://evil.test/"),
		"unknown client":               logoutQuery("post_logout_redirect_uri", "https://evil.test/", "client_id", "nobody.web"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := b.signedIn()
			page := w.get(query)
			wantPage(t, page, "logout-confirm")
			if strings.Contains(page.body, "evil.test") || strings.Contains(page.body, "a.example") {
				t.Error("the page names the address")
			}
			w.wantSignedIn(true)
			page = w.get(query) // the check above may have changed nothing, the page is fetched anew all the same
			a := w.fill(page, "logout-form")
			wantPage(t, a, "signed-out")
			w.wantSignedIn(false)
		})
	}
	t.Run("hint of this session beside another client", func(t *testing.T) {
		t.Parallel()
		w, hint := b.signedIn()
		wantPage(t, w.get(logoutQuery("id_token_hint", hint, "client_id", "games.web", "post_logout_redirect_uri", "https://games.test/bye")), "logout-confirm")
		w.wantSignedIn(true)
	})
	t.Run("hint of this session and no address", func(t *testing.T) {
		t.Parallel()
		w, hint := b.signedIn()
		wantPage(t, w.get(logoutQuery("id_token_hint", hint)), "signed-out")
		w.wantSignedIn(false)
	})
	t.Run("expired hint of this session", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		w, hint := b.signedIn()
		b.clock.Advance(30 * time.Minute)
		a := w.get(logoutQuery(append(back, "id_token_hint", hint)...))
		if a.location == nil || a.location.String() != "https://a.example/bye?state=st" {
			t.Errorf("%d %v", a.status, a.location)
		}
	})
}

// TestLogoutToUnregisteredAddress is an error page. Whom the client has proved
// by a hint is signed out, nobody else.
func TestLogoutToUnregisteredAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, _ := b.signedIn()
	for _, uri := range []string{
		"https://a.example/bye?x=1", "https://a.example/bye/", "https://A.example/bye", "https://a.example/cb", "https://evil.test/",
		"https://games.test/bye", "javascript:alert(1)", "//evil.test", "/account", "https://a.example/bye#x",
	} {
		address := []string{"post_logout_redirect_uri", uri}
		hinted, hint := b.signedIn()
		wantShown(t, hinted.get(logoutQuery(append(address, "id_token_hint", hint)...)), http.StatusBadRequest, "invalid_request", "post_logout_redirect_uri")
		hinted.wantSignedIn(false)
		for _, pairs := range [][]string{{"client_id", "shop.web"}, {"id_token_hint", hint}} {
			wantShown(t, w.get(logoutQuery(append(address, pairs...)...)), http.StatusBadRequest, "invalid_request", "post_logout_redirect_uri")
		}
	}
	wantShown(t, w.get("/oauth2/logout?state=a&state=b"), http.StatusBadRequest, "invalid_request", "more than once")
	w.wantSignedIn(true)
}

// TestLogoutWhenNobodyIsSignedIn says so.
func TestLogoutWhenNobodyIsSignedIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wantPage(t, b.browser().get("/oauth2/logout"), "signed-out")
	wantPage(t, b.browser().get("/oauth2/logout?state=x&ui_locales=ja"), "signed-out")
	// Nor is anybody sent on without a hint.
	back := []string{"post_logout_redirect_uri", "https://a.example/bye", "state", "st", "client_id", "shop.web"}
	wantPage(t, b.browser().get(logoutQuery(back...)), "signed-out")
	wantPage(t, b.browser().get(logoutQuery(append(back, "id_token_hint", "x.y.z")...)), "signed-out")
}

// TestPagesAreWorthlessAfterLogout: what was open before decides nothing.
func TestPagesAreWorthlessAfterLogout(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, hint := b.signedIn()
	consent := w.authorize(asBlog...)
	wantPage(t, consent, "consent-form")
	w.get(logoutQuery("id_token_hint", hint))
	wantShown(t, w.fill(consent, "consent-form", "decision", "allow"), http.StatusGone, "invalid_request", "another browser")
}

func TestAccountPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.get("/account")
	wantPage(t, page, "signin-form")
	if has(page, "cancel") {
		t.Error("there is nowhere to cancel to")
	}
	page = w.signIn(page, "aiko")
	if text(page, "account-email") != "aiko@example.test" || !strings.Contains(text(page, "account-consents"), "You have not given access") {
		t.Fatalf("account page\n%s", page.body)
	}
	granted := b.redeem(wantCode(t, w.fill(w.authorize(asBlog...), "consent-form", "decision", "allow"), "https://blog.test/cb?"), "blog.web", "https://blog.test/cb")
	page = w.get("/account?ui_locales=ja")
	for _, words := range []string{"ブログ", "商品を見る", "マーケット", "2027-01-15"} {
		if !strings.Contains(text(page, "account-consents"), words) {
			t.Errorf("the list does not say %q:\n%s", words, text(page, "account-consents"))
		}
	}
	// A page with another client in the form takes nothing back.
	action, values := w.form(page, "withdraw-blog.web")
	values.Set("client_id", "evil.web")
	wantShown(t, w.post(action, values), http.StatusForbidden, "invalid_request", "")
	page = w.fill(w.get("/account"), "withdraw-blog.web")
	if !strings.Contains(text(page, "notice"), "Blog no longer has access") || has(page, "withdraw-blog.web") {
		t.Errorf("after the withdrawal\n%s", page.body)
	}
	if n := b.consents(); n != 0 {
		t.Errorf("%d consents are left", n)
	}
	if !b.grants.Revoked(grant.GrantKey(granted.ID)) {
		t.Error("the grant is still alive")
	}
	wantPage(t, w.authorize(asBlog...), "consent-form")
	for _, lie := range []string{"shop.nobody", "<script>", "Evil Corp"} {
		if page := w.get("/account?withdrawn=" + url.QueryEscape(lie)); text(page, "notice") != "" {
			t.Errorf("the page says %q", text(page, "notice"))
		}
	}
	wantPage(t, w.fill(w.get("/account"), "logout-form"), "signed-out")
	w.wantSignedIn(false)
}
