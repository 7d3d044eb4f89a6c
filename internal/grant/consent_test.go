package grant_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
)

func (w *world) consent(s *grant.Session, client string, scopes grant.Scopes) {
	w.Helper()
	w.update(func(tx *db.Tx) error { return w.grants.Remember(w.ctx, tx, s, client, scopes) })
}

func (w *world) consented(s *grant.Session, client string) (scopes grant.Scopes) {
	w.Helper()
	w.update(func(tx *db.Tx) (err error) {
		scopes, err = w.grants.Consent(w.ctx, tx, s.AccountID, client)
		return err
	})
	return scopes
}

func (w *world) holders(clients []string, people ...*account.Account) (holders map[account.Handle]bool) {
	w.Helper()
	var handles []account.Handle
	for _, a := range people {
		handles = append(handles, a.Ref.Handle)
	}
	err := w.db.Read(w.ctx, func(tx *db.Tx) (err error) {
		holders, err = w.grants.HoldersAmong(w.ctx, tx, clients, handles)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return holders
}

func TestMissingScopes(t *testing.T) {
	t.Parallel()
	known := grant.Scopes{issuer: {"openid", "email"}, market: {"items.read"}}
	tests := []struct {
		name        string
		asked, want grant.Scopes
	}{
		{"the same", known, grant.Scopes{}},
		{"fewer", grant.Scopes{issuer: {"openid"}}, grant.Scopes{}},
		{"none", nil, grant.Scopes{}},
		{"one more", grant.Scopes{market: {"items.read", "items.write"}}, grant.Scopes{market: {"items.write"}}},
		{"the same name at another resource", grant.Scopes{issuer: {"items.read"}}, grant.Scopes{issuer: {"items.read"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.asked.Missing(known); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v; want %v", got, test.want)
			}
		})
	}
}

func TestConsentIsRemembered(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	others, _ := w.signIn(w.signUp("v@example.com"))
	if got := w.consented(s, partner); len(got) != 0 {
		t.Errorf("before any consent: %v", got)
	}
	w.consent(s, partner, grant.Scopes{issuer: {"openid"}, market: {"items.read"}})
	w.clock.Advance(time.Hour)
	w.consent(s, partner, grant.Scopes{market: {"items.read", "items.write"}})
	w.consent(s, ios, grant.Scopes{issuer: {"email"}})
	w.restart()

	want := grant.Scopes{issuer: {"openid"}, market: {"items.read", "items.write"}}
	if got := w.consented(s, partner); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v; want %v", got, want)
	}
	if got := w.consented(others, partner); len(got) != 0 {
		t.Errorf("somebody else: %v", got)
	}
	w.wantRecords(audit.ConsentGranted, 3)
	w.consent(s, partner, grant.Scopes{market: {"items.read"}}) // all known: nothing to write
	w.wantRecords(audit.ConsentGranted, 3)

	var list []grant.Consent
	w.update(func(tx *db.Tx) (err error) {
		list, err = w.grants.ListConsents(w.ctx, tx, s.AccountID)
		return err
	})
	wantList := []grant.Consent{
		{AccountID: s.AccountID, ClientID: partner, Scopes: want, GrantedAt: w.clock.Now()},
		{AccountID: s.AccountID, ClientID: ios, Scopes: grant.Scopes{issuer: {"email"}}, GrantedAt: w.clock.Now()},
	}
	if !reflect.DeepEqual(list, wantList) {
		t.Errorf("got %+v\nwant %+v", list, wantList)
	}
}

func TestWithdrawnConsent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	others, _ := w.signIn(w.signUp("v@example.com"))
	scopes := grant.Scopes{issuer: {"openid"}}
	for _, of := range []*grant.Session{s, others} {
		w.consent(of, partner, scopes)
	}
	w.consent(s, ios, scopes)
	g, _ := w.granted(s, by(partner), offline)
	kept, _ := w.granted(s, by(ios))
	othersGrant, _ := w.granted(others, by(partner))

	for range 2 { // the second time there is nothing left to withdraw
		w.update(func(tx *db.Tx) error { return w.grants.Withdraw(w.ctx, tx, u.ID, partner) })
	}
	if got := w.consented(s, partner); len(got) != 0 {
		t.Errorf("still consented: %v", got)
	}
	if len(w.consented(s, ios)) == 0 || len(w.consented(others, partner)) == 0 {
		t.Error("another consent is gone")
	}
	if w.alive(g) || !w.alive(kept) || !w.alive(othersGrant) {
		t.Errorf("alive: %v; of another client %v, of somebody else %v", w.alive(g), w.alive(kept), w.alive(othersGrant))
	}
	w.wantRecords(audit.ConsentWithdrawn, 1)
	w.wantRecords(audit.GrantRevoked, 1)
}

func TestHoldersAmong(t *testing.T) {
	t.Parallel()
	w := setup(t)
	consents, grants, ended, expired, nothing, elsewhere := w.signUp("1@example.com"), w.signUp("2@example.com"),
		w.signUp("3@example.com"), w.signUp("4@example.com"), w.signUp("5@example.com"), w.signUp("6@example.com")
	session := func(a *account.Account) *grant.Session {
		s, _ := w.signIn(a)
		return s
	}
	w.authorize(ask(session(expired), by(partner)))
	w.clock.Advance(time.Minute)
	w.consent(session(consents), partner, grant.Scopes{issuer: {"openid"}})
	w.granted(session(grants), by(partner))
	over, _ := w.granted(session(ended), by(partner))
	w.revoke(grant.Revocation{Grant: over.ID})
	w.granted(session(elsewhere))

	got := w.holders([]string{partner, ios}, consents, grants, ended, expired, nothing, elsewhere)
	want := map[account.Handle]bool{consents.Ref.Handle: true, grants.Ref.Handle: true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v; want the one with a consent and the one with a grant", got)
	}
	if got := w.holders(nil, consents); len(got) != 0 {
		t.Errorf("of no client: %v", got)
	}
	if got := w.holders([]string{partner}); len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}
	var crowd []*account.Account
	for i := range 999 {
		crowd = append(crowd, &account.Account{Ref: account.Ref{Handle: account.Handle{0, byte(i >> 8), byte(i)}}})
	}
	if got := w.holders([]string{partner}, append(crowd, grants)...); len(got) != 1 {
		t.Errorf("among a thousand: %v", got)
	}
}

func TestOpenNeedsItsRooms(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, c := range []grant.Config{
		{},
		{People: w.people, Now: w.clock.Now},
		{DB: w.db, Now: w.clock.Now},
		{DB: w.db, People: w.people},
	} {
		if _, err := grant.Open(w.ctx, c); err == nil {
			t.Errorf("opened with %+v", c)
		}
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := grant.Open(w.ctx, grant.Config{DB: w.db, People: w.people, Now: w.clock.Now}); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("opened without a database: %v", err)
	}
}
