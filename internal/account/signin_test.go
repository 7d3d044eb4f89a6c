package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

func TestCheckPasswordTellsWhoItIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, "Alice@Example.COM")
	for _, login := range []string{"alice@example.com", " ALICE@example.com ", "ａｌｉｃｅ@example.com", "alice@EXAMPLE.com."} {
		got, err := b.CheckPassword(t.Context(), account.Attempt{Login: login, Password: password, Origin: account.Origin{Source: home}})
		if err != nil {
			t.Fatalf("%q: %v", login, err)
		}
		if got.ID != a.ID || got.Email != "Alice@Example.COM" || got.Ref != a.Ref {
			t.Errorf("%q is %+v", login, got)
		}
	}
	if n := len(b.events(t, audit.SignInSucceeded)); n != 4 {
		t.Errorf("%d successes in the audit log, not 4", n)
	}
}

// Whatever is wrong, the answer is one.
func TestCheckPasswordRefusesAllAlike(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	off := b.signUp(t, "off@example.com")
	b.update(t, func(ctx context.Context, tx *db.Tx) error {
		return b.Disable(ctx, tx, off.ID, account.Origin{By: "test"})
	})
	for _, c := range []struct{ name, login, password, reason string }{
		{"wrong password", email, "three green umbrellas sang", "wrong password"},
		{"empty password", email, "", "wrong password"},
		{"unknown", "nobody@example.com", password, "no account has this name"},
		{"no address", "nobody", password, "no account has this name"},
		{"empty login", "", password, "no account has this name"},
		{"huge login", strings.Repeat("a", 1<<16), password, "no account has this name"},
		{"broken text", "alice@example.com\xff", password, "no account has this name"},
		{"disabled", "off@example.com", password, "the account is disabled"},
	} {
		b.clock.Advance(time.Second) // records are in order of time
		if err := b.attempt(t.Context(), c.login, c.password, home, ""); !errors.Is(err, account.ErrCredentials) {
			t.Errorf("%s: %v", c.name, err)
		}
		records := b.events(t, audit.SignInFailed)
		if got := records[len(records)-1]; got.Reason != c.reason || got.Outcome != audit.Refused || got.Source != home.String() || got.Request != "r1" {
			t.Errorf("%s: audit has %+v", c.name, got)
		}
	}
}

func TestHugePasswordIsNotHashed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	if err := b.attempt(t.Context(), email, strings.Repeat("p", 1025), home, ""); !errors.Is(err, account.ErrTooLarge) {
		t.Error(err)
	}
	if n := len(b.events(t, audit.SignInFailed)); n != 0 {
		t.Errorf("%d attempts were evaluated", n)
	}
}

// Attempts that came while all hashers were busy are no failures.
func TestBusyIsNoFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	config := b.config
	config.Hasher = secret.NewHasher(secret.HasherConfig{AtOnce: 1, Queue: -1})
	people, err := account.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for ctx.Err() == nil {
			_, _ = config.Hasher.Hash(ctx, password)
		}
	})
	defer others.Wait()
	defer stop()
	for busy := 0; busy < 10; {
		_, err := people.CheckPassword(t.Context(), account.Attempt{Login: email, Password: password, Origin: account.Origin{Source: home}})
		switch {
		case errors.Is(err, secret.ErrBusy):
			busy++
		case err != nil:
			t.Fatalf("after %d attempts while busy: %v", busy, err)
		}
	}
}

func TestRehashAtSignIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	config := b.config
	config.Hasher = secret.NewHasher(secret.HasherConfig{Memory: 128, Time: 1})
	dearer, err := account.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	before := storedHash(t, b.DB)
	attempt := account.Attempt{Login: email, Password: password, Origin: account.Origin{Source: home}}
	if _, err := dearer.CheckPassword(t.Context(), attempt); err != nil {
		t.Fatal(err)
	}
	after := storedHash(t, b.DB)
	if before == after || !strings.Contains(after, "m=128,") {
		t.Errorf("%s became %s", before, after)
	}
	if _, err := dearer.CheckPassword(t.Context(), attempt); err != nil {
		t.Fatal(err)
	}
	if storedHash(t, b.DB) != after {
		t.Error("hashed anew though nothing had changed")
	}
}

// A database that cannot be written lets nobody in and loses nothing.
func TestClosedDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signUp(t, email)
	_ = b.DB.Close()
	if err := b.attempt(t.Context(), email, password, home, ""); !errors.Is(err, db.ErrUnavailable) {
		t.Error(err)
	}
}

func TestOpenNeedsItsConfig(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, spoil := range map[string]func(*account.Config){
		"DB":        func(c *account.Config) { c.DB = nil },
		"Hasher":    func(c *account.Config) { c.Hasher = nil },
		"DeviceKey": func(c *account.Config) { c.DeviceKey = c.DeviceKey[1:] },
		"Now":       func(c *account.Config) { c.Now = nil },
	} {
		config := b.config
		spoil(&config)
		if _, err := account.Open(t.Context(), config); err == nil {
			t.Errorf("opened without %s", name)
		}
	}
}

func storedHash(t testing.TB, d *db.DB) (phc string) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT phc FROM password").Scan(&phc)
	}); err != nil {
		t.Fatal(err)
	}
	return phc
}

func countRows(t testing.TB, d *db.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), query, args...).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}
