package signin_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mail"
)

// mails sends what waits, and gives it.
func (b *bundle) mails() []mail.Outgoing {
	b.t.Helper()
	b.letters = nil
	if _, err := b.post.SendSome(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return b.letters
}

var links = regexp.MustCompile(`https://id\.test/\S+`)

// link is the link in the only letter that waits.
func (b *bundle) link(to string) string {
	b.t.Helper()
	letters := b.mails()
	if len(letters) != 1 || letters[0].To != to {
		b.t.Fatalf("letters %+v, want one to %s", letters, to)
	}
	link := links.FindString(letters[0].Plain)
	if link == "" || !strings.Contains(letters[0].HTML, link) {
		b.t.Fatalf("no link, or another one in HTML: %+v", letters[0])
	}
	return link
}

const chosen = "seven brass kettles hum"

// TestRecovery: whoever has the address chooses another password, and is signed in by
// nothing but that.
func TestRecovery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.app("aiko@example.test")
	elsewhere := b.browser()
	wantCode(t, elsewhere.fill(elsewhere.signIn(elsewhere.authorize(), "aiko"), "code-form", "code", code()), toShop)
	w := b.browser()
	page := w.get(w.href(w.authorize(), "recover-link"))
	wantPage(t, page, "recover-form")
	page = w.fill(page, "recover-form", "email", "AIKO@example.test")
	wantPage(t, page, "sent")
	first := b.link("aiko@example.test")
	b.clock.Advance(time.Minute)
	w.fill(w.get("/recover"), "recover-form", "email", "aiko@example.test")
	second := b.link("aiko@example.test")
	wantPage(t, w.get(first), "gone") // a newer one was sent
	page = w.get(second)
	wantPage(t, page, "choose-form")
	wantPage(t, w.get(second), "choose-form") // to open it takes nothing
	short := w.fill(page, "choose-form", "new", "short")
	if short.status != http.StatusUnprocessableEntity || text(short, "problem") == "" {
		t.Errorf("a short password: %d", short.status)
	}
	wantPage(t, w.fill(page, "choose-form", "new", chosen), "chosen")
	if again := w.fill(page, "choose-form", "new", "nine paper lanterns glow"); again.status != http.StatusGone {
		t.Errorf("the link a second time: %d", again.status)
	}
	if letters := b.mails(); len(letters) != 1 || !strings.Contains(letters[0].Subject, "was changed") {
		t.Errorf("the person is told by %+v", letters)
	}
	wantTold(t, elsewhere.authorize("prompt", "none"), toShop, "login_required", "")
	wantPage(t, w.get("/account"), "signin-form") // nobody is signed in by the link
	if old := w.signIn(w.authorize(), "aiko"); old.status != http.StatusUnprocessableEntity {
		t.Errorf("the old password: %d", old.status)
	}
	b.clock.Advance(time.Minute)
	page = w.fill(w.authorize(), "signin-form", "email", "aiko@example.test", "password", chosen)
	wantPage(t, page, "code-form") // the second way of proof is not got around (N7)
	wantCode(t, w.fill(page, "code-form", "code", code()), toShop)
	if !b.account("aiko@example.test").EmailVerified {
		t.Error("who has read the letter has not shown that the address is theirs")
	}
}

// TestRecoveryTellsNobodyWhoHasAnAccount (N5): the same page, and as often.
func TestRecoveryTellsNobodyWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.disableAccount("ben@example.test")
	bodies := map[string]string{}
	for _, email := range []string{"aiko@example.test", "ben@example.test", "nobody@example.test", "no address"} {
		w := b.browser()
		page := w.get("/recover")
		for range 5 {
			a := w.fill(page, "recover-form", "email", email)
			if a.status != http.StatusOK {
				t.Fatalf("%s: %d", email, a.status)
			}
			bodies[email] = strings.ReplaceAll(a.body, email, "")
		}
		if a := w.fill(page, "recover-form", "email", strings.ToUpper(email)); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: the sixth letter at once: %d", email, a.status)
		}
	}
	for email, body := range bodies {
		if body != bodies["aiko@example.test"] {
			t.Errorf("%s has another page", email)
		}
	}
	if letters := b.mails(); len(letters) != 5 {
		t.Errorf("%d letters were written", len(letters))
	}
}

func TestRecoveryLinksEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	ask := func() string {
		wantPage(t, w.fill(w.get("/recover"), "recover-form", "email", "aiko@example.test"), "sent")
		b.clock.Advance(time.Minute)
		return b.link("aiko@example.test")
	}
	link := ask()
	page := w.get(link)
	b.clock.Advance(15 * time.Minute)
	wantPage(t, w.get(link), "gone")
	if late := w.fill(page, "choose-form", "new", chosen); late.status != http.StatusGone {
		t.Errorf("after 15 minutes: %d", late.status)
	}
	// It dies with a change of the password.
	link = ask()
	security := w.signIn(w.get("/account/security"), "aiko")
	wantPage(t, w.fill(security, "password-form", "old", password, "new", chosen), "notice")
	wantPage(t, w.get(link), "gone")
	for _, token := range []string{"x", "sek_ln_", strings.Repeat("a", 4096)} {
		wantPage(t, w.get("/recover/"+token), "gone")
	}
	page = w.get(ask())
	wantShown(t, b.browser().fill(page, "choose-form", "new", chosen), http.StatusForbidden, "invalid_request", "form")
	wantShown(t, w.fill(page, "choose-form", "new", chosen, "email", "x"), http.StatusBadRequest, "invalid_request", "field")
}

// TestConfirmEmail: an address is confirmed by a button on the page that the letter's
// link opens, and not by opening it.
func TestConfirmEmail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.fill(w.get(w.href(w.authorize(), "signup-link")), "signup-form", "email", "chie@example.test", "password", chosen, "name", "Chie")
	wantCode(t, page, toShop)
	link := b.link("chie@example.test")
	page = w.get("/account")
	wantPage(t, page, "confirm-email")
	page = b.browser().get(link)
	wantPage(t, page, "confirm-form")
	if b.account("chie@example.test").EmailVerified {
		t.Fatal("opening the link has confirmed the address")
	}
	stranger := b.browser()
	page = stranger.get(link)
	wantPage(t, stranger.fill(page, "confirm-form"), "confirmed")
	if !b.account("chie@example.test").EmailVerified || has(w.get("/account"), "confirm-email") {
		t.Error("the address is not confirmed, or the page still asks for it")
	}
	if again := stranger.fill(page, "confirm-form"); again.status != http.StatusGone {
		t.Errorf("the link a second time: %d", again.status)
	}
	// From the account page, for those who lost the letter.
	other := b.browser()
	page = other.signIn(other.get("/account"), "aiko")
	wantPage(t, other.fill(page, "confirm-email"), "notice")
	b.link("aiko@example.test")
}

func (b *bundle) disableAccount(email string) {
	b.t.Helper()
	id := b.account(email).ID
	err := b.database.Update(b.t.Context(), func(tx *db.Tx) error { return b.people.Disable(b.t.Context(), tx, id, account.Origin{}) })
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestAnotherAddress takes the place of a person's by a letter that reaches it, and never
// tells whether it has an account.
func TestAnotherAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := b.browser()
	page := w.signIn(w.get("/account"), "aiko")
	recovering := b.browser()
	wantPage(t, recovering.fill(recovering.get("/recover"), "recover-form", "email", "aiko@example.test"), "sent")
	old := b.link("aiko@example.test")
	taken := w.fill(page, "email-form", "email", "BEN@example.test")
	if letters := b.mails(); len(letters) != 0 {
		t.Errorf("who has the address got %+v", letters)
	}
	free := w.fill(page, "email-form", "email", "Aiko.Sato@example.test")
	if text(taken, "notice") == "" || text(taken, "notice") != text(free, "notice") {
		t.Errorf("the page tells %q of one address and %q of another", text(taken, "notice"), text(free, "notice"))
	}
	if bad := w.fill(page, "email-form", "email", "no address"); text(bad, "notice") == text(free, "notice") {
		t.Error("what is no address was taken")
	}
	link := b.link("Aiko.Sato@example.test")
	if who := b.account("aiko@example.test"); who.Email != "aiko@example.test" {
		t.Fatal("the letter alone has changed the address")
	}
	other := b.browser()
	confirm := other.get(link)
	wantPage(t, other.fill(confirm, "confirm-form"), "confirmed")
	if who := b.account("aiko.sato@EXAMPLE.test"); who.Email != "Aiko.Sato@example.test" || !who.EmailVerified {
		t.Errorf("the account has %q, %t", who.Email, who.EmailVerified)
	}
	if letters := b.mails(); len(letters) != 1 || letters[0].To != "aiko@example.test" || !strings.Contains(letters[0].Subject, "address was changed") {
		t.Errorf("the old address is told by %+v", letters)
	}
	wantPage(t, other.get(old), "gone") // a link that went to the old address (N7)
	if again := other.fill(confirm, "confirm-form"); again.status != http.StatusGone {
		t.Errorf("the link a second time: %d", again.status)
	}
	if a := other.signIn(other.authorize(), "aiko"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("signing in by the old address: %d", a.status)
	}
	wantCode(t, other.fill(other.authorize(), "signin-form", "email", "aiko.sato@example.test", "password", password), toShop)
	// Only soon after signing in, and not where somebody has the address by now.
	page = w.get("/account")
	w.fill(page, "email-form", "email", "late@example.test")
	link = b.link("late@example.test")
	_, err := b.people.SignUp(t.Context(), account.NewAccount{Email: "late@example.test", Password: chosen})
	if err != nil {
		t.Fatal(err)
	}
	if late := other.fill(other.get(link), "confirm-form"); late.status != http.StatusGone {
		t.Errorf("an address that somebody has by now: %d", late.status)
	}
	b.clock.Advance(11 * time.Minute)
	wantPage(t, w.fill(page, "email-form", "email", "x@example.test"), "signin-form")
}
