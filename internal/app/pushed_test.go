package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// pushes leaves a request with the server and gives its request_uri.
func (rp *relyingParty) pushes(pairs ...string) string {
	rp.w.t.Helper()
	a := rp.push(pairs...)
	got := decode[struct {
		RequestURI string  `json:"request_uri"`
		ExpiresIn  float64 `json:"expires_in"`
	}](rp.w.t, a.body)
	if a.status != http.StatusCreated || a.header.Get("Cache-Control") != "no-store" || got.ExpiresIn != 60 {
		rp.w.t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	random, ok := strings.CutPrefix(got.RequestURI, "urn:ietf:params:oauth:request_uri:")
	if !ok {
		rp.w.t.Fatalf("request_uri %q", got.RequestURI)
	}
	wantUnguessable(rp.w.t, "request_uri", random)
	return got.RequestURI
}

func (rp *relyingParty) push(pairs ...string) answer {
	rp.w.t.Helper()
	var form []string
	for name, list := range rp.ask(pairs...) {
		for _, value := range list {
			form = append(form, name, value)
		}
	}
	return rp.post("/oauth2/par", form...)
}

// openPushed opens what was pushed, and nothing else but the pairs.
func (rp *relyingParty) openPushed(b *browser, requestURI string, pairs ...string) answer {
	rp.w.t.Helper()
	values := url.Values{"client_id": {rp.id}, "request_uri": {requestURI}}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return b.get("/oauth2/authorize?" + values.Encode())
}

func (w *world) pushing() *relyingParty {
	return &relyingParty{w: w, id: "suite.pushing", redirect: suiteCallback}
}

// pkce are the parameters that this client must send.
var pkce = []string{"code_challenge", challenge, "code_challenge_method", "S256"}

func TestPushedRequestIsWhatCounts(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	b := rp.w.browser()
	page := rp.openPushed(b, rp.pushes(pkce...), "state", "other", "nonce", "other", "scope", "openid email", "redirect_uri", "https://evil.test/",
		"response_type", "token", "request", "x.y.z")
	code := rp.code(b, b.signIn(page), usualState)
	tokens := rp.redeem(code, "code_verifier", verifier)
	rp.idToken(tokens, usualNonce)
	if tokens.Scope != "openid" {
		t.Errorf("scope %q", tokens.Scope)
	}
}

func TestPushedRequestIsAnsweredOnceAndOpenedAgainUntilThen(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	requestURI := rp.pushes(pkce...)
	first, second := rp.w.browser(), rp.w.browser()
	rp.openPushed(first, requestURI)
	page, other := rp.openPushed(first, requestURI), rp.openPushed(second, requestURI)
	rp.code(first, first.signIn(page), usualState)
	wantErrorPage(t, second.signIn(other), "invalid_request_uri")
	for _, b := range []*browser{first, second, rp.w.browser()} {
		wantErrorPage(t, rp.openPushed(b, requestURI), "invalid_request_uri")
	}
}

func TestPushedRequestIsBegunWithinAMinute(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	late, begun := rp.pushes(pkce...), rp.pushes(pkce...)
	rp.w.clock.Advance(59 * time.Second)
	b := rp.w.browser()
	page := rp.openPushed(b, begun)
	rp.w.clock.Advance(time.Second)
	wantErrorPage(t, rp.openPushed(rp.w.browser(), late), "invalid_request_uri")
	rp.w.clock.Advance(10 * time.Minute)
	rp.code(b, b.signIn(page), usualState)
}

func TestPushedRequestOfAnotherClientIsNotKnown(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	requestURI := rp.pushes(pkce...)
	other := rp.w.suite("")
	wantErrorPage(t, other.openPushed(rp.w.signedIn(), requestURI), "invalid_request_uri")
	wantErrorPage(t, rp.openPushed(rp.w.signedIn(), requestURI+"A"), "invalid_request_uri")
	wantErrorPage(t, rp.w.signedIn().get("/oauth2/authorize?request_uri="+url.QueryEscape(requestURI)), "invalid_request_uri")
	b := rp.w.signedIn()
	rp.code(b, rp.openPushed(b, requestURI), usualState)
}

func TestPlainRequestOfAClientThatMustPushIsRefused(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	b := rp.w.signedIn()
	rp.wantError(b, rp.open(b, pkce...), usualState, "invalid_request")
}

func TestAnyClientMayPush(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		rp.finish(b, rp.openPushed(b, rp.pushes()))
	})
}

func TestPushedRequestsAreCheckedWhenTheyArePushed(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	ask := func(pairs ...string) []string { return append(append([]string{}, pkce...), pairs...) }
	for name, test := range map[string]struct {
		pairs []string
		code  string
	}{
		"request_uri inside":     {ask("request_uri", "urn:ietf:params:oauth:request_uri:x"), "invalid_request"},
		"another client's id":    {ask("client_id", "suite.basic"), "invalid_request"},
		"no redirect_uri":        {ask("redirect_uri", ""), "invalid_request"},
		"a foreign redirect_uri": {ask("redirect_uri", suiteCallback+"/x"), "invalid_request"},
		"no PKCE":                {nil, "invalid_request"},
		"plain PKCE":             {ask("code_challenge_method", "plain"), "invalid_request"},
		"hybrid":                 {ask("response_type", "code id_token"), "unsupported_response_type"},
		"implicit":               {ask("response_type", "token"), "unsupported_response_type"},
		"a request object":       {ask("request", "x.y.z"), "request_not_supported"},
		"two prompts":            {ask("prompt", "none login"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			rp.w.t = t
			rp.wantRefused(rp.push(test.pairs...), test.code)
		})
	}
	rp.w.t = t
	// Without its client_id the client is the one that has authenticated.
	b := rp.w.signedIn()
	rp.code(b, rp.openPushed(b, rp.pushes(ask("client_id", "")...)), usualState)
}

func TestPushingNeedsTheClient(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	wrong := *rp
	wrong.given = "not the secret of this client"
	wrong.wantRefused(wrong.push(pkce...), "invalid_client")
	send := func(method string, form url.Values) answer {
		r, err := http.NewRequestWithContext(t.Context(), method, issuer+"/oauth2/par", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return rp.w.do(r)
	}
	rp.wantRefused(send(http.MethodPost, rp.ask(pkce...)), "invalid_client")
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		if a := send(method, rp.ask(pkce...)); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
	if a := send(http.MethodPost, url.Values{"state": {strings.Repeat("x", 65<<10)}}); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("65 KiB: %d", a.status)
	}
	// A public client names itself.
	app := &relyingParty{w: rp.w, id: "market-app.spa", redirect: "https://market.test/callback"}
	if a := send(http.MethodPost, app.ask(pkce...)); a.status != http.StatusCreated {
		t.Errorf("public client: %d %s", a.status, a.body)
	}
	// RFC 9126 §2: an assertion may be addressed to this endpoint; this client
	// signs nobody in.
	for aud, code := range map[string]string{issuer + "/oauth2/par": "unauthorized_client", issuer + "/oauth2/revoke": "invalid_client"} {
		a := send(http.MethodPost, url.Values{
			"client_assertion_type": {assertionType},
			"client_assertion":      {rp.w.assertion(func(claims map[string]any) { claims["aud"] = aud })},
		})
		rp.wantRefused(a, code)
	}
}

// A hundred browsers complete one pushed request at once: one gets a code (D18).
func TestPushedRequestIsCompletedOnceInParallel(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	requestURI := rp.pushes(pkce...)
	signedIn := rp.w.signedIn().cookie("__Host-sekisho_session")
	var mu sync.Mutex
	codes := 0
	var all sync.WaitGroup
	for range 100 {
		b := rp.w.browser()
		b.setCookie("__Host-sekisho_session", signedIn)
		all.Go(func() {
			a := rp.openPushed(b, requestURI)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.location != nil && a.location.Query().Has("code"):
				codes++
			case a.text("error-code") != "invalid_request_uri":
				t.Errorf("%d %v %s", a.status, a.location, a.text("error-description"))
			}
		})
	}
	all.Wait()
	if codes != 1 {
		t.Errorf("%d codes", codes)
	}
}

// A third party that registers itself says so, too (RFC 9126 §6): its requests come
// pushed or not at all.
func TestRegisteredClientMustPushWhereItSaysSo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader("require_pushed_authorization_requests", true))
	if a := w.ask(http.MethodGet, made.URI, made.Token, nil); !strings.Contains(a.body, `"require_pushed_authorization_requests":true`) {
		t.Errorf("its metadata: %s", a.body)
	}
	rp := &relyingParty{w: w, id: made.ID, given: made.Secret, redirect: readerCallback}
	b := w.signedIn()
	rp.wantError(b, rp.open(b, pkce...), usualState, "invalid_request")
	if page := rp.openPushed(b, rp.pushes(pkce...)); !page.has("consent-form") {
		t.Errorf("%d %s", page.status, page.text("error-description"))
	}
}
