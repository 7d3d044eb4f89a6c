package app_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// TestMovedInstallation holds that nobody notices a move to PostgreSQL: signed-in
// people stay signed in, tokens and codes that are out are good, ids are the same,
// and what waits for a receiver reaches it.
func TestMovedInstallation(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	server := postgrestest.New(t)
	w := setup(t)

	rp, b := w.suite(""), w.browser()
	first := rp.finish(b, b.signIn(rp.open(b, "scope", "openid email offline_access", "prompt", "consent")))
	codes := w.codes(2, "market-app.spa", "https://market.test/callback")
	spa := decode[tokens](t, w.public(redemption(codes[0])...).body)
	receiver := w.receiver("crypto.worker")
	stream := receiver.makeStream(pollDelivery)
	w.publisher().want(http.StatusAccepted, http.MethodPost, "/events", w.event("sale-1", "type", sold))
	bea := w.newPerson("bea")
	if err := w.app.DisableAccount(t.Context(), bea.ID, "test"); err != nil {
		t.Fatal(err)
	}
	subjects := w.subjects()
	if err := w.app.Close(context.Background()); err != nil {
		t.Fatal(err)
	}

	target := server.URL("postgres")
	moved, err := db.Move{From: w.path, To: target}.Run(t.Context())
	if err != nil || moved.Rows < 30 {
		t.Fatalf("%+v, %v", moved, err)
	}
	there := start(t, target, w.clock)
	if got := there.subjects(); !maps.Equal(got, subjects) {
		t.Errorf("ids are %v, were %v", got, subjects)
	}
	rp.w, receiver.w = there, there

	// The browser is signed in, and the client knows the person again.
	same := there.browser()
	same.setCookie(sessionCookie, b.cookie(sessionCookie))
	if again := rp.finish(same, rp.open(same, "prompt", "none")); again.id["sub"] != first.id["sub"] {
		t.Errorf("sub %v, was %v", again.id["sub"], first.id["sub"])
	}
	if info := rp.userinfo(first.tokens); info["sub"] != first.id["sub"] || info["email"] != email {
		t.Errorf("userinfo of a token from before: %v", info)
	}
	rp.wantTokens(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", first.tokens.RefreshToken))
	there.wantGood(there.public("grant_type", "refresh_token", "client_id", "market-app.spa", "refresh_token", spa.RefreshToken))
	there.wantGood(there.public(redemption(codes[1])...))
	if again := there.public(redemption(codes[0])...); again.status != http.StatusBadRequest {
		t.Errorf("a code that was redeemed before the move: %d", again.status)
	}
	// Anew, with the password; and who was disabled is.
	anew := there.browser()
	if l := rp.finish(anew, anew.signIn(rp.open(anew))); l.id["sub"] != first.id["sub"] {
		t.Errorf("sub after signing in anew %v", l.id["sub"])
	}
	barred := there.browser()
	if page := barred.fill(rp.open(barred), "signin-form", "email", "bea@example.test", "password", "nine soft lanterns drifting"); page.status == http.StatusFound || !page.has("signin-form") {
		t.Errorf("a disabled account signed in: %d", page.status)
	}
	// What waited is delivered.
	if got := receiver.sets(stream)[sold]; len(got) != 1 {
		t.Errorf("the receiver got %v", got)
	}
}

// TestClockFarFromTheDatabase is F12: the clock of these tests and PostgreSQL's are
// years apart, so the server is not ready, and says which part is not.
func TestClockFarFromTheDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	want := `sekisho_ready{part="clock"} 1`
	if dbtest.OnPostgres() {
		want = `sekisho_ready{part="clock"} 0`
	}
	if said := w.metrics(); !strings.Contains(said, want) {
		t.Errorf("/metrics lacks %s", want)
	}
}

// subjects are the ids of the person, by subsystem.
func (w *world) subjects() map[string]string {
	found := map[string]string{}
	for _, subsystem := range w.app.Registry.Current().Subsystems() {
		found[subsystem.Name] = w.sub(subsystem.Name, w.person.Ref)
	}
	return found
}

func (w *world) wantGood(a answer) {
	w.t.Helper()
	if a.status != http.StatusOK {
		w.t.Errorf("%d %s", a.status, a.body)
	}
}
