package signin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// everyPage is one answer of every HTML route, by what it is.
func everyPage(t *testing.T, b *bundle) map[string]answer {
	t.Helper()
	pages := map[string]answer{}
	w := b.browser()
	pages["sign in"] = w.authorize()
	pages["sign in, refused"] = w.fill(pages["sign in"], "signin-form", "email", "aiko@example.test", "password", "wrong wrong wrong")
	pages["sign up"] = w.authorize("prompt", "create")
	pages["sign up, refused"] = w.fill(pages["sign up"], "signup-form", "email", "x", "password", "x", "name", "x")
	pages["consent"] = w.signIn(w.authorize(asBlog...), "aiko")
	pages["choose"] = w.authorize("prompt", "select_account")
	pages["again"] = w.authorize("prompt", "login")
	pages["account"] = w.get("/account")
	pages["logout"] = w.get("/oauth2/logout")
	pages["form_post"] = w.authorize("response_mode", "form_post")
	pages["signed out"] = b.browser().get("/oauth2/logout")
	pages["error"] = w.authorize("client_id", "nobody")
	pages["expired"] = w.get("/signin/nothing")
	pages["forged"] = w.post(mustAction(w, pages["consent"], "consent-form"), url.Values{"decision": {"allow"}})
	pages["not found"] = w.get("/nothing/here")
	return pages
}

// TestHeadersOfEveryPage crawls every HTML route (W1).
func TestHeadersOfEveryPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, a := range everyPage(t, b) {
		if a.status >= 500 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", name, a.status, a.header.Get("Content-Type"))
		}
		for header, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Strict-Transport-Security": "max-age=63072000; includeSubDomains", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
		} {
			if got := a.header.Values(header); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: policy %q lacks %s", name, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q", name, policy)
		}
		wantNoInline(t, name, a)
		if name == "form_post" {
			if !strings.Contains(policy, "form-action https://a.example/cb;") || !regexp.MustCompile(`script-src 'sha256-[A-Za-z0-9+/]{43}='`).MatchString(policy) {
				t.Errorf("policy of form_post: %q", policy)
			}
			continue
		}
		target := map[string]string{
			"sign in": " https://a.example", "sign in, refused": " https://a.example", "sign up": " https://a.example", "sign up, refused": " https://a.example",
			"choose": " https://a.example", "again": " https://a.example", "consent": " https://blog.test",
		}[name]
		if !strings.Contains(policy, "script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'"+target+";") {
			t.Errorf("%s: policy %q", name, policy)
		}
	}
}

// wantNoInline checks for script and style in the page itself.
func wantNoInline(t *testing.T, name string, a answer) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "style" || n.Data == "script" && name != "form_post" && (n.FirstChild != nil || len(n.Attr) == 0 || n.Attr[0].Key != "src") {
			t.Errorf("%s: <%s> in the page", name, n.Data)
		}
		for _, one := range n.Attr {
			if one.Key == "style" || strings.HasPrefix(one.Key, "on") {
				t.Errorf("%s: %s on <%s>", name, one.Key, n.Data)
			}
			if (one.Key == "src" || one.Key == "href") && n.Data != "a" && !strings.HasPrefix(one.Val, "/assets/") {
				t.Errorf("%s: <%s> loads %s", name, n.Data, one.Val)
			}
		}
	}
}

// TestAssets are served under the names the pages use, and may be kept.
func TestAssets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.authorize()
	names := regexp.MustCompile(`/assets/[a-z]+\.[0-9a-f]{12}\.[a-z]+`).FindAllString(page.body, -1)
	if len(names) < 3 {
		t.Fatalf("the page loads %q", names)
	}
	for _, name := range names {
		a := w.get(name)
		if a.status != http.StatusOK || a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	if a := w.get("/assets/site.css"); a.status != http.StatusNotFound {
		t.Errorf("without its hash: %d", a.status)
	}
}

// TestForgedForms: each form without its token, with that of another browser,
// from another site, changes nothing (W3).
func TestForgedForms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	w.signIn(w.get("/account"), "aiko")
	consent := w.authorize(asBlog...)
	w.fill(consent, "consent-form", "decision", "allow")
	account := w.get("/account")
	consent = w.authorize(append(asBlog, "prompt", "consent")...)
	forms := map[string]struct {
		page   answer
		id     string
		values []string
	}{
		"sign in":  {w.authorize("prompt", "login"), "signin-form", []string{"email", "ben@example.test", "password", password}},
		"cancel":   {w.authorize("prompt", "login"), "cancel", []string{"cancel", "yes"}},
		"sign up":  {w.authorize("prompt", "create"), "signup-form", []string{"email", "dai@example.test", "password", "four quiet herons wading", "name", "Dai"}},
		"consent":  {consent, "consent-form", []string{"decision", "allow"}},
		"withdraw": {account, "withdraw-blog.web", nil},
		"sign out": {w.get("/oauth2/logout"), "logout-form", nil},
	}
	foreign := b.browser()
	_, foreignForm := foreign.form(foreign.authorize(), "signin-form")
	for name, form := range forms {
		action, values := w.form(form.page, form.id)
		for i := 0; i < len(form.values); i += 2 {
			values.Set(form.values[i], form.values[i+1])
		}
		right := values.Get("csrf")
		for _, token := range []string{"", "x", foreignForm.Get("csrf"), right[1:], right + "A"} {
			values.Set("csrf", token)
			wantShown(t, w.post(action, values), http.StatusForbidden, "invalid_request", "form")
		}
		values.Del("csrf")
		wantShown(t, w.post(action, values), http.StatusForbidden, "invalid_request", "form")
		values.Set("csrf", right)
		for header, value := range map[string]string{"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"} {
			w.header.Set(header, value)
			wantShown(t, w.post(action, values), http.StatusForbidden, "invalid_request", "form")
			w.header.Del(header)
		}
		w.header.Set("Sec-Fetch-Site", "same-site")
		wantShown(t, w.post(action, values), http.StatusForbidden, "invalid_request", "form")
		w.header.Del("Sec-Fetch-Site")
		t.Log(name, "refused")
	}
	if got := text(w.get("/account"), "account-email"); got != "aiko@example.test" {
		t.Errorf("signed in as %q", got)
	}
	if n := b.consents(); n == 0 {
		t.Error("the consent is gone")
	}
	if n := b.accounts(); n != 2 {
		t.Errorf("%d accounts", n)
	}
	// A browser too old for Sec-Fetch-Site sends Origin: ours passes.
	w.header.Set("Origin", issuer)
	wantPage(t, w.fill(w.get("/oauth2/logout"), "logout-form"), "signed-out")
}

// TestGetChangesNothing: every page is fetched again and again, nobody is signed
// out, nothing is allowed.
func TestGetChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(asBlog...), "aiko")
	action, values := w.form(page, "consent-form")
	values.Set("decision", "allow")
	for _, target := range []string{action + "?" + values.Encode(), "/oauth2/logout?confirm=yes", "/account/withdraw?client_id=blog.web"} {
		w.get(target)
	}
	if n := b.consents(); n != 0 {
		t.Errorf("%d consents", n)
	}
	w.wantSignedIn(true)
}

// TestEverythingShownIsEscaped (W2).
func TestEverythingShownIsEscaped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nasty := `"><script>document.title=1</script>{{7*7}}`
	w := b.browser()
	asEvil := []string{"client_id", "evil.web", "redirect_uri", "https://evil.test/cb"}
	page := w.authorize(append(asEvil, "login_hint", nasty, "ui_locales", nasty, "state", nasty)...)
	pages := []answer{
		page, w.fill(page, "signin-form", "email", nasty, "password", nasty), w.signIn(page, "aiko"),
		w.authorize(append(asEvil, "prompt", "create", "login_hint", nasty)...),
		w.authorize("client_id", nasty), w.authorize("redirect_uri", nasty), w.get("/signin/" + url.PathEscape(nasty)),
		w.authorize("response_mode", "form_post", "state", nasty), w.authorize("response_mode", "form_post", "scope", nasty),
		w.get("/account?withdrawn=" + url.QueryEscape(nasty)), w.get("/oauth2/logout?ui_locales=" + url.QueryEscape(nasty)),
	}
	allow := w.authorize(asEvil...)
	w.fill(allow, "consent-form", "decision", "allow")
	pages = append(pages, allow, w.get("/account"))
	shown := 0
	for _, a := range pages {
		if strings.Contains(a.body, "<script>document.title") || strings.Contains(a.body, "script&gt;49") {
			t.Errorf("not escaped:\n%s", a.body)
		}
		shown += strings.Count(a.body, "&lt;script&gt;document.title")
	}
	if shown < 6 {
		t.Errorf("it is shown %d times only: the test does not reach the pages", shown)
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, test := range []struct{ locales, accept, want string }{
		{"", "", `lang="en"`},
		{"", "ja", `lang="ja"`},
		{"", "ja-JP,en;q=0.5", `lang="ja"`},
		{"", "fr, en;q=0.4, ja;q=0.8", `lang="ja"`},
		{"ja", "en", `lang="ja"`},
		{"fr ja-JP en", "en", `lang="ja"`},
		{"xx", "ja", `lang="ja"`},
		{"en-GB", "ja", `lang="en"`},
		{"", "***;q=?", `lang="en"`},
	} {
		w := b.browser()
		if test.accept != "" {
			w.header.Set("Accept-Language", test.accept)
		}
		if page := w.authorize("ui_locales", test.locales); !strings.Contains(page.body, "<html "+test.want) {
			t.Errorf("%q %q is not answered in %s", test.locales, test.accept, test.want)
		}
	}
}

// TestPlainNamesOnLoopback: a development issuer without TLS has cookies that
// browsers accept there.
func TestPlainNamesOnLoopback(t *testing.T) {
	t.Parallel()
	b := setup(t, issuer, "http://localhost:8080")
	w := b.browser()
	a := w.send(http.MethodGet, "/account", nil)
	cookie := a.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "sekisho_browser=") || strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("cookie %q", cookie)
	}
	w = setup(t).browser()
	cookie = w.send(http.MethodGet, "/account", nil).header.Get("Set-Cookie")
	for _, part := range []string{"__Host-sekisho_browser=", "Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("cookie %q lacks %q", cookie, part)
		}
	}
	if strings.Contains(cookie, "Domain") {
		t.Errorf("cookie %q", cookie)
	}
}
