package grant_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

func (w *world) revoke(r grant.Revocation) {
	w.Helper()
	w.update(func(tx *db.Tx) error { return w.grants.Revoke(w.ctx, tx, r) })
}

func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	g, _ := w.granted(s)
	tests := []struct {
		r   grant.Revocation
		key grant.Key
	}{
		{grant.Revocation{Grant: g.ID}, grant.GrantKey(g.ID)},
		{grant.Revocation{Root: 4711}, grant.RootKey(4711)},
		{grant.Revocation{Token: "a-jti"}, grant.TokenKey("a-jti")},
	}
	for i, test := range tests {
		if w.grants.Revoked(test.key) {
			t.Errorf("%+v: revoked before it was", test.r)
		}
		w.revoke(test.r)
		for j := range tests {
			if got, want := w.grants.Revoked(tests[j].key), j <= i; got != want {
				t.Errorf("after %+v: %+v is revoked: %v", test.r, tests[j].r, got)
			}
		}
	}
	if w.grants.Revoked() || w.grants.Revoked(grant.RootKey(g.ID), grant.GrantKey(4711), grant.TokenKey("another")) {
		t.Error("things of other names are revoked")
	}
	if !w.grants.Revoked(grant.RootKey(1), grant.TokenKey("a-jti")) {
		t.Error("one of several keys is not found")
	}

	w.clock.Advance(10*time.Minute - time.Millisecond)
	if err := w.grants.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.restart()
	for _, test := range tests {
		if !w.grants.Revoked(test.key) {
			t.Errorf("%+v: forgotten while an access token may be alive", test.r)
		}
	}
	w.clock.Advance(time.Millisecond)
	if err := w.grants.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if w.grants.Revoked(test.key) {
			t.Errorf("%+v: still in memory", test.r)
		}
	}
	if n := w.count("SELECT COUNT(*) FROM revocation"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func TestRevokedAgainIsRememberedLonger(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.revoke(grant.Revocation{Root: 1})
	w.clock.Advance(9 * time.Minute)
	w.revoke(grant.Revocation{Root: 1})
	w.clock.Advance(9 * time.Minute)
	if err := w.grants.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	if !w.grants.Revoked(grant.RootKey(1)) {
		t.Error("forgotten")
	}
}

func TestRevocationThatIsRolledBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	g, token := w.granted(s)
	changedMind := errors.New("changed my mind")
	err := w.db.Update(w.ctx, func(tx *db.Tx) error {
		return errors.Join(w.grants.Revoke(w.ctx, tx, grant.Revocation{Grant: g.ID}), changedMind)
	})
	if !errors.Is(err, changedMind) {
		t.Fatal(err)
	}
	if !w.alive(g) {
		t.Error("revoked without a commit")
	}
	w.refresh(rotate(token))
}

func TestRevocationOfNothing(t *testing.T) {
	t.Parallel()
	w := setup(t)
	err := w.db.Update(w.ctx, func(tx *db.Tx) error { return w.grants.Revoke(w.ctx, tx, grant.Revocation{}) })
	if err == nil {
		t.Error("accepted")
	}
	w.revoke(grant.Revocation{Grant: 1}) // not there, so there is nothing to end
	w.wantRecords(audit.GrantRevoked, 0)
}

// TestRevocationReachesOtherProcesses: a process loads what the others have
// revoked, in the order of their commits.
func TestRevocationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	other := &world{T: t, ctx: w.ctx, path: w.path, clock: w.clock}
	other.open()
	t.Cleanup(func() { _ = other.db.Close() })
	for i := range int64(20) {
		w.revoke(grant.Revocation{Root: 2*i + 1})
		other.revoke(grant.Revocation{Root: 2*i + 2})
		if !other.grants.Revoked(grant.RootKey(2*i+1)) || !other.grants.Revoked(grant.RootKey(2*i+2)) {
			t.Fatalf("round %d is not known to the other process", i)
		}
	}
}

func TestRevokeAccount(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u, v := w.signUp("u@example.com"), w.signUp("v@example.com")
	s, cookie := w.signIn(u)
	_, cookie2 := w.signIn(u)
	others, othersCookie := w.signIn(v)
	g, token := w.granted(s, offline)
	g2, _ := w.granted(s, by(ios))
	kept, keptToken := w.granted(others)
	code := w.authorize(ask(s))
	w.consent(s, partner, grant.Scopes{issuer: {"openid"}})

	w.update(func(tx *db.Tx) error {
		return w.grants.RevokeAccount(w.ctx, tx, u.ID, outbox.ByAdmin, "account disabled")
	})

	for _, c := range []string{cookie, cookie2} {
		if _, err := w.load(c); !errors.Is(err, grant.ErrNoSession) {
			t.Errorf("session: %v", err)
		}
	}
	if _, err := w.load(othersCookie); err != nil {
		t.Errorf("session of somebody else: %v", err)
	}
	if w.alive(g) || w.alive(g2) || !w.alive(kept) {
		t.Errorf("alive: %v, %v; of somebody else: %v", w.alive(g), w.alive(g2), w.alive(kept))
	}
	w.refreshFails(rotate(token), grant.ErrEnded)
	w.redeemFails(right(code), grant.ErrEnded)
	w.refresh(rotate(keptToken))
	w.wantRecords(audit.SessionEnded, 2)
	w.wantRecords(audit.GrantRevoked, 3)
	if n := w.count("SELECT COUNT(*) FROM consent"); n != 1 {
		t.Errorf("%d consents", n)
	}
	if why := w.records(audit.GrantRevoked)[0].Reason; why != "account disabled" {
		t.Errorf("reason %q", why)
	}
}

func TestForgetAccount(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u, v := w.signUp("u@example.com"), w.signUp("v@example.com")
	s, cookie := w.signIn(u)
	others, _ := w.signIn(v)
	g, _ := w.granted(s)
	w.granted(others)
	for _, of := range []*grant.Session{s, others} {
		w.consent(of, partner, grant.Scopes{issuer: {"openid"}})
	}
	w.update(func(tx *db.Tx) error {
		if err := w.people.Delete(w.ctx, tx, u.ID, account.Origin{}); err != nil {
			return err
		}
		return w.grants.ForgetAccount(w.ctx, tx, u.ID, outbox.ByAdmin, "account deleted")
	})
	if _, err := w.load(cookie); !errors.Is(err, grant.ErrNoSession) {
		t.Errorf("session: %v", err)
	}
	if w.alive(g) {
		t.Error("the grant is alive")
	}
	handles := w.count("SELECT COUNT(*) FROM access_grant WHERE handle = $1", u.Ref.Handle[:]) +
		w.count("SELECT COUNT(*) FROM consent WHERE handle = $1", u.Ref.Handle[:])
	if handles != 0 {
		t.Errorf("%d rows name the deleted person's handle", handles)
	}
	if got := w.holders([]string{web, partner}, u, v); len(got) != 1 || !got[v.Ref.Handle] {
		t.Errorf("holders %v", got)
	}
}

func TestRevokeClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	g, _ := w.granted(s, offline)
	kept, _ := w.granted(s, by(ios))
	w.update(func(tx *db.Tx) error { return w.grants.RevokeClient(w.ctx, tx, u.ID, web, "lost phone") })
	if w.alive(g) || !w.alive(kept) {
		t.Errorf("alive: %v; of another client: %v", w.alive(g), w.alive(kept))
	}
}

func TestRevokeClients(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	others, _ := w.signIn(w.signUp("v@example.com"))
	g, _ := w.granted(s, by(partner), offline)
	g2, token := w.granted(others, by(partner))
	kept, _ := w.granted(s)
	w.consent(s, partner, grant.Scopes{issuer: {"openid"}})
	w.consent(s, ios, grant.Scopes{issuer: {"openid"}})
	w.update(func(tx *db.Tx) error { return w.grants.RevokeClients(w.ctx, tx, []string{partner, "nobody.web"}) })
	if w.alive(g) || w.alive(g2) || !w.alive(kept) {
		t.Errorf("alive: %v, %v; of another client: %v", w.alive(g), w.alive(g2), w.alive(kept))
	}
	w.refreshFails(grant.RefreshRequest{Token: token, ClientID: partner}, grant.ErrEnded)
	if len(w.consented(s, partner)) != 0 || len(w.consented(s, ios)) == 0 {
		t.Error("consents")
	}
}

func TestByID(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	g, _ := w.granted(s)
	ended, _ := w.granted(s)
	w.revoke(grant.Revocation{Grant: ended.ID})
	for id, want := range map[int64]error{g.ID: nil, ended.ID: grant.ErrEnded, 1: grant.ErrUnknown} {
		err := w.db.Read(w.ctx, func(tx *db.Tx) error {
			found, err := w.grants.ByID(w.ctx, tx, id)
			if err == nil && (found.ID != g.ID || found.Ref.Handle != u.Ref.Handle) {
				t.Errorf("found %+v", found)
			}
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%d: %v; want %v", id, err, want)
		}
	}
}

func TestSweepKeepsTablesBounded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	const many = 1100 // more than two batches
	w.update(func(tx *db.Tx) error {
		s, _, err := w.grants.StartSession(w.ctx, tx, u.ID, w.password())
		if err != nil {
			return err
		}
		for i := range int64(many) {
			if _, _, err := w.grants.StartSession(w.ctx, tx, u.ID, w.password()); err != nil {
				return err
			}
			if _, err := w.grants.Authorize(w.ctx, tx, ask(s)); err != nil {
				return err
			}
			if err := w.grants.Revoke(w.ctx, tx, grant.Revocation{Token: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	s, _ := w.signIn(u)
	_, token := w.granted(s)
	_, ended := w.granted(s)
	if err := w.grants.RevokeRefreshToken(w.ctx, ended, web); err != nil {
		t.Fatal(err)
	}
	rows := func() (counts [6]int) {
		for i, table := range []string{"session", "access_grant", "authorization_code", "refresh_family", "revocation", "consent"} {
			counts[i] = w.count("SELECT COUNT(*) FROM " + table)
		}
		return counts
	}
	if got, want := rows(), [6]int{many + 2, many + 2, many + 2, 2, many + 1, 0}; got != want {
		t.Fatalf("rows %v; want %v", got, want)
	}
	w.clock.Advance(time.Hour)
	if err := w.grants.Sweep(w.ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := rows(), [6]int{0, 1, 1, 1, 0, 0}; got != want {
		t.Errorf("rows %v; want %v", got, want)
	}
	w.refresh(rotate(token))
	w.refreshFails(rotate(ended), grant.ErrUnknown)
}
