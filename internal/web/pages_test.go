package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/web"
)

func open(t testing.TB, issuer string) *web.Pages {
	t.Helper()
	pages, err := web.OpenPages(issuer, []byte("a key of the test"), func(string) string { return "" }, func() string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// TestFormTargets: where a form may lead is written as a CSP source, whatever
// the redirect URI looks like.
func TestFormTargets(t *testing.T) {
	t.Parallel()
	pages := open(t, "https://id.test")
	for target, want := range map[string]string{
		"https://a.example/cb?x=1":       "form-action 'self' https://a.example;",
		"https://a.example:8443/cb":      "form-action 'self' https://a.example:8443;",
		"http://127.0.0.1:5123/cb":       "form-action 'self' http://127.0.0.1:5123;",
		"http://[::1]:5123/cb":           "form-action 'self' http:;", // CSP has no form for IPv6
		"com.example.app:/cb":            "form-action 'self' com.example.app:;",
		"https://a.example;script-src *": "form-action 'self' https://a.example%3Bscript-src",
		":no url":                        "form-action 'self';",
	} {
		w := httptest.NewRecorder()
		pages.Write(w, request(), web.Page{Name: "signedout", FormTargets: []string{target}})
		policy := w.Header().Get("Content-Security-Policy")
		if target == "https://a.example;script-src *" {
			// No such URI can be registered; if it were, it would not end the source.
			if strings.Contains(policy, ";script-src *") {
				t.Errorf("%s: %s", target, policy)
			}
			continue
		}
		if !strings.Contains(policy, want) {
			t.Errorf("%s: %s", target, policy)
		}
	}
}

func TestFormPost(t *testing.T) {
	t.Parallel()
	pages := open(t, "https://id.test")
	for target, source := range map[string]string{
		"https://a.example/cb?x=1": "https://a.example/cb",
		"https://a.example/c;b,d":  "https://a.example/c%3Bb%2Cd",
		"com.example.app:/cb":      "com.example.app:",
	} {
		w := httptest.NewRecorder()
		pages.WriteFormPost(w, request(), target, []web.FormField{{Name: "code", Value: `"><script>`}})
		policy, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
		if !strings.Contains(policy, "form-action "+source+";") {
			t.Errorf("%s: %s", target, policy)
		}
		if !strings.Contains(body, `action="`+target+`"`) || !strings.Contains(body, `value="&#34;&gt;&lt;script&gt;"`) || !strings.Contains(body, "<button") {
			t.Errorf("%s:\n%s", target, body)
		}
	}
}

func TestCheckPost(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"https://id.test", "http://localhost:8080"} {
		pages := open(t, issuer)
		w := httptest.NewRecorder()
		browser := pages.Browser(w, request())
		cookie := w.Result().Cookies()[0]
		send := func(purpose, token string, change func(*http.Request)) error {
			r := httptest.NewRequest(http.MethodPost, issuer+"/page/x", nil)
			r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
			if change != nil {
				change(r)
			}
			return pages.CheckPost(r, pages.KnownBrowser(r), purpose, token)
		}
		token := browser.Token("form")
		for name, change := range map[string]func(*http.Request){
			"plain":                nil,
			"same origin":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") },
			"by the person":        func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
			"null origin, same":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin"); r.Header.Set("Origin", "null") },
			"old browser":          func(r *http.Request) { r.Header.Set("Origin", issuer) },
			"proxy that sets Host": func(r *http.Request) { r.Header.Set("Origin", issuer); r.Host = "backend:80" },
		} {
			if err := send("form", token, change); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, change := range map[string]func(*http.Request){
			"cross-site":               func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"cross-site, right origin": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site"); r.Header.Set("Origin", issuer) },
			"same-site":                func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"foreign origin":           func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") },
			"null origin, old browser": func(r *http.Request) { r.Header.Set("Origin", "null") },
			"another browser":          func(r *http.Request) { r.Header.Set("Cookie", cookie.Name+"=other") },
			"no cookie":                func(r *http.Request) { r.Header.Del("Cookie") },
		} {
			if err := send("form", token, change); err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
		for _, wrong := range []string{"", "x", token[1:], browser.Token("other form")} {
			if send("form", wrong, nil) == nil {
				t.Errorf("token %q is accepted", wrong)
			}
		}
	}
	if _, err := web.OpenPages("no url", nil, nil, nil); err == nil {
		t.Error("an issuer that is no URL is accepted")
	}
}
