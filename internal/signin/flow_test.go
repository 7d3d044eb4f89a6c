package signin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

func TestSignInAndSSO(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.authorize("scope", "openid profile items.read nothing", "max_age", "600")
	wantPage(t, page, "signin-form")
	a := w.signIn(page, "aiko")
	granted := b.redeem(wantCode(t, a, "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	if a.location.Query().Get("state") != "st" {
		t.Errorf("state %q", a.location.Query().Get("state"))
	}
	// The unknown scope is left out, the others are where they belong.
	if got := granted.Scopes; !slices.Equal(got[issuer], []string{"openid", "profile"}) ||
		!slices.Equal(got["https://api.market.test"], []string{"items.read"}) || len(got) != 2 {
		t.Errorf("scopes %v", got)
	}
	if granted.Nonce != "no" || granted.ACR != "aal1" || !slices.Equal(granted.AMR, []string{"pwd"}) || !granted.ExactAuthTime || granted.Offline {
		t.Errorf("grant %+v", granted)
	}

	// The other client gets its code without a page, in the same session.
	b.clock.Advance(5 * time.Minute)
	other := b.redeem(wantCode(t, w.authorize(asGames...), "https://games.test/cb?"), "games.web", "https://games.test/cb")
	if *other.SessionID != *granted.SessionID || !other.AuthTime.Equal(granted.AuthTime) || other.ExactAuthTime {
		t.Errorf("second grant %+v, first %+v", other, granted)
	}
	wantCode(t, w.authorize("prompt", "none", "max_age", "300"), "https://a.example/cb?")
	if n := b.waiting(); n != 0 {
		t.Errorf("%d requests are left over", n)
	}
}

// TestWrongPassword: whoever is meant, the answer is the same (N5).
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var bodies []string
	for _, email := range []string{"aiko@example.test", "who@example.test", "not an address", ""} {
		w := b.browser()
		page := w.authorize()
		a := w.fill(page, "signin-form", "email", email, "password", "not the password at all")
		if a.status != http.StatusUnprocessableEntity || len(a.header.Values("Set-Cookie")) > 0 || text(a, "problem") == "" {
			t.Fatalf("%d %v %q", a.status, a.header, text(a, "problem"))
		}
		action, values := w.form(a, "signin-form")
		if values.Get("email") != email || values.Get("password") != "" {
			t.Errorf("the page comes back with %v", values)
		}
		bodies = append(bodies, withoutChallenge(strings.NewReplacer(action, "", strings.ReplaceAll(action, "signin", "signup"), "", values.Get("csrf"), "",
			`value="`+email+`" autofocus`, "", `value="`+email+`"`, "", " autofocus", "").Replace(a.body)))
	}
	for i := range bodies {
		if bodies[i] != bodies[0] {
			t.Errorf("answer %d differs from the first:\n%s\n%s", i, bodies[i], bodies[0])
		}
	}
}

// withoutChallenge takes the one random part out of a page.
func withoutChallenge(body string) string {
	return regexp.MustCompile(`challenge&#34;:&#34;[^&]*`).ReplaceAllString(body, "")
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	known := b.browser()
	known.signIn(known.authorize(), "aiko")
	w := b.browser()
	page := w.authorize()
	for range 6 {
		page = w.fill(page, "signin-form", "email", "aiko@example.test", "password", "not the password at all")
	}
	if page.status != http.StatusTooManyRequests || page.header.Get("Retry-After") == "" || !strings.Contains(text(page, "problem"), "Try again in") {
		t.Fatalf("%d %q %q", page.status, page.header.Get("Retry-After"), text(page, "problem"))
	}
	// The person on a device that is known signs in at once (N4).
	wantCode(t, known.signIn(known.authorize("prompt", "login"), "aiko"), "https://a.example/cb?")
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.authorize("prompt", "create", "login_hint", "chie@example.test")
	wantPage(t, page, "signup-form")
	for name, test := range map[string]struct{ email, password, name, words string }{
		"short":    {"chie@example.test", "fourteen chars", "Chie", "15"},
		"common":   {"chie@example.test", "aaaaaaaaaaaaaaaaaaaa", "Chie", "guess"},
		"long":     {"chie@example.test", strings.Repeat("wörter ", 60), "Chie", "256"},
		"address":  {"chie@", password, "Chie", "e-mail"},
		"taken":    {"AIKO@example.test", password, "Chie", "already"},
		"name":     {"chie@example.test", password, strings.Repeat("x", 201), "200"},
		"personal": {"chie.watanabe@example.test", "chie.watanabe@example.test", "Chie", "your own"},
	} {
		a := w.fill(page, "signup-form", "email", test.email, "password", test.password, "name", test.name)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(text(a, "problem"), test.words) {
			t.Errorf("%s: %d %q, want %q", name, a.status, text(a, "problem"), test.words)
		}
		if _, values := w.form(a, "signup-form"); values.Get("email") != test.email || values.Get("name") != test.name || values.Get("password") != "" {
			t.Errorf("%s: the page comes back with %v", name, values)
		}
	}
	if _, values := w.form(page, "signup-form"); values.Get("email") != "chie@example.test" {
		t.Errorf("login_hint is not in the form: %v", values)
	}
	a := w.fill(page, "signup-form", "email", "chie@example.test", "password", "four quiet herons wading", "name", `Chie "><script>`)
	b.redeem(wantCode(t, a, "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	if got := w.get("/account"); !strings.Contains(got.body, "Chie &#34;&gt;&lt;script&gt;") {
		t.Errorf("the account page says\n%s", got.body)
	}
	// The pages lead to each other without losing the request.
	w = b.browser()
	page = w.authorize()
	wantPage(t, w.get(strings.Replace(mustAction(w, page, "signin-form"), "/signin/", "/signup/", 1)), "signup-form")
}

func mustAction(w *browser, a answer, id string) string {
	action, _ := w.form(a, id)
	return action
}

// TestReauthentication: prompt=login and max_age=0 ask for the password and give
// a new auth_time; pages sent again do not get around it (R15).
func TestReauthentication(t *testing.T) {
	t.Parallel()
	for _, parameter := range [][2]string{{"prompt", "login"}, {"max_age", "0"}} {
		t.Run(parameter[0], func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			w := b.browser()
			first := b.redeem(wantCode(t, w.signIn(w.authorize(), "aiko"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
			b.clock.Advance(time.Minute)
			page := w.authorize(parameter[0], parameter[1])
			wantPage(t, page, "signin-form")
			action, values := w.form(page, "signin-form")
			if values.Get("email") != "aiko@example.test" {
				t.Errorf("the page does not name who must prove it: %v", values)
			}
			wantPage(t, w.get(action), "signin-form")                                                           // reload
			wantPage(t, w.get(strings.Replace(action, "/signin/", "/consent/", 1)), "signin-form")              // a page further on
			wantPage(t, w.post(action, url.Values{"csrf": values["csrf"], "continue": {"yes"}}), "signin-form") // another page's button
			if a := w.fill(page, "signin-form", "password", "not the password at all"); a.location != nil {
				t.Errorf("a wrong password leads to %s", a.location)
			}
			// Signing in for another request does not count for this one.
			other := w.authorize("prompt", "login", "state", "other")
			wantCode(t, w.signIn(other, "aiko"), "https://a.example/cb?")
			wantPage(t, w.get(action), "signin-form")

			b.clock.Advance(time.Minute)
			values.Set("password", password)
			second := b.redeem(wantCode(t, w.post(action, values), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
			if !second.AuthTime.Equal(first.AuthTime.Add(2*time.Minute)) || !second.ExactAuthTime {
				t.Errorf("auth_time %s exact %v, first %s", second.AuthTime, second.ExactAuthTime, first.AuthTime)
			}
			if *second.SessionID != *first.SessionID {
				t.Error("the session of the same person was not kept")
			}
			wantShown(t, w.post(action, values), http.StatusGone, "invalid_request", "already completed")
		})
	}
}

// TestSessionCookieChanges at every sign-in; the old value is worth nothing.
func TestSessionCookieChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	w.signIn(w.authorize(), "aiko")
	old := w.cookie("__Host-sekisho_session")
	w.signIn(w.authorize("prompt", "login"), "aiko")
	if old == "" || w.cookie("__Host-sekisho_session") == old {
		t.Fatal("the session cookie did not change")
	}
	thief := b.browser()
	thief.setCookie("__Host-sekisho_session", old)
	wantTold(t, thief.authorize("prompt", "none"), "https://a.example/cb?", "login_required", "")
}

func TestIDTokenHint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	aiko := b.redeem(wantCode(t, w.signIn(w.authorize(), "aiko"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	hint := b.idToken(aiko)
	ben := b.browser()
	bens := b.redeem(wantCode(t, ben.signIn(ben.authorize(), "ben"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	bensHint := b.idToken(bens)

	b.clock.Advance(10 * time.Minute) // past the life of an ID token
	wantCode(t, w.authorize("prompt", "none", "id_token_hint", hint), "https://a.example/cb?")
	wantTold(t, w.authorize("prompt", "none", "id_token_hint", bensHint), "https://a.example/cb?", "login_required", "")
	subject := b.pairwise.Subject(b.registry.Current().Subsystems()[4].Sector, bens.Ref)
	for _, member := range []string{"id_token", "userinfo"} {
		claims := `{"` + member + `":{"sub":{"value":"` + subject + `"}}}`
		wantTold(t, w.authorize("prompt", "none", "claims", claims), "https://a.example/cb?", "login_required", "")
	}
	// A hint of one person and a claim of another mean nobody.
	both := []string{"prompt", "none", "id_token_hint", hint, "claims", `{"id_token":{"sub":{"value":"` + subject + `"}}}`}
	wantTold(t, w.authorize(both...), "https://a.example/cb?", "login_required", "")
	wantTold(t, ben.authorize(both...), "https://a.example/cb?", "login_required", "")
	// The person may sign in as the one who is meant, and only so.
	page := w.authorize("id_token_hint", bensHint)
	wantPage(t, page, "signin-form")
	if _, values := w.form(page, "signin-form"); values.Get("email") != "" {
		t.Errorf("the page tells the address behind a hint: %v", values)
	}
	page = w.signIn(page, "aiko")
	wantPage(t, page, "signin-form")
	if !strings.Contains(text(page, "problem"), "another account") {
		t.Errorf("problem %q", text(page, "problem"))
	}
	got := b.redeem(wantCode(t, w.signIn(page, "ben"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	if got.AccountID != bens.AccountID {
		t.Error("the answer is about somebody else")
	}
	// Of another client, forged, of another kind.
	parts := strings.Split(hint, ".")
	games := b.redeem(wantCode(t, w.authorize(asGames...), "https://games.test/cb?"), "games.web", "https://games.test/cb")
	for _, wrong := range []string{
		b.idToken(games), parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[0] + "." + parts[1] + "." + parts[2][1:] + "A", strings.Repeat("A", 16<<10),
	} {
		wantTold(t, b.browser().authorizePost("id_token_hint", wrong), "https://a.example/cb?", "invalid_request", "id_token_hint")
	}
}

func TestSelectAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	wantPage(t, w.authorize("prompt", "select_account"), "signin-form")
	w.signIn(w.authorize(), "aiko")
	page := w.authorize("prompt", "select_account")
	wantPage(t, page, "continue")
	wantCode(t, w.fill(page, "continue", "continue", "yes"), "https://a.example/cb?")
	page = w.authorize("prompt", "select_account")
	granted := b.redeem(wantCode(t, w.signIn(page, "ben"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	who := w.get("/account")
	if text(who, "account-email") != "ben@example.test" || granted.AccountID == "" {
		t.Errorf("signed in as %q", text(who, "account-email"))
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.authorize("state", strings.Repeat("s", 128))
	query := wantTold(t, w.fill(page, "cancel", "cancel", "yes"), "https://a.example/cb?", "access_denied", "")
	if query.Get("state") != strings.Repeat("s", 128) {
		t.Errorf("state %q", query.Get("state"))
	}
}

// TestOtherPersonEndsTheSession: nothing of the first is left to the second (W6).
func TestOtherPersonEndsTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	aiko := b.redeem(wantCode(t, w.signIn(w.authorize(), "aiko"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	cookie := w.cookie("__Host-sekisho_session")
	ben := b.redeem(wantCode(t, w.signIn(w.authorize("prompt", "login"), "ben"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	if *ben.SessionID == *aiko.SessionID {
		t.Error("the session is the first person's")
	}
	back := b.browser()
	back.setCookie("__Host-sekisho_session", cookie)
	wantTold(t, back.authorize("prompt", "none"), "https://a.example/cb?", "login_required", "")
	if got := text(w.get("/account"), "account-email"); got != "ben@example.test" {
		t.Errorf("account page of %q", got)
	}
}

// TestOneCodeFromOneRequest: a page sent many times at once makes one code.
func TestOneCodeFromOneRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(asBlog...), "aiko")
	action, values := w.form(page, "consent-form")
	values.Set("decision", "allow")
	var codes sync.Map
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if a := w.send(http.MethodPost, action, values); a.location != nil && a.location.Query().Get("code") != "" {
				codes.Store(a.location.Query().Get("code"), true)
			}
		})
	}
	group.Wait()
	made := 0
	codes.Range(func(any, any) bool { made++; return true })
	if made != 1 {
		t.Errorf("%d codes were made", made)
	}
}

// TestWaitingRequests: five a browser, half an hour each, then they are gone.
func TestWaitingRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	first := w.authorize()
	for range 5 {
		b.clock.Advance(time.Second)
		w.authorize()
	}
	if n := b.waiting(); n != 5 {
		t.Errorf("%d requests wait, want 5", n)
	}
	action, _ := w.form(first, "signin-form")
	wantShown(t, w.get(action), http.StatusGone, "invalid_request", "expired")
	last := w.authorize()
	b.clock.Advance(29 * time.Minute)
	wantPage(t, w.get(mustAction(w, last, "signin-form")), "signin-form")
	b.clock.Advance(2 * time.Minute)
	wantShown(t, w.signIn(last, "aiko"), http.StatusGone, "invalid_request", "expired")
	if err := b.door.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.waiting(); n != 0 {
		t.Errorf("%d requests are left after the sweep", n)
	}
}

// TestAbandonedRequestsAreBounded: whoever opens sign-in pages without end and
// leaves them fills no disk, and pushes out the oldest ones first (check Q5).
func TestAbandonedRequestsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	oldest := w.authorize()
	b.clock.Advance(time.Second)
	const most, more = 100_000, 1500
	err := b.database.Update(t.Context(), func(tx *db.Tx) error {
		now := b.clock.Now()
		_, err := tx.Exec(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			INSERT INTO signin_request (handle, browser, request, created_at, expires_at)
			SELECT `+dbtest.Bytes("'handle ' || i")+`, `+dbtest.Bytes("'browser ' || i")+`, '{}', CAST($2 AS BIGINT) + i, CAST($3 AS BIGINT) + i FROM n`,
			most+more, db.Millis(now), db.Millis(now.Add(30*time.Minute)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(10 * time.Minute)
	newest := w.authorize()
	if err := b.door.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.waiting(); n != most {
		t.Errorf("%d requests are left, want %d", n, most)
	}
	wantShown(t, w.get(mustAction(w, oldest, "signin-form")), http.StatusGone, "invalid_request", "expired")
	wantPage(t, w.get(mustAction(w, newest, "signin-form")), "signin-form")
}

// TestDatabaseGone: what needs it answers 503 and tells nothing of the cause.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	w.signIn(w.authorize(), "aiko")
	if err := b.database.Close(); err != nil {
		t.Fatal(err)
	}
	for _, a := range []answer{w.authorize(), w.get("/account"), w.get("/oauth2/logout"), w.get("/signin/x")} {
		wantShown(t, a, http.StatusServiceUnavailable, "temporarily_unavailable", "")
		if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "sql") || strings.Contains(a.body, "closed") {
			t.Errorf("%v\n%s", a.header, a.body)
		}
	}
}

// TestDisabledMeanwhile: a session of a disabled person is none.
func TestDisabledMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	granted := b.redeem(wantCode(t, w.signIn(w.authorize(), "aiko"), "https://a.example/cb?"), "shop.web", "https://a.example/cb")
	err := b.database.Update(t.Context(), func(tx *db.Tx) error {
		return b.people.Disable(t.Context(), tx, granted.AccountID, b.origin())
	})
	if err != nil {
		t.Fatal(err)
	}
	wantTold(t, w.authorize("prompt", "none"), "https://a.example/cb?", "login_required", "")
	a := w.signIn(w.authorize(), "aiko")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("a disabled person gets %d", a.status)
	}
}
