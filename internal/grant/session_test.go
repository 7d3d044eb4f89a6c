package grant_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
)

func TestSessionIsFoundByItsCookie(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	started, cookie := w.signIn(u)
	loaded, err := w.load(cookie)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(started, loaded) {
		t.Errorf("loaded %+v; started %+v", loaded, started)
	}
	if loaded.AccountID != u.ID || loaded.Ref != u.Ref || loaded.ACR != "aal1" || !loaded.AuthTime.Equal(w.clock.Now()) {
		t.Errorf("loaded %+v", loaded)
	}
	for _, other := range []string{"", cookie[1:], cookie + "A", "sek_ss_"} {
		if _, err := w.load(other); !errors.Is(err, grant.ErrNoSession) {
			t.Errorf("cookie %q: %v", other, err)
		}
	}
	w.wantRecords(audit.SessionStarted, 1)
}

func TestSessionLimits(t *testing.T) {
	t.Parallel()
	const step = 50 * time.Minute
	tests := []struct {
		name   string
		visits int           // one each 50 minutes
		then   time.Duration // without a visit
		want   error
	}{
		{"idle", 0, time.Hour - time.Millisecond, nil},
		{"idle too long", 0, time.Hour, grant.ErrNoSession},
		{"used", 3, time.Hour - time.Millisecond, nil},
		{"used and then idle too long", 3, time.Hour, grant.ErrNoSession},
		{"used to the last hour", 28, 24*time.Hour - 28*step - time.Millisecond, nil},
		{"used for a day", 28, 24*time.Hour - 28*step, grant.ErrNoSession},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			_, cookie := w.signIn(w.signUp("u@example.com"))
			for range test.visits {
				w.clock.Advance(step)
				s, err := w.load(cookie)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.grants.TouchSession(w.ctx, s); err != nil {
					t.Fatal(err)
				}
			}
			w.restart()
			w.clock.Advance(test.then)
			if _, err := w.load(cookie); !errors.Is(err, test.want) {
				t.Errorf("got %v; want %v", err, test.want)
			}
		})
	}
}

func TestTouchWritesOnceAMinute(t *testing.T) {
	t.Parallel()
	w := setup(t)
	_, cookie := w.signIn(w.signUp("u@example.com"))
	began := w.clock.Now()
	visit := func() time.Time {
		s, err := w.load(cookie)
		if err == nil {
			err = w.grants.TouchSession(w.ctx, s)
		}
		if err == nil {
			s, err = w.load(cookie)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s.SeenAt
	}
	w.clock.Advance(time.Minute - time.Millisecond)
	if seen := visit(); !seen.Equal(began) {
		t.Errorf("seen at %v after less than a minute; want %v", seen, began)
	}
	w.clock.Advance(time.Millisecond)
	if seen := visit(); !seen.Equal(w.clock.Now()) {
		t.Errorf("seen at %v after a minute; want %v", seen, w.clock.Now())
	}
}

func TestTouchDoesNotBringASessionBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ended, _ := w.signIn(w.signUp("u@example.com"))
	idle, _ := w.signIn(w.signUp("v@example.com"))
	w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, ended.ID) })
	w.clock.Advance(time.Hour)
	for name, s := range map[string]*grant.Session{"ended": ended, "run out": idle} {
		if err := w.grants.TouchSession(w.ctx, s); !errors.Is(err, grant.ErrNoSession) {
			t.Errorf("%s: touch gave %v", name, err)
		}
		err := w.db.Update(w.ctx, func(tx *db.Tx) error {
			_, err := w.grants.Authorize(w.ctx, tx, ask(s))
			return err
		})
		if !errors.Is(err, grant.ErrNoSession) {
			t.Errorf("%s: authorize gave %v", name, err)
		}
	}
	if n := w.count("SELECT COUNT(*) FROM access_grant"); n != 0 {
		t.Errorf("%d grants were made", n)
	}
}

func TestRenewedSession(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, old := w.signIn(u)
	_, token := w.granted(s)
	w.clock.Advance(30 * time.Minute)

	var renewed *grant.Session
	var cookie string
	w.update(func(tx *db.Tx) (err error) {
		renewed, cookie, err = w.grants.RenewSession(w.ctx, tx, s, w.password())
		return err
	})
	if renewed.ID != s.ID || !renewed.AuthTime.Equal(w.clock.Now()) || cookie == old {
		t.Errorf("renewed to %+v", renewed)
	}
	if _, err := w.load(old); !errors.Is(err, grant.ErrNoSession) {
		t.Errorf("old cookie value: %v", err)
	}
	w.refresh(rotate(token))
	w.clock.Advance(59 * time.Minute)
	if got, err := w.load(cookie); err != nil || !reflect.DeepEqual(got, renewed) {
		t.Errorf("new cookie value: %+v, %v", got, err)
	}

	w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) })
	err := w.db.Update(w.ctx, func(tx *db.Tx) error {
		_, _, err := w.grants.RenewSession(w.ctx, tx, s, w.password())
		return err
	})
	if !errors.Is(err, grant.ErrNoSession) {
		t.Errorf("an ended session was renewed: %v", err)
	}
}

func TestEndedSessionEndsItsGrants(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, cookie := w.signIn(u)
	other, otherCookie := w.signIn(u)
	g, token := w.granted(s)
	kept, keptToken := w.granted(s, offline)
	elsewhere, elsewhereToken := w.granted(other)
	unspent := w.authorize(ask(s))

	w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) })

	if _, err := w.load(cookie); !errors.Is(err, grant.ErrNoSession) {
		t.Errorf("cookie of the ended session: %v", err)
	}
	if _, err := w.load(otherCookie); err != nil {
		t.Errorf("cookie of the other session: %v", err)
	}
	if w.alive(g) || !w.alive(kept) || !w.alive(elsewhere) {
		t.Errorf("alive: %v, offline %v, of another session %v", w.alive(g), w.alive(kept), w.alive(elsewhere))
	}
	w.refreshFails(rotate(token), grant.ErrEnded)
	w.redeemFails(right(unspent), grant.ErrEnded)
	w.refresh(rotate(keptToken))
	w.refresh(rotate(elsewhereToken))
	w.wantRecords(audit.SessionEnded, 1)
	w.wantRecords(audit.GrantRevoked, 2)

	// Ending again changes nothing.
	w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) })
	w.wantRecords(audit.SessionEnded, 1)
	w.wantRecords(audit.GrantRevoked, 2)
}

func TestRunOutSessionEndsNothingUntilSignOut(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	_, token := w.granted(s)
	w.clock.Advance(25 * time.Hour)
	if err := w.grants.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	if n := w.count("SELECT COUNT(*) FROM session"); n != 0 {
		t.Fatalf("%d sessions are left", n)
	}
	token = w.refresh(rotate(token))
	w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) })
	w.refreshFails(rotate(token), grant.ErrEnded)
}

// gone are the ways an account stops vouching for what was made before. The
// functions leave sessions and grants to the check of their use.
var gone = map[string]func(w *world, u *account.Account){
	"disabled": func(w *world, u *account.Account) {
		w.update(func(tx *db.Tx) error { return w.people.Disable(w.ctx, tx, u.ID, account.Origin{}) })
	},
	"deleted": func(w *world, u *account.Account) {
		w.update(func(tx *db.Tx) error { return w.people.Delete(w.ctx, tx, u.ID, account.Origin{}) })
	},
	"password changed": func(w *world, u *account.Account) {
		w.clock.Advance(time.Second)
		err := w.people.ResetPassword(w.ctx, account.PasswordChange{AccountID: u.ID, New: "another battery staple 4711"})
		if err != nil {
			w.Fatal(err)
		}
	},
}

func TestAccountThatIsGoneHasNoSession(t *testing.T) {
	t.Parallel()
	for name, leave := range gone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			u := w.signUp("u@example.com")
			s, cookie := w.signIn(u)
			before := w.password()
			leave(w, u)
			if _, err := w.load(cookie); !errors.Is(err, grant.ErrNoSession) {
				t.Errorf("load: %v", err)
			}
			err := w.db.Update(w.ctx, func(tx *db.Tx) error {
				_, _, err := w.grants.StartSession(w.ctx, tx, u.ID, before)
				return err
			})
			if !errors.Is(err, grant.ErrAccount) {
				t.Errorf("start: %v", err)
			}
			err = w.db.Update(w.ctx, func(tx *db.Tx) error {
				_, _, err := w.grants.RenewSession(w.ctx, tx, s, before)
				return err
			})
			if !errors.Is(err, grant.ErrAccount) {
				t.Errorf("renew: %v", err)
			}
		})
	}
}

func TestDatabaseHoldsNoUsableSecret(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, cookie := w.signIn(w.signUp("u@example.com"))
	code := w.authorize(ask(s))
	_, first := w.redeem(right(code))
	second := w.refresh(rotate(first))
	repeated := w.refresh(rotate(first))
	third := w.refresh(rotate(second))
	_, kept := w.granted(s, offline)
	w.refresh(grant.RefreshRequest{Token: kept, ClientID: web})
	if err := w.db.Close(); err != nil { // folds the journal into the file
		t.Fatal(err)
	}
	file := dbtest.Dump(t, w.path)
	for _, secret := range []string{cookie, code, first, second, repeated, third, kept} {
		for _, part := range []string{secret, secret[len(secret)-43:]} {
			if bytes.Contains(file, []byte(part)) {
				t.Errorf("the database holds %s", part)
			}
		}
	}
}
