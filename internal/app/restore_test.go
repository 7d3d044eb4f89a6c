package app_test

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/dbtest"
)

// backup copies the database while the server runs, as docs/backup.md has it.
func (w *world) backup() (path string) {
	w.t.Helper()
	dbtest.SQLiteOnly(w.t)
	path = filepath.Join(w.t.TempDir(), "copy.db")
	database, err := sql.Open("sqlite", w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	if _, err := database.ExecContext(w.t.Context(), `VACUUM INTO ?`, path); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// TestARestoredServerTakesNothingTwice restores a backup that knows neither that a
// code was redeemed nor that a refresh token was replaced (F17). People keep
// their ids.
func TestARestoredServerTakesNothingTwice(t *testing.T) {
	t.Parallel()
	w := setup(t)
	spa := &relyingParty{w: w, id: "market-app.spa", inBody: true, redirect: "https://market.test/callback"}
	public := func(w *world, pairs ...string) answer {
		return w.public(append([]string{"client_id", spa.id, "redirect_uri", spa.redirect, "code_verifier", verifier}, pairs...)...)
	}
	ask := func(w *world) (code string) {
		t.Helper()
		asking := *spa
		asking.w = w
		b := w.signedIn()
		return asking.code(b, asking.open(b, "scope", "openid charge", "code_challenge", challenge, "code_challenge_method", "S256"), usualState)
	}
	redeem := func(w *world, code string) tokens {
		t.Helper()
		return decode[tokens](t, public(w, "grant_type", "authorization_code", "code", code, "resource", pay).body)
	}

	first := redeem(w, ask(w))
	code := ask(w)
	copied := w.backup()
	redeem(w, code)
	second := decode[tokens](t, public(w, "grant_type", "refresh_token", "refresh_token", first.RefreshToken).body)
	if first.RefreshToken == "" || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
		t.Fatal("the refresh token was not replaced")
	}

	w.clock.Advance(time.Second)
	again := start(t, copied, w.clock)
	if err := again.app.Restored(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	again.clock.Advance(time.Second)
	for what, a := range map[string]answer{
		"a code that was redeemed":                 public(again, "grant_type", "authorization_code", "code", code),
		"a refresh token that was replaced":        public(again, "grant_type", "refresh_token", "refresh_token", first.RefreshToken),
		"its successor, which nobody knows of":     public(again, "grant_type", "refresh_token", "refresh_token", second.RefreshToken),
		"the one that was replaced, a second time": public(again, "grant_type", "refresh_token", "refresh_token", first.RefreshToken),
	} {
		if refusal := decode[map[string]string](t, a.body); a.status != http.StatusBadRequest || refusal["error"] != "invalid_grant" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	third := redeem(again, ask(again))
	if before, after := subjectOf(t, first.IDToken), subjectOf(t, third.IDToken); before != after {
		t.Errorf("the person was %s and is %s", before, after)
	}
}

func subjectOf(t *testing.T, token string) string {
	t.Helper()
	subject, ok := decode[map[string]any](t, segment(t, token, 1))["sub"].(string)
	if !ok {
		t.Fatalf("no sub in %s", token)
	}
	return subject
}
