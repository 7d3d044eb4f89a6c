package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestRedirectURI sends variants of a registered redirect URI. Each is shown as
// an error and none of them gets a redirect (RFC 9700 §2.1).
func TestRedirectURI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	variants := []string{
		"https://a.example/CB", "https://a.example/cb/", "https://a.example/cb?", "https://a.example/cb?x=1", "https://a.example/cb#",
		"https://a.example/cb#f", "https://a.example//cb", "https://a.example/./cb", "https://a.example/cb/.", "https://a.example/cb/../cb",
		"https://a.example/cb/..;/x", "https://a.example/%63b", "https://a.example/c%62", "https://a.example/%2e%2e/cb", "https://a.example/cb%2f",
		"https://a.example/cb%00", "https://a.example/cb%20", "https://a.example/cb%0d%0a", "https://a.example/cb/%2e%2e/%2e%2e", "https://a.example/x/../cb",
		"https://a.example@evil.test/cb", "https://a.example\\@evil.test/cb", "https://x@@a.example/cb", "https://x@a.example/cb", "https://a.example:x@evil.test/cb",
		"https://aXexample/cb", "https://a.example.evil.test/cb", "https://evil.test/a.example/cb", "https://evil.test?https://a.example/cb", "https://evil.test#https://a.example/cb",
		"https://a.example:443/cb", "https://a.example:8443/cb", "https://a.example:/cb", "https://a.example:0443/cb", "https://a.example./cb",
		"HTTPS://a.example/cb", "Https://a.example/cb", "http://a.example/cb", "https:/a.example/cb", "https:a.example/cb",
		"https:///a.example/cb", "https:\\\\a.example\\cb", "//a.example/cb", "/cb", "cb",
		"https://A.EXAMPLE/cb", "https://a.Example/cb", "https://\u0430.example/cb", "https://a.examp\u217ce/cb", "https://a.example/\uff43b",
		"https://a.e\u212aample/cb", "https://a.example/cb\u017f", "https://a.example/cb\u200b", "https://a.example/cb\u2028", "https://a\u3002example/cb",
		"https://a.example/cb\t", "https://a.example/cb\r", "https://a.example/cb\n", " https://a.example/cb", "https://a.example/cb ",
		"\thttps://a.example/cb", "ht\ttps://a.example/cb", "https://a.exa\nmple/cb", "https://a.example/c\rb", "https://a.example/cb;",
		"https://a.example/cb,https://evil.test", "https://a.example/cb https://evil.test", "https://*.example/cb", "https://a.example/*", "https://a.example",
		"javascript:alert(1)//https://a.example/cb", "data:text/html,https://a.example/cb", "file:///cb", "about:blank", "https://[::ffff:1.2.3.4]/cb",
		"com.example.shop:/cb", "http://127.0.0.1/cb", "https://a.example/cb?shop=2", "https://a.example/cb?shop=1&x=1", "https://a.example/cb?Shop=1",
	}
	for _, uri := range variants {
		a := w.send(http.MethodGet, "/oauth2/authorize?"+ask("redirect_uri", uri), nil)
		wantShown(t, a, http.StatusBadRequest, "invalid_request", "")
	}
	// NUL never reaches the comparison.
	wantShown(t, w.send(http.MethodGet, "/oauth2/authorize?"+ask("redirect_uri", "https://a.example/cb\x00"), nil), http.StatusBadRequest, "invalid_request", "UTF-8")
	// Even the only registered one must be named (R2), and of several all the more.
	wantShown(t, w.authorize("redirect_uri", ""), http.StatusBadRequest, "invalid_request", "always required")
	wantShown(t, w.authorize(append(asBlog, "redirect_uri", "")...), http.StatusBadRequest, "invalid_request", "always required")
	for _, uri := range []string{"https://a.example/cb", "https://a.example/cb?shop=1", "https://a.example/cb;v=1,2"} {
		wantPage(t, w.authorize("redirect_uri", uri), "signin-form")
	}
}

// TestLoopbackRedirectURI: the port of a native client is free, nothing else is
// (RFC 8252 §7.3, §8.3).
func TestLoopbackRedirectURI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	for _, uri := range []string{"http://127.0.0.1/cb", "http://127.0.0.1:5123/cb", "com.example.shop:/cb"} {
		wantPage(t, w.authorize("client_id", "shop.ios", "redirect_uri", uri), "signin-form")
	}
	for _, uri := range []string{
		"http://localhost:5123/cb", "http://127.0.0.1.evil.test/cb", "http://localhost.evil.test/cb", "http://127.0.0.1:5123/cb2",
		"https://127.0.0.1:5123/cb", "http://127.0.0.1:5123@evil.test/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:99999/cb", "http://[::1]:5123/cb",
		"com.example.shop://cb", "COM.example.shop:/cb",
	} {
		wantShown(t, w.authorize("client_id", "shop.ios", "redirect_uri", uri), http.StatusBadRequest, "invalid_request", "redirect_uri")
	}
}

// TestShownErrors are those above the line.
func TestShownErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	for name, test := range map[string]struct {
		query, code, words string
		status             int
	}{
		"no parameters":          {"", "invalid_request", "client_id is missing", 400},
		"no client":              {ask("client_id", ""), "invalid_request", "client_id is missing", 400},
		"unknown client":         {ask("client_id", "shop.nobody"), "invalid_request", "not known", 400},
		"client twice":           {ask() + "&client_id=shop.web", "invalid_request", "client_id was sent more than once", 400},
		"redirect_uri twice":     {ask() + "&redirect_uri=https://a.example/cb", "invalid_request", "redirect_uri was sent more than once", 400},
		"signs nobody in":        {ask("client_id", "market.backend"), "unauthorized_client", "no redirect_uris", 400},
		"broken encoding":        {ask() + "&x=%zz", "invalid_request", "form encoding", 400},
		"too many parameters":    {ask() + strings.Repeat("&x=1", 70), "invalid_request", "64", 400},
		"value too long":         {ask("login_hint", strings.Repeat("x", 5000)), "invalid_request", "longer", 400},
		"not UTF-8":              {ask() + "&x=%ff", "invalid_request", "UTF-8", 400},
		"redirect_uri elsewhere": {ask("redirect_uri", "https://b.example/cb", "request", "x"), "invalid_request", "redirect_uri", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantShown(t, w.send(http.MethodGet, "/oauth2/authorize?"+test.query, nil), test.status, test.code, test.words)
		})
	}
	t.Run("method", func(t *testing.T) {
		t.Parallel()
		a := w.send(http.MethodPut, "/oauth2/authorize?"+ask(), nil)
		wantShown(t, a, http.StatusMethodNotAllowed, "invalid_request", "GET, POST")
	})
	t.Run("query beside a body", func(t *testing.T) {
		t.Parallel()
		a := w.send(http.MethodPost, "/oauth2/authorize?state=x", url.Values{"client_id": {"shop.web"}})
		wantShown(t, a, http.StatusBadRequest, "invalid_request", "form body only")
	})
	t.Run("JSON body", func(t *testing.T) {
		t.Parallel()
		a := w.send(http.MethodPost, "/oauth2/authorize", nil)
		wantShown(t, a, http.StatusBadRequest, "invalid_request", "content type")
	})
}

// told are the checks below the line: what is sent, and what the client is told.
var told = map[string]struct{ query, code, words string }{
	"state twice":                {ask() + "&state=x", "invalid_request", "state was sent more than once"},
	"unknown parameter twice":    {ask() + "&foo=1&foo=2", "invalid_request", "foo was sent more than once"},
	"resource six times":         {ask() + strings.Repeat("&resource=https://api.market.test", 6), "invalid_request", "at most five times"},
	"long state":                 {ask("state", strings.Repeat("s", 2049)), "invalid_request", "2048"},
	"response_mode fragment":     {ask("response_mode", "fragment"), "invalid_request", "response_mode"},
	"response_mode unknown":      {ask("response_mode", "fragment.jwt"), "invalid_request", "response_mode"},
	"request":                    {ask("request", "https://evil.test/object"), "request_not_supported", ""},
	"request_uri":                {ask("request_uri", "https://evil.test/object"), "request_uri_not_supported", ""},
	"registration":               {ask("registration", "{}"), "registration_not_supported", ""},
	"details of events":          {ask("authorization_details", `[{"type":"event"}]`), "invalid_authorization_details", "token endpoint"},
	"details of another type":    {ask("authorization_details", `[{"type":"payment"}]`), "invalid_authorization_details", ""},
	"no response_type":           {ask("response_type", ""), "invalid_request", "response_type is missing"},
	"token":                      {ask("response_type", "token"), "unsupported_response_type", ""},
	"id_token":                   {ask("response_type", "id_token"), "unsupported_response_type", ""},
	"code token":                 {ask("response_type", "code token"), "unsupported_response_type", ""},
	"code id_token":              {ask("response_type", "code id_token"), "unsupported_response_type", ""},
	"none":                       {ask("response_type", "none"), "unsupported_response_type", ""},
	"no PKCE":                    {ask("code_challenge", "", "code_challenge_method", ""), "invalid_request", "code_challenge is required"},
	"method without challenge":   {ask("code_challenge", ""), "invalid_request", "code_challenge is required"},
	"plain":                      {ask("code_challenge_method", "plain"), "invalid_request", "S256"},
	"no method":                  {ask("code_challenge_method", ""), "invalid_request", "S256"},
	"s256":                       {ask("code_challenge_method", "s256"), "invalid_request", "S256"},
	"short challenge":            {ask("code_challenge", challenge[1:]), "invalid_request", "43"},
	"long challenge":             {ask("code_challenge", challenge+"A"), "invalid_request", "43"},
	"padded challenge":           {ask("code_challenge", challenge[1:]+"="), "invalid_request", "43"},
	"base64 challenge":           {ask("code_challenge", challenge[1:]+"+"), "invalid_request", "43"},
	"optional PKCE but plain":    {ask("client_id", "pay.pages", "redirect_uri", "https://pay.test/cb", "code_challenge_method", "plain"), "invalid_request", "S256"},
	"optional PKCE, method only": {ask("client_id", "pay.pages", "redirect_uri", "https://pay.test/cb", "code_challenge", ""), "invalid_request", "required"},
	"prompt unknown":             {ask("prompt", "maybe"), "invalid_request", "prompt"},
	"prompt none and login":      {ask("prompt", "none login"), "invalid_request", "alone"},
	"prompt none twice":          {ask("prompt", "none none"), "invalid_request", "alone"},
	"max_age negative":           {ask("max_age", "-1"), "invalid_request", "max_age"},
	"max_age a word":             {ask("max_age", "soon"), "invalid_request", "max_age"},
	"max_age huge":               {ask("max_age", "99999999999999999999"), "invalid_request", "max_age"},
	"long nonce":                 {ask("nonce", strings.Repeat("n", 513)), "invalid_request", "512"},
	"no scope":                   {ask("scope", ""), "invalid_scope", "missing"},
	"scope syntax":               {ask("scope", "openid  items.read"), "invalid_scope", "single spaces"},
	"scope with a quote":         {ask("scope", `openid "x"`), "invalid_scope", ""},
	"unknown scopes only":        {ask("scope", "nothing nowhere"), "invalid_scope", "None of the scopes"},
	"no edge":                    {ask(append(asGames, "scope", "openid items.write")...), "invalid_scope", "needs an edge from games to market"},
	"not on the edge":            {ask("scope", "openid settle"), "invalid_scope", "edge from shop to market does not list the scope settle"},
	"in exchange only":           {ask("client_id", "pay.pages", "redirect_uri", "https://pay.test/cb", "scope", "openid items.read"), "invalid_scope", ""},
	"identity not declared":      {ask("scope", "openid phone"), "invalid_scope", "phone is not among the identity scopes declared for shop"},
	"convert":                    {ask("scope", "openid subjects:convert"), "invalid_scope", "for a client itself"},
	"publish":                    {ask("scope", "openid events:publish"), "invalid_scope", "for a client itself"},
	"streams":                    {ask("scope", "openid ssf.read"), "invalid_scope", "for a client itself"},
	"managing streams":           {ask("scope", "openid ssf.manage"), "invalid_scope", "for a client itself"},
	"resource relative":          {ask("resource", "/api"), "invalid_target", "absolute"},
	"resource with fragment":     {ask("resource", "https://api.market.test#x"), "invalid_target", "fragment"},
	"resource unknown":           {ask("resource", "https://api.nowhere.test"), "invalid_target", "not known"},
	"resource without edge":      {ask(append(asGames, "resource", "https://api.market.test")...), "invalid_target", "no edge from games to market"},
	"resource without scope":     {ask("resource", "https://api.market.test"), "invalid_scope", "No scope of the resource"},
	"scope of another resource":  {ask("scope", "charge", "resource", "https://api.market.test"), "invalid_scope", "no resource that the resource parameter names"},
	"claims no JSON":             {ask("claims", "{"), "invalid_request", "claims"},
	"claims a list":              {ask("claims", "[]"), "invalid_request", "claims"},
	"claims with a name twice":   {ask("claims", `{"id_token":{"acr":null,"acr":{"essential":true}}}`), "invalid_request", "claims"},
	"claims with a wrong type":   {ask("claims", `{"id_token":{"acr":{"essential":"yes"}}}`), "invalid_request", "claims"},
	"claims too deep":            {ask("claims", strings.Repeat(`{"id_token":`, 20)+"{}"+strings.Repeat("}", 20)), "invalid_request", "claims"},
	"essential acr":              {ask("claims", `{"id_token":{"acr":{"essential":true,"value":"aal3"}}}`), "unmet_authentication_requirements", "aal1"},
	"essential acr of several":   {ask("claims", `{"id_token":{"acr":{"essential":true,"values":["aal3","4"]}}}`), "unmet_authentication_requirements", "aal1"},
	"essential acr, no text":     {ask("claims", `{"id_token":{"acr":{"essential":true,"value":2}}}`), "unmet_authentication_requirements", "aal1"},
	"acr_values":                 {ask("acr_values", "aal3 4"), "unmet_authentication_requirements", "aal1"},
	"hint is garbage":            {ask("id_token_hint", "x.y.z"), "invalid_request", "id_token_hint"},
	"nobody, none":               {ask("prompt", "none"), "login_required", "prompt=none"},
}

func TestToldErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	t.Run("each", func(t *testing.T) {
		for name, test := range told {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				sent, err := url.ParseQuery(test.query)
				if err != nil {
					t.Fatal(err)
				}
				w := b.browser()
				query := wantTold(t, w.send(http.MethodGet, "/oauth2/authorize?"+test.query, nil), sent.Get("redirect_uri")+"?", test.code, test.words)
				if state := sent["state"]; len(state) == 1 && len(state[0]) <= 2048 && query.Get("state") != state[0] {
					t.Errorf("state %q", query.Get("state"))
				}
				// A POST is told the same (R11: 303, so that it is not sent on).
				wantTold(t, w.post("/oauth2/authorize", sent), sent.Get("redirect_uri")+"?", test.code, test.words)
				// With form_post nothing is in the query.
				if len(sent["response_mode"]) > 0 || name == "state twice" {
					return
				}
				sent.Set("response_mode", "form_post")
				a := w.send(http.MethodGet, "/oauth2/authorize?"+sent.Encode(), nil)
				action, fields := w.form(a, "continue")
				if action != sent.Get("redirect_uri") || fields.Get("error") != test.code || fields.Get("iss") != issuer {
					t.Errorf("form_post to %s: %v", action, fields)
				}
			})
		}
	})
	if n := b.waiting(); n != 0 {
		t.Errorf("%d requests are stored, want none", n)
	}
	if err := b.audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.refusals(); n < len(told) {
		t.Errorf("%d refusals are on record, want at least %d", n, len(told))
	}
}

// TestAccepted are requests that look odd and must pass all the same.
func TestAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, query := range map[string]string{
		"unknown parameter":      ask("extra", "foobar"),
		"empty parameter":        ask() + "&prompt=&max_age=&claims=&request=",
		"unknown scope":          ask("scope", "openid nothing"),
		"scopes in any order":    ask("scope", "email items.read openid"),
		"without openid":         ask("scope", "items.read"),
		"offline_access":         ask("scope", "openid offline_access", "prompt", "consent"),
		"no state":               ask("state", ""),
		"no nonce":               ask("nonce", ""),
		"display":                ask("display", "popup"),
		"ui_locales":             ask("ui_locales", "se xx-YY ja"),
		"many ui_locales":        ask("ui_locales", strings.Repeat("se ", 1000)),
		"claims_locales":         ask("claims_locales", "se"),
		"login_hint":             ask("login_hint", `"><script>`),
		"long login_hint":        ask("login_hint", strings.Repeat("x", 400)),
		"acr_values 1 2":         ask("acr_values", "1 2"),
		"acr_values with ours":   ask("acr_values", "aal3 aal1"),
		"voluntary acr":          ask("claims", `{"id_token":{"acr":{"values":["aal3"]}}}`),
		"essential acr reached":  ask("claims", `{"id_token":{"acr":{"essential":true,"values":["aal2","aal1"]}}}`),
		"essential acr, any":     ask("claims", `{"id_token":{"acr":{"essential":true}}}`),
		"claims with null":       ask("claims", `{"userinfo":{"name":{"essential":true},"picture":null},"id_token":null,"x":[1]}`),
		"optional PKCE":          ask("client_id", "pay.pages", "redirect_uri", "https://pay.test/cb", "code_challenge", "", "code_challenge_method", ""),
		"resource":               ask("scope", "openid items.read", "resource", "https://api.market.test"),
		"resource of the issuer": ask("resource", issuer),
		"two resources":          ask("scope", "items.read charge", "resource", "https://api.market.test") + "&resource=https://api.pay.test",
		"prompt of several":      ask("prompt", "login consent select_account"),
		"max_age":                ask("max_age", "10000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.browser().get("/oauth2/authorize?" + query)
			wantPage(t, a, "signin-form")
			sent, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			wantPage(t, b.browser().post("/oauth2/authorize", sent), "signin-form")
		})
	}
}

// TestStateIsEchoed byte for byte, however it looks.
func TestStateIsEchoed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	w.signIn(w.authorize(), "aiko")
	for i, state := range []string{
		`"'<script>alert(1)</script>`, "a\r\nSet-Cookie: x=y", "&code=evil&iss=x#f?%00+ %2B", "ステート\u2028", strings.Repeat("s", 2000), strings.Repeat("<", 2048),
	} {
		a := w.authorize("state", state)
		wantCode(t, a, "https://a.example/cb?")
		if got := a.location.Query().Get("state"); got != state {
			t.Errorf("state %d in the query is %q", i, got)
		}
		if len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("state %d set a cookie", i)
		}
		a = w.authorize("state", state, "response_mode", "form_post")
		_, fields := w.form(a, "continue")
		// A form sends line ends as CR LF, whatever they were; the page holds them exactly.
		if fields.Get("state") != strings.ReplaceAll(state, "\r\n", "\n") && fields.Get("state") != state {
			t.Errorf("state %d in the form is %q", i, fields.Get("state"))
		}
	}
}

// TestQueryOfTheRedirectURIStays: the answer is added to it (RFC 6749 §3.1.2).
func TestQueryOfTheRedirectURIStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	w.signIn(w.authorize(), "aiko")
	wantCode(t, w.authorize("redirect_uri", "https://a.example/cb?shop=1"), "https://a.example/cb?shop=1&code=")
}

// TestHostHeaderIsNotBelieved: what a client writes into its headers changes no
// link and no issuer (R20).
func TestHostHeaderIsNotBelieved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-Uri"} {
		w.header.Set(name, "host=evil.test")
	}
	a := w.authorize()
	wantPage(t, a, "signin-form")
	if strings.Contains(a.body, "evil.test") {
		t.Error("the page names the host of a header")
	}
	wantCode(t, w.signIn(a, "aiko"), "https://a.example/cb?")
}

// TestPostWithoutCookies goes around once as a GET, so that a person who is
// signed in is known (cookies are SameSite=Lax).
func TestPostWithoutCookies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	w.signIn(w.authorize(), "aiko")
	values, err := url.ParseQuery(ask("prompt", "none"))
	if err != nil {
		t.Fatal(err)
	}
	a := b.browser().send(http.MethodPost, "/oauth2/authorize", values) // as the other site's form: no cookies
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location.String(), issuer+"/oauth2/authorize?") {
		t.Fatalf("%d %v", a.status, a.location)
	}
	wantCode(t, w.get(a.location.String()), "https://a.example/cb?") // the browser's own GET has them
}
