package grant_test

import (
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
)

// restored tells that the database was restored, a moment later.
func (w *world) restored() {
	w.Helper()
	w.clock.Advance(time.Second)
	w.update(func(tx *db.Tx) error { return w.grants.Restored(w.ctx, tx) })
	w.clock.Advance(time.Second)
}

// TestWhatMayBeUsedOnceIsVoidAfterARestore: a code and a rotating refresh token
// of before may have been used after the backup was made (F17).
func TestWhatMayBeUsedOnceIsVoidAfterARestore(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		w := setup(t)
		s, cookie := w.signIn(w.signUp("hanako@example.com"))
		code := w.authorize(ask(s))
		_, fresh := w.granted(s, offline)   // never rotated, as the backup has it
		_, rotated := w.granted(s, offline) // rotated before the backup
		newest := w.refresh(rotate(rotated))
		_, lost := w.granted(s, offline) // rotated after it: the client has a successor that the backup has not
		kept, same := w.granted(s, offline)
		w.restored()
		if restart {
			w.restart()
		}

		w.redeemFails(right(code), grant.ErrRestored)
		w.redeemFails(right(code), grant.ErrRestored)
		for _, token := range []string{fresh, newest, lost + "x"} {
			w.refreshFails(rotate(token), grant.ErrRestored)
			w.refreshFails(rotate(token), grant.ErrEnded)
		}
		wantNoAlarm(w)

		// Who keeps one token goes on, and so does the session.
		if successor := w.refresh(grant.RefreshRequest{Token: same, ClientID: web}); successor != same || !w.alive(kept) {
			t.Error("a client that keeps its token lost it")
		}
		again, err := w.load(cookie)
		if err != nil {
			t.Fatalf("the session is gone: %v", err)
		}
		// What is made from now on is as good as ever.
		_, token := w.granted(again, offline)
		w.refresh(rotate(w.refresh(rotate(token))))
	}
}

// wantNoAlarm wants no record of a theft: clients did nothing wrong.
func wantNoAlarm(w *world) {
	w.Helper()
	for _, event := range []audit.Event{audit.CodeReused, audit.RefreshReused} {
		w.wantRecords(event, 0)
	}
}

func TestASecondRestoreVoidsWhatCameAfterTheFirst(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("hanako@example.com"))
	w.restored()
	_, token := w.granted(s, offline)
	token = w.refresh(rotate(token))
	w.restored()
	w.refreshFails(rotate(token), grant.ErrRestored)
}

// TestARestoreIsNotForgottenWhenItCannotBeRead: what a process knows of a restore
// stays known while the database does not answer.
func TestARestoreIsNotForgottenWhenItCannotBeRead(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("hanako@example.com"))
	code := w.authorize(ask(s))
	_, token := w.granted(s, offline)
	w.restored()

	w.exec("ALTER TABLE grant_restore RENAME TO away")
	w.update(func(tx *db.Tx) error { tx.Changed("revocation"); return nil })
	w.redeemFails(right(code), grant.ErrRestored)
	w.refreshFails(rotate(token), grant.ErrRestored)
}
