package rp_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// site is a web site with two replicas, and one person's browser.
type site struct {
	issuer  *issuertest.Issuer
	client  *rp.Client
	config  rp.SignInConfig
	signIn  *rp.SignIn
	ask     rp.Ask
	server  *httptest.Server
	browser *http.Client
	result  chan result
}

type result struct {
	identity *rp.Identity
	err      error
}

func setupSite(t *testing.T) *site {
	t.Helper()
	s := &site{result: make(chan result, 1)}
	s.issuer, s.client = setup(t, "market-app.web")
	mux := http.NewServeMux()
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	key := make([]byte, 32)
	rand.Read(key)
	s.config = rp.SignInConfig{
		Client: s.client, RedirectURL: s.server.URL + "/callback", CookieKey: key,
		Scopes: []string{"items.read", "offline_access"}, Resources: []string{market},
	}
	s.signIn = newSignIn(t, s.config)
	other := newSignIn(t, s.config)
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) { s.signIn.StartWith(w, r, s.ask) })
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		identity, err := other.Finish(w, r)
		s.result <- result{identity, err}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(s.browser.CloseIdleConnections)
	return s
}

func newSignIn(t *testing.T, config rp.SignInConfig) *rp.SignIn {
	t.Helper()
	signIn, err := rp.NewSignIn(config)
	if err != nil {
		t.Fatal(err)
	}
	return signIn
}

// visit makes the browser load an address and answers where it is sent next.
func (s *site) visit(t *testing.T, address string) *url.URL {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	next, err := response.Location()
	if err != nil && !errors.Is(err, http.ErrNoLocation) {
		t.Fatal(err)
	}
	return next
}

// callback signs in at the issuer and answers where it sends the browser back.
func (s *site) callback(t *testing.T) *url.URL {
	t.Helper()
	return s.visit(t, s.visit(t, s.server.URL+"/start").String())
}

func (s *site) finish(t *testing.T, back *url.URL) (*rp.Identity, error) {
	t.Helper()
	s.visit(t, back.String())
	got := <-s.result
	return got.identity, got.err
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	s.ask = rp.Ask{ReturnTo: "/orders?page=2", Prompt: "login", MaxAge: time.Hour, ACRValues: "aal2", LoginHint: "alice@market.example", Locales: "ja"}
	request := s.visit(t, s.server.URL+"/start").Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "market-app.web", "redirect_uri": s.server.URL + "/callback",
		"scope": "openid items.read offline_access", "resource": market, "code_challenge_method": "S256",
		"prompt": "login", "max_age": "3600", "acr_values": "aal2", "login_hint": "alice@market.example", "ui_locales": "ja",
	} {
		if got := request.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	identity, err := s.finish(t, s.callback(t))
	if err != nil {
		t.Fatal(err)
	}
	if identity.Issuer != s.issuer.URL || identity.Subject != "alice.market-app" || identity.ReturnTo != "/orders?page=2" {
		t.Errorf("got %+v", identity)
	}
	if identity.Token.RefreshToken == "" || identity.IDToken == "" || identity.Claims.AuthTime == 0 {
		t.Errorf("got %+v", identity)
	}
}

func TestSeveralSignInsInOneBrowser(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	backs := make([]*url.URL, 5)
	for i := range backs {
		backs[i] = s.callback(t)
		s.issuer.Clock.Advance(time.Second)
	}
	// A sixth takes the place of the oldest.
	backs = append(backs, s.callback(t))
	if _, err := s.finish(t, backs[0]); !errors.Is(err, rp.ErrNotStarted) {
		t.Errorf("the oldest of six: got %v", err)
	}
	for _, back := range backs[1:] {
		if _, err := s.finish(t, back); err != nil {
			t.Error(err)
		}
	}
}

func TestFinishRefuses(t *testing.T) {
	t.Parallel()
	change := func(name, value string) func(*site, url.Values) {
		return func(_ *site, query url.Values) { query.Set(name, value) }
	}
	cases := []struct {
		name   string
		change func(*site, url.Values)
		want   error  // or
		text   string // a part of it
	}{
		{name: "another state", change: change("state", "other"), want: rp.ErrNotStarted},
		{name: "no state", change: change("state", ""), want: rp.ErrNotStarted},
		{name: "two codes", change: func(_ *site, query url.Values) { query.Add("code", "other") }, text: "repeats code"},
		{name: "another issuer", change: change("iss", "https://evil.example"), text: "not the authorization server's own"},
		{name: "no issuer where it is promised", change: change("iss", ""), text: "not the authorization server's own"},
		{name: "another code", change: change("code", "other"), text: "invalid_grant"},
		{name: "no code", change: change("code", ""), text: "neither a code"},
		{name: "too late", change: func(s *site, _ url.Values) { s.issuer.Clock.Advance(time.Hour) }, want: rp.ErrNotStarted},
		{name: "another browser", change: func(s *site, _ url.Values) { s.browser.Jar = nil }, want: rp.ErrNotStarted},
		{name: "a cookie of another key", change: func(s *site, _ url.Values) {
			at, _ := url.Parse(s.server.URL)
			for _, held := range s.browser.Jar.Cookies(at) {
				s.browser.Jar.SetCookies(at, []*http.Cookie{{Name: held.Name, Value: "AAAA" + held.Value[4:], Path: "/"}})
			}
		}, want: rp.ErrNotStarted},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setupSite(t)
			back := s.callback(t)
			query := back.Query()
			c.change(s, query)
			back.RawQuery = query.Encode()
			identity, err := s.finish(t, back)
			if identity != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, %v", identity, err)
			}
		})
	}
}

func TestFinishTakesASignInOnce(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	back := s.callback(t)
	if _, err := s.finish(t, back); err != nil {
		t.Fatal(err)
	}
	if _, err := s.finish(t, back); !errors.Is(err, rp.ErrNotStarted) {
		t.Errorf("the second time: got %v", err)
	}
}

func TestFinishTellsTheServersRefusal(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	back := s.callback(t)
	query := back.Query()
	query.Del("code")
	query.Set("error", "access_denied")
	query.Set("error_description", "the person said no")
	back.RawQuery = query.Encode()
	_, err := s.finish(t, back)
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != oauth.AccessDenied || refusal.Description != "the person said no" {
		t.Errorf("got %v", err)
	}
}

func TestFinishChecksTheIDToken(t *testing.T) {
	t.Parallel()
	type claims = map[string]any
	cases := []struct {
		name   string
		change claims
		ask    rp.Ask
		want   string
	}{
		{"another issuer", claims{"iss": "https://evil.example"}, rp.Ask{}, "another issuer"},
		{"another client", claims{"aud": "market-app.ios"}, rp.Ask{}, "another client"},
		{"another client beside", claims{"aud": []string{"market-app.web", "market-app.ios"}}, rp.Ask{}, "another client"},
		{"issued to another", claims{"azp": "market-app.ios"}, rp.Ask{}, "another client"},
		{"no subject", claims{"sub": nil}, rp.Ask{}, "names nobody"},
		{"another nonce", claims{"nonce": "other"}, rp.Ask{}, "another sign-in"},
		{"no nonce", claims{"nonce": nil}, rp.Ask{}, "another sign-in"},
		{"expired", claims{"exp": 1}, rp.Ask{}, "expired"},
		{"no expiry", claims{"exp": nil}, rp.Ask{}, "expired"},
		{"from the future", claims{"iat": 4102444800}, rp.Ask{}, "future"},
		{"of another access token", claims{"at_hash": "AAAA"}, rp.Ask{}, "access token"},
		{"too long ago", claims{"auth_time": 1}, rp.Ask{MaxAge: time.Hour}, "older than was asked"},
		{"not saying when", claims{"auth_time": nil}, rp.Ask{MaxAge: time.Hour}, "older than was asked"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := setupSite(t)
			s.ask = c.ask
			start := s.visit(t, s.server.URL+"/start")
			good := s.issuer.IDClaims("market-app.web", start.Query().Get("nonce"))
			s.issuer.Answer = answerWith(s.issuer.IDToken(issuertest.With(good, c.change)))
			_, err := s.finish(t, s.visit(t, start.String()))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %q", err, c.want)
			}
		})
	}
}

func TestFinishTakesNoOtherTokenForAnIDToken(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	start := s.visit(t, s.server.URL+"/start")
	claims := s.issuer.IDClaims("market-app.web", start.Query().Get("nonce"))
	s.issuer.Answer = answerWith(s.issuer.AccessToken(claims)) // typ at+jwt
	if _, err := s.finish(t, s.visit(t, start.String())); err == nil {
		t.Error("an access token passed for an ID token")
	}
	s.issuer.Answer = answerWith("")
	if _, err := s.finish(t, s.callback(t)); err == nil || !strings.Contains(err.Error(), "without an ID token") {
		t.Errorf("got %v", err)
	}
}

func answerWith(idToken string) func(http.ResponseWriter, map[string][]string) bool {
	return func(w http.ResponseWriter, _ map[string][]string) bool {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":300,"id_token":"` + idToken + `"}`))
		return err == nil
	}
}

func TestSignInCookies(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	for address, want := range map[string]struct {
		prefix string
		secure bool
	}{
		"https://market.example/callback": {"__Host-sekisho-signin-", true},
		"http://localhost:3000/callback":  {"sekisho-signin-", false},
	} {
		config := s.config
		config.RedirectURL = address
		recorder := httptest.NewRecorder()
		newSignIn(t, config).Start(recorder, httptest.NewRequest(http.MethodGet, "/sign-in", http.NoBody))
		cookie := recorder.Result().Cookies()[0]
		if !strings.HasPrefix(cookie.Name, want.prefix) || cookie.Secure != want.secure || !cookie.HttpOnly ||
			cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("%s: %s", address, cookie)
		}
	}
}

func TestReturnToStaysOnTheSite(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "orders", "/a\nb", "/\t/evil.example", "/" + strings.Repeat("a", 2000)} {
		t.Run(path[:min(len(path), 20)], func(t *testing.T) {
			t.Parallel()
			s := setupSite(t)
			s.ask.ReturnTo = path
			identity, err := s.finish(t, s.callback(t))
			if err != nil {
				t.Fatal(err)
			}
			if identity.ReturnTo != "/" {
				t.Errorf("goes on to %q", identity.ReturnTo)
			}
		})
	}
}

func TestNewSignInRefuses(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	for name, change := range map[string]func(*rp.SignInConfig){
		"no client":              func(c *rp.SignInConfig) { c.Client = nil },
		"a short key":            func(c *rp.SignInConfig) { c.CookieKey = c.CookieKey[:16] },
		"no key to sign with":    func(c *rp.SignInConfig) { c.Sign = true },
		"nowhere to push to":     func(c *rp.SignInConfig) { c.Push = true },
		"no key":                 func(c *rp.SignInConfig) { c.CookieKey = nil },
		"a relative address":     func(c *rp.SignInConfig) { c.RedirectURL = "/callback" },
		"an address with anchor": func(c *rp.SignInConfig) { c.RedirectURL += "#x" },
	} {
		config := s.config
		change(&config)
		if _, err := rp.NewSignIn(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Two sites on one host, as on localhost, see each other's cookies and must
// leave them alone.
func TestSitesOnOneHostKeepApart(t *testing.T) {
	t.Parallel()
	s := setupSite(t)
	one, other := s.config, s.config
	one.RedirectURL, other.RedirectURL = "http://localhost:3000/callback", "http://localhost:3001/callback"
	first := httptest.NewRecorder()
	newSignIn(t, one).Start(first, httptest.NewRequest(http.MethodGet, "/sign-in", http.NoBody))

	request := httptest.NewRequest(http.MethodGet, "/sign-in", http.NoBody)
	request.AddCookie(first.Result().Cookies()[0])
	second := httptest.NewRecorder()
	newSignIn(t, other).Start(second, request)
	for _, cookie := range second.Result().Cookies() {
		if cookie.MaxAge < 0 {
			t.Errorf("the other site's sign-in was dropped: %s", cookie.Name)
		}
	}
}
