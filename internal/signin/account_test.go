package signin_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

// TestSessionsOfAPerson: each browser in which a person is signed in is listed, and ended
// from any other.
func TestSessionsOfAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	phone, laptop, other := b.browser(), b.browser(), b.browser()
	phone.header.Set("User-Agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1")
	laptop.header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0")
	for _, w := range []*browser{phone, laptop, other} {
		wantCode(t, w.signIn(w.authorize(), "aiko"), toShop)
		b.clock.Advance(time.Minute)
	}
	stranger := b.browser()
	wantCode(t, stranger.signIn(stranger.authorize(), "ben"), toShop)
	page := laptop.get("/account")
	list := text(page, "sessions")
	for _, word := range []string{"Safari on iPhone", "Edge on Windows · this device", "Another device"} {
		if !strings.Contains(list, word) {
			t.Errorf("the page lists %q, and not %s", list, word)
		}
	}
	// One, by its button; not that of somebody else.
	action, values := laptop.form(page, "end-others")
	strangers := stranger.get("/account")
	_, theirs := stranger.form(strangers, "name-form")
	values.Set("do", "end session")
	values.Set("session", b.sessionOf("ben@example.test"))
	wantPage(t, laptop.post(action, values), "sessions")
	wantCode(t, stranger.authorize("prompt", "none"), toShop)
	values.Set("session", b.sessionOf("aiko@example.test"))
	if page = laptop.post(action, values); text(page, "notice") == "" || strings.Contains(text(page, "sessions"), "Another device") {
		t.Errorf("after ending one the page lists %q", text(page, "sessions"))
	}
	wantTold(t, other.authorize("prompt", "none"), toShop, "login_required", "")
	wantCode(t, phone.authorize("prompt", "none"), toShop)
	// All others.
	page = laptop.fill(page, "end-others")
	wantPage(t, page, "notice")
	wantTold(t, phone.authorize("prompt", "none"), toShop, "login_required", "")
	wantCode(t, laptop.authorize("prompt", "none"), toShop)
	// Not by a foreign form.
	theirs.Set("do", "end others")
	wantShown(t, laptop.post(action, theirs), http.StatusForbidden, "invalid_request", "form")
	_, values = laptop.form(page, "name-form")
	values.Set("do", "something")
	wantShown(t, laptop.post(action, values), http.StatusBadRequest, "invalid_request", "no such change")
}

// sessionOf is the newest session of a person.
func (b *bundle) sessionOf(email string) string {
	b.t.Helper()
	id := b.account(email).ID
	var session []byte
	err := b.database.Read(b.t.Context(), func(tx *db.Tx) error {
		return tx.Row(b.t.Context(), "SELECT id FROM session WHERE account = $1 ORDER BY auth_time DESC LIMIT 1", id).Scan(&session)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return hex.EncodeToString(session)
}

func TestNameAndData(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.get("/account"), "aiko")
	page = w.fill(page, "name-form", "name", "  Aiko <b>Sato</b> ")
	if who := b.account("aiko@example.test"); who.Profile.Name != "Aiko <b>Sato</b>" || !strings.Contains(page.body, "Aiko &lt;b&gt;Sato&lt;/b&gt;") {
		t.Errorf("the name is %q", who.Profile.Name)
	}
	page = w.fill(page, "name-form", "name", strings.Repeat("x", 201))
	if text(page, "notice") == "" || b.account("aiko@example.test").Profile.Name != "Aiko <b>Sato</b>" {
		t.Error("a name that is too long was taken, or nothing is said")
	}
	file := w.get("/account/data")
	var data map[string]any
	if err := json.Unmarshal([]byte(file.body), &data); err != nil || file.header.Get("Content-Disposition") == "" || file.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%v %v %s", err, file.header, file.body)
	}
	if data["email"] != "aiko@example.test" || data["has_password"] != true || len(data["sessions"].([]any)) != 1 {
		t.Errorf("the file says %v", data)
	}
	who := b.account("aiko@example.test")
	for _, hidden := range []string{who.ID, "argon2", "sek_"} {
		if strings.Contains(file.body, hidden) {
			t.Errorf("the file has %s", hidden)
		}
	}
	b.clock.Advance(11 * time.Minute)
	wantPage(t, w.get("/account/data"), "signin-form")
}

func TestChangeAndAddPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w, elsewhere := b.browser(), b.browser()
	wantCode(t, elsewhere.signIn(elsewhere.authorize(), "aiko"), toShop)
	page := w.signIn(w.get("/account/security"), "aiko")
	for _, c := range []struct{ old, new, words string }{
		{"not the password at all", "seven brass kettles hum", "present password"},
		{password, "short", "15"},
		{password, password, "guess"},
	} {
		again := w.fill(page, "password-form", "old", c.old, "new", c.new)
		if again.status != http.StatusUnprocessableEntity || !strings.Contains(text(again, "problem"), c.words) {
			t.Errorf("%+v: %d %q", c, again.status, text(again, "problem"))
		}
	}
	b.clock.Advance(time.Minute)
	page = w.fill(page, "password-form", "old", password, "new", "seven brass kettles hum")
	wantPage(t, page, "notice") // and signed in here still
	wantTold(t, elsewhere.authorize("prompt", "none"), toShop, "login_required", "")
	fresh := b.browser()
	if again := fresh.signIn(fresh.authorize(), "aiko"); again.status != http.StatusUnprocessableEntity {
		t.Errorf("the old password: %d", again.status)
	}
	wantCode(t, fresh.fill(fresh.authorize(), "signin-form", "email", "aiko@example.test", "password", "seven brass kettles hum"), toShop)
	// There is one, so none can be added.
	err := b.people.AddPassword(t.Context(), account.PasswordChange{AccountID: b.account("aiko@example.test").ID, New: "nine paper lanterns glow"})
	if !errors.Is(err, account.ErrCredentials) {
		t.Errorf("a second password: %v", err)
	}
}

// TestDeleteAccount: by who has just proved who they are and typed the address, for ever.
func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.authorize(asBlog...), "aiko")
	granted := b.redeem(wantCode(t, w.fill(page, "consent-form", "decision", "allow"), "https://blog.test/cb?"), "blog.web", "https://blog.test/cb")
	page = w.get("/account/delete")
	wantPage(t, page, "delete-form")
	wrong := w.fill(page, "delete-form", "email", "ben@example.test")
	if wrong.status != http.StatusUnprocessableEntity || text(wrong, "problem") == "" {
		t.Errorf("another address: %d", wrong.status)
	}
	wantShown(t, w.fill(page, "delete-form", "email", "aiko@example.test", "csrf", "x"), http.StatusForbidden, "invalid_request", "form")
	b.clock.Advance(11 * time.Minute)
	wantPage(t, w.fill(page, "delete-form", "email", "aiko@example.test"), "signin-form")
	page = w.signIn(w.get("/account/delete"), "aiko")
	page = w.fill(page, "delete-form", "email", " AIKO@example.test ")
	wantPage(t, page, "deleted")
	err := b.database.Read(t.Context(), func(tx *db.Tx) error {
		_, err := b.people.ByEmail(t.Context(), tx, "aiko@example.test")
		return err
	})
	if !errors.Is(err, account.ErrUnknown) {
		t.Errorf("the account is still there: %v", err)
	}
	if granted.AccountID == "" || !b.people.MaybeGone(granted.Ref.Handle) {
		t.Error("subjects of the person still name somebody")
	}
	wantPage(t, w.get("/account"), "signin-form")
	if again := w.signIn(w.authorize(), "aiko"); again.status != http.StatusUnprocessableEntity {
		t.Errorf("signing in after that: %d", again.status)
	}
}
