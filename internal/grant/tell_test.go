package grant_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// told takes what others are to be told of.
func (w *world) told() (told []outbox.Happening) {
	w.Helper()
	w.update(func(tx *db.Tx) (err error) {
		told, err = outbox.TakeHappenings(w.ctx, tx, 100)
		return err
	})
	return told
}

// sessionRevoked is what is told of the end of a session.
func sessionRevoked(w *world, u *account.Account, s *grant.Session, clients, known []string, payload map[string]any) outbox.Happening {
	return outbox.Happening{
		Type: oauth.EventSessionRevoked, Handle: u.Ref.Handle, Gen: u.Ref.Gen, Session: &s.ID,
		Clients: clients, KnownTo: known, At: w.clock.Now(), Payload: payload,
	}
}

func (w *world) wantTold(want ...outbox.Happening) {
	w.Helper()
	if got := w.told(); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
		w.Errorf("told of %+v\nwant %+v", got, want)
	}
}

func TestLogoutIsTold(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	other, _ := w.signIn(u)
	w.granted(s, offline)
	w.granted(s, by(ios))
	w.granted(other, by("other.web"))
	w.consent(s, partner, grant.Scopes{issuer: {"openid"}})
	w.wantTold()  // signing in is nobody's business
	for range 2 { // the second time nothing changes
		w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) })
	}
	// A client with offline_access keeps its grant, and is told all the same.
	w.wantTold(sessionRevoked(w, u, s, []string{ios, web}, []string{partner, ios, web, "other.web"}, map[string]any{
		"initiating_entity": "user", "reason_admin": map[string]any{"en": "signed out"},
	}))
}

// What a client gave back itself ends its grant, not its own session.
func TestLogoutIsToldToClientsWithoutAGrant(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	g, _ := w.granted(s)
	w.update(func(tx *db.Tx) error { return w.grants.Revoke(w.ctx, tx, grant.Revocation{Grant: g.ID}) })
	w.clock.Advance(time.Minute)
	w.update(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) })
	w.wantTold(sessionRevoked(w, u, s, []string{web}, []string{}, map[string]any{
		"initiating_entity": "user", "reason_admin": map[string]any{"en": "signed out"},
	}))
}

func TestEndOfAllSessionsIsTold(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	w.granted(s)
	for range 2 {
		w.update(func(tx *db.Tx) error {
			return w.grants.RevokeAccount(w.ctx, tx, u.ID, outbox.ByAdmin, "account disabled")
		})
	}
	w.wantTold(sessionRevoked(w, u, s, []string{web}, []string{web}, map[string]any{
		"initiating_entity": "admin", "reason_admin": map[string]any{"en": "account disabled"},
	}))
}

func TestClientsOf(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	clients := func() (list []string) {
		w.update(func(tx *db.Tx) (err error) {
			list, err = w.grants.ClientsOf(w.ctx, tx, u.ID)
			return err
		})
		return list
	}
	if list := clients(); list == nil || len(list) != 0 {
		t.Errorf("%v", list)
	}
	s, _ := w.signIn(u)
	w.granted(s)
	ended, _ := w.granted(s, by(ios))
	w.update(func(tx *db.Tx) error { return w.grants.Revoke(w.ctx, tx, grant.Revocation{Grant: ended.ID}) })
	w.consent(s, partner, grant.Scopes{issuer: {"openid"}})
	if list := clients(); !reflect.DeepEqual(list, []string{partner, web}) {
		t.Errorf("%v", list)
	}
	w.clock.Advance(100 * 24 * time.Hour)
	if list := clients(); !reflect.DeepEqual(list, []string{partner}) {
		t.Errorf("after the grant has run out: %v", list)
	}
}
