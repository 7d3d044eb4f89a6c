package signin_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

// app sets up an authenticator app of a person, and gives what makes its codes.
func (b *bundle) app(email string) func() string {
	b.t.Helper()
	who := b.account(email)
	setup, err := b.people.NewTOTP(who)
	if err != nil {
		b.t.Fatal(err)
	}
	key := strings.ReplaceAll(setup.Secret, "-", "")
	code := func() string {
		text, err := totp.GenerateCode(key, b.clock.Now())
		if err != nil {
			b.t.Fatal(err)
		}
		return text
	}
	if err := b.people.ConfirmTOTP(b.t.Context(), who.ID, setup.Sealed, code(), account.Origin{}); err != nil {
		b.t.Fatal(err)
	}
	b.clock.Advance(time.Minute)
	return code
}

func (b *bundle) account(email string) (who *account.Account) {
	b.t.Helper()
	err := b.database.Read(b.t.Context(), func(tx *db.Tx) (err error) {
		who, err = b.people.ByEmail(context.Background(), tx, email)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return who
}

const toShop = "https://a.example/cb?"

// TestCodeAfterThePassword: who has an authenticator app is signed in by password and code
// together, and by neither alone.
func TestCodeAfterThePassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.app("aiko@example.test")
	w := b.browser()
	page := w.signIn(w.authorize(), "aiko")
	wantPage(t, page, "code-form")
	if w.cookie("session") != "" {
		t.Error("the password alone has signed the person in")
	}
	wantPage(t, w.authorize(), "signin-form") // and for another request it counts nothing
	wrong := w.fill(page, "code-form", "code", "000000")
	if wrong.status != http.StatusUnprocessableEntity || text(wrong, "problem") == "" {
		t.Fatalf("a wrong code: %d %s", wrong.status, wrong.body)
	}
	granted := b.redeem(wantCode(t, w.fill(wrong, "code-form", "code", code()), toShop), "shop.web", "https://a.example/cb")
	if granted.ACR != "aal2" || !slices.Equal(granted.AMR, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("signed in with %s %v", granted.ACR, granted.AMR)
	}
	// The same code does not do for another browser.
	other := b.browser()
	again := other.fill(other.signIn(other.authorize(), "aiko"), "code-form", "code", code())
	if again.status != http.StatusUnprocessableEntity {
		t.Errorf("the same code again: %d", again.status)
	}
	for range 5 {
		again = other.fill(again, "code-form", "code", "000000")
	}
	if again.status != http.StatusTooManyRequests || again.header.Get("Retry-After") == "" {
		t.Errorf("six wrong codes: %d", again.status)
	}
	// The owner is signed in, and single sign-on asks for nothing.
	wantCode(t, w.authorize("acr_values", "aal2", "prompt", "none"), toShop)
}

// TestRememberedBrowser holds that a browser which was remembered is asked for no code,
// that this proves nothing, and what ends it.
func TestRememberedBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.app("aiko@example.test")
	remembered := func() *browser {
		t.Helper()
		w := b.browser()
		b.clock.Advance(time.Minute) // another code
		wantCode(t, w.fill(w.signIn(w.authorize(), "aiko"), "code-form", "code", code(), "remember", "yes"), toShop)
		return w
	}
	w := remembered()
	again := func(more ...string) answer {
		t.Helper()
		return w.signIn(w.authorize(append([]string{"prompt", "login"}, more...)...), "aiko")
	}
	granted := b.redeem(wantCode(t, again(), toShop), "shop.web", "https://a.example/cb")
	if granted.ACR != "aal1" || !slices.Equal(granted.AMR, []string{"pwd"}) {
		t.Errorf("a browser that is remembered counts as a proof: %s %v", granted.ACR, granted.AMR)
	}
	page := again("acr_values", "aal2")
	wantPage(t, page, "code-form")
	if strings.Contains(page.body, `id="remember"`) {
		t.Error("where a client asks for the strong way, the browser cannot be remembered")
	}
	stranger := b.browser()
	wantPage(t, stranger.signIn(stranger.authorize(), "aiko"), "code-form")

	b.clock.Advance(30*24*time.Hour + time.Second)
	wantPage(t, again(), "code-form")

	w = remembered()
	who := b.account("aiko@example.test")
	if err := b.people.ForgetTrusted(t.Context(), who.ID, account.Origin{}); err != nil {
		t.Fatal(err)
	}
	wantPage(t, again(), "code-form")
}

func TestPasswordGivenForAWhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.app("aiko@example.test")
	w := b.browser()
	page := w.signIn(w.authorize(), "aiko")
	b.clock.Advance(11 * time.Minute)
	wantPage(t, w.fill(page, "code-form", "code", code()), "signin-form")
	// Another account instead.
	page = w.signIn(w.authorize(), "aiko")
	page = w.fill(page, "restart", "restart", "yes")
	wantPage(t, page, "signin-form")
	wantCode(t, w.signIn(page, "ben"), toShop)
	// Or back to the client.
	w = b.browser()
	page = w.signIn(w.authorize(), "aiko")
	wantTold(t, w.fill(page, "cancel", "cancel", "yes"), toShop, "access_denied", "")
	// A form of another browser, and one that was changed.
	page = w.signIn(w.authorize(), "aiko")
	action, values := w.form(page, "code-form")
	wantShown(t, b.browser().post(action, values), http.StatusForbidden, "invalid_request", "form")
	values.Set("csrf", "x")
	wantShown(t, w.post(action, values), http.StatusForbidden, "invalid_request", "form")
}

// TestStepUp: a client gets the level it asks for, and a person is asked for no more than
// what is missing (RFC 9470).
func TestStepUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	wantCode(t, w.signIn(w.authorize(), "aiko"), toShop)
	wantTold(t, w.authorize("acr_values", "aal2", "prompt", "none"), toShop, "login_required", "")
	page := w.authorize("acr_values", "aal2")
	wantPage(t, page, "no-method") // nothing to step up with yet, and a way to get it
	wantPage(t, page, "add-method")
	essential := `{"id_token":{"acr":{"essential":true,"values":["aal2"]}}}`
	wantPage(t, w.authorize("claims", essential), "no-method")
	code := b.app("aiko@example.test")
	page = w.authorize("claims", essential)
	wantPage(t, page, "code-form")
	granted := b.redeem(wantCode(t, w.fill(page, "code-form", "code", code()), toShop), "shop.web", "https://a.example/cb")
	if granted.ACR != "aal2" || !slices.Equal(granted.AMR, []string{"pwd", "otp", "mfa"}) || !granted.AuthTime.Equal(b.clock.Now()) {
		t.Errorf("stepped up to %s %v at %v", granted.ACR, granted.AMR, granted.AuthTime)
	}
	for _, wished := range [][]string{{"acr_values", "aal2"}, {"acr_values", "3"}, {"acr_values", "aal3 aal2"}, {"acr_values", "aal1"}, {"claims", essential}} {
		wantCode(t, w.authorize(append(wished, "prompt", "none")...), toShop)
	}
	// max_age asks for the password again, and then for the rest.
	b.clock.Advance(10 * time.Minute)
	page = w.authorize("acr_values", "aal2", "max_age", "60")
	wantPage(t, page, "signin-form")
	page = w.signIn(page, "aiko")
	wantPage(t, page, "code-form")
	wantCode(t, w.fill(page, "code-form", "code", code()), toShop)
}

// TestLeastLevelOfAClient is policy of the group file.
func TestLeastLevelOfAClient(t *testing.T) {
	t.Parallel()
	b := setup(t, "web: { type: spa, redirect_uris", "web: { type: spa, acr: aal2, redirect_uris")
	w := b.browser()
	wantCode(t, w.signIn(w.authorize(), "aiko"), toShop)
	games := []string{"client_id", "games.web", "redirect_uri", "https://games.test/cb"}
	wantPage(t, w.authorize(games...), "no-method")
	code := b.app("aiko@example.test")
	page := w.authorize(games...)
	wantPage(t, page, "code-form")
	wantCode(t, w.fill(page, "code-form", "code", code()), "https://games.test/cb?")
}

// TestSecurityPage: the ways to sign in are changed by who has just proved who they are, as
// strongly as they can (row N10).
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	open := func() answer { return w.get("/account/security") }
	page := w.signIn(open(), "aiko")
	wantPage(t, page, "app-form")
	secret := strings.ReplaceAll(text(page, "app-secret"), "-", "")
	wrong := w.fill(page, "app-form", "code", "000000")
	if wrong.status != http.StatusUnprocessableEntity || text(wrong, "problem") == "" {
		t.Errorf("a wrong code: %d", wrong.status)
	}
	now, err := totp.GenerateCode(secret, b.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	page = w.fill(page, "app-form", "code", now)
	wantPage(t, page, "app")
	wantPage(t, page, "notice")
	page = w.fill(page, "make-codes")
	wantPage(t, page, "new-codes")
	recovery := strings.Fields(text(page, "new-codes"))
	if len(recovery) < 10 || strings.Contains(open().body, recovery[len(recovery)-1]) {
		t.Errorf("the codes %v are shown again", recovery)
	}
	// Ten minutes later the page asks again, for password and code.
	b.clock.Advance(11 * time.Minute)
	page = open()
	wantPage(t, page, "signin-form")
	page = w.signIn(page, "aiko")
	wantPage(t, page, "code-form")
	page = w.fill(page, "code-form", "code", recovery[len(recovery)-1])
	wantPage(t, page, "remove-app")
	if left := text(page, "codes-left"); !strings.Contains(left, "9") {
		t.Errorf("the page says %q", left)
	}
	stale := page
	b.clock.Advance(11 * time.Minute)
	wantPage(t, w.fill(stale, "remove-app"), "signin-form") // nothing is done with an old proof
	var methods account.Methods
	err = b.database.Read(t.Context(), func(tx *db.Tx) (err error) {
		methods, err = b.people.Methods(t.Context(), tx, b.account("aiko@example.test").ID)
		return err
	})
	if err != nil || !methods.TOTP {
		t.Errorf("with an old proof the app was removed: %+v, %v", methods, err)
	}
	wantShown(t, w.fill(stale, "remove-app", "csrf", "x"), http.StatusForbidden, "invalid_request", "form")
	wantShown(t, w.fill(stale, "remove-app", "account", "x"), http.StatusBadRequest, "invalid_request", "field")
}
