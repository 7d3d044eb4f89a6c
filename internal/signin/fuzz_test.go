package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// FuzzAuthorize holds that no authorization request makes the endpoint fail,
// that an answer goes only to a redirect URI which is registered and was sent,
// byte for byte, with the state that was sent, and that without a person there
// is no code.
func FuzzAuthorize(f *testing.F) {
	b := setup(f)
	for _, change := range [][]string{
		{},
		{"prompt", "none"},
		{"redirect_uri", "https://a.example/cb?shop=1"},
		{"redirect_uri", "https://evil.test"},
		{"response_mode", "form_post", "prompt", "none"},
		{"scope", ""},
		{"scope", "openid settle"},
		{"resource", "https://api.market.test#x"},
		{"resource", "mailto:x"},
		{"claims", `{"id_token":{"acr":{"essential":true,"values":["x",null]}}}`},
		{"claims", `{"userinfo":{"sub":{"value":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}}}`, "prompt", "none"},
		{"max_age", "99999999999999999999"},
		{"max_age", "-0"},
		{"id_token_hint", "a.b.c"},
		{"state", "\u2028\"'<>&"},
		{"acr_values", "aal9"},
		{"client_id", "shop.ios", "redirect_uri", "http://127.0.0.1:5/cb"},
		{"request", "x"},
		{"ui_locales", "ja\x00"},
	} {
		f.Add(ask(change...), false)
		f.Add(ask(change...), true)
	}
	f.Add("client_id=shop.web&client_id=shop.ios", false)
	f.Add("%zz&;", true)
	f.Fuzz(func(t *testing.T, query string, posted bool) {
		r := httptest.NewRequest(http.MethodGet, issuer+"/oauth2/authorize", nil)
		r.URL.RawQuery = query
		if posted {
			r = httptest.NewRequest(http.MethodPost, issuer+"/oauth2/authorize", strings.NewReader(query))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		if err := b.audit.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		sent, _ := url.ParseQuery(query)
		location := w.Header().Get("Location")
		switch {
		case w.Code == http.StatusOK: // a form that sends itself
			if sent.Get("response_mode") == "form_post.jwt" && strings.Contains(w.Body.String(), `name="response"`) {
				return // an error, signed
			}
			if sent.Get("response_mode") != "form_post" || !strings.Contains(w.Body.String(), `name="error"`) || strings.Contains(w.Body.String(), `name="code"`) {
				t.Errorf("%q: %s", query, w.Body)
			}
		case w.Code != http.StatusSeeOther:
			if location != "" || !strings.Contains(w.Body.String(), `id="error-code"`) {
				t.Errorf("%q: %d %q %s", query, w.Code, location, w.Body)
			}
		case strings.HasPrefix(location, "/signin/"), strings.HasPrefix(location, "/signup/"), strings.HasPrefix(location, "/oauth2/authorize?"):
		case strings.HasSuffix(sent.Get("response_mode"), "jwt") && strings.Contains(location, "response="): // an error, signed
		default:
			checkRedirected(t, b.registry.Current(), sent, location)
		}
	})
}

// checkRedirected checks an error that went to the client.
func checkRedirected(t *testing.T, group *registry.Snapshot, sent url.Values, location string) {
	t.Helper()
	client, ok := group.Client(sent.Get("client_id"))
	uri := sent.Get("redirect_uri")
	if !ok || len(sent["redirect_uri"]) != 1 || !client.MatchRedirectURI(uri) {
		t.Fatalf("%v is answered at %q", sent, location)
	}
	rest, ok := strings.CutPrefix(location, uri)
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	rest, follows := strings.CutPrefix(rest, separator)
	got, err := url.ParseQuery(rest)
	if !ok || !follows || err != nil {
		t.Fatalf("%v is answered at %q: %v", sent, location, err)
	}
	if got.Get("error") == "" || got.Has("code") || got.Get("iss") != issuer {
		t.Errorf("answer %v", got)
	}
	if state := sent["state"]; len(state) == 1 && len(state[0]) <= 2048 && state[0] != got.Get("state") || len(state) != 1 && got.Has("state") {
		t.Errorf("state %q came back as %q", state, got["state"])
	}
	for _, value := range []string{got.Get("error"), got.Get("error_description")} {
		if strings.ContainsFunc(value, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
			t.Errorf("%q stands in an error", value)
		}
	}
}

// FuzzHandle holds that no made-up handle, form token or cookie opens a page or
// gets a form accepted, and that none makes a page fail.
func FuzzHandle(f *testing.F) {
	b := setup(f)
	w := b.browser()
	page := w.authorize()
	action, form := w.form(page, "signin-form")
	cookies := w.client.Jar.Cookies(&url.URL{Scheme: "https", Host: "id.test", Path: "/"})
	name, value := cookies[0].Name, cookies[0].Value
	handle, token := strings.TrimPrefix(action, "/signin/"), form.Get("csrf")
	fill := strings.NewReplacer("{h}", handle, "{t}", token, "{n}", name, "{v}", value).Replace
	for _, seed := range [][3]string{
		{"{h}", "{t}", "{n}={v}"},
		{"{h}", "{t}", ""},
		{"{h}", "", "{n}={v}"},
		{"", "{t}", "{n}={v}"},
		{"{h}=", "{t}", "{n}={v}"},
		{"{h}%00", "{t}\x00", "{n}={v}\x00"},
		{"..%2f{h}", "{t}", "{n}=x; {n}={v}"},
		{"%ff", "%ff", "\xff"},
		{"{h}", "{t}A", "{n}=\"{v}\""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, inURL, inForm, header string) {
		inURL, inForm, header = fill(inURL), fill(inForm), fill(header)
		held := false
		get := httptest.NewRequest(http.MethodGet, issuer+"/", nil)
		get.Header["Cookie"] = []string{header}
		if cookie, err := get.Cookie(name); err == nil {
			held = cookie.Value == value
		}
		for _, kind := range []string{"signin", "signup", "consent"} {
			get.URL.Path, get.URL.RawPath = "/"+kind+"/"+inURL, ""
			shown := httptest.NewRecorder()
			b.handler.ServeHTTP(shown, get)
			opened := shown.Code == http.StatusOK || shown.Code == http.StatusSeeOther && strings.HasPrefix(shown.Header().Get("Location"), "/signin/")
			if shown.Code >= 500 || opened && (!held || inURL != handle) {
				t.Errorf("GET %s %q with %q: %d", kind, inURL, header, shown.Code)
			}
			body := url.Values{"csrf": {inForm}, "email": {"nobody@example.test"}, "password": {"x"}}
			sent := httptest.NewRequest(http.MethodPost, issuer+"/", strings.NewReader(body.Encode()))
			sent.Header = http.Header{"Cookie": {header}, "Content-Type": {"application/x-www-form-urlencoded"}}
			sent.URL.Path = get.URL.Path
			if held && inURL == handle && inForm == token {
				continue // the right ones; what happens then is for other tests
			}
			got := httptest.NewRecorder()
			b.handler.ServeHTTP(got, sent)
			if !slices.Contains([]int{400, 403, 404, 405, 410, 301, 307}, got.Code) {
				t.Errorf("POST %s %q with %q and %q: %d %s", kind, inURL, inForm, header, got.Code, got.Body)
			}
		}
	})
}
