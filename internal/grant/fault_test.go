package grant_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// everything is each thing that this room decides and writes, on a world of a
// session with a grant and a code.
func everything(w *world) map[string]func() error {
	u := w.signUp("u@example.com")
	s, cookie := w.signIn(u)
	w.clock.Advance(30 * time.Second)
	g, token := w.granted(s)
	_, old := w.granted(s)
	w.refresh(rotate(old))
	_, reused := w.granted(s)
	w.refresh(rotate(w.refresh(rotate(reused))))
	code, spent := w.authorize(ask(s)), w.authorize(ask(s))
	w.redeem(right(spent))
	w.consent(s, partner, grant.Scopes{issuer: {"openid"}})
	in := func(fn func(tx *db.Tx) error) func() error {
		return func() error { return w.db.Update(w.ctx, fn) }
	}
	redeem := func(r grant.Redemption) func() error {
		return func() error { _, _, err := w.grants.Redeem(w.ctx, r); return err }
	}
	refresh := func(r grant.RefreshRequest) func() error {
		return func() error { _, _, err := w.grants.Refresh(w.ctx, r); return err }
	}
	wrong := right(code)
	wrong.Verifier = ""
	w.clock.Advance(30 * time.Second)
	return map[string]func() error{
		"start": in(func(tx *db.Tx) error {
			_, _, err := w.grants.StartSession(w.ctx, tx, u.ID, w.password())
			return err
		}),
		"renew": in(func(tx *db.Tx) error {
			_, _, err := w.grants.RenewSession(w.ctx, tx, s, w.password())
			return err
		}),
		"end": in(func(tx *db.Tx) error { return w.grants.EndSession(w.ctx, tx, s.ID) }),
		"remember": in(func(tx *db.Tx) error {
			return w.grants.Remember(w.ctx, tx, s, partner, grant.Scopes{market: {"items.read"}})
		}),
		"withdraw": in(func(tx *db.Tx) error { return w.grants.Withdraw(w.ctx, tx, u.ID, partner) }),
		"authorize": in(func(tx *db.Tx) error {
			_, err := w.grants.Authorize(w.ctx, tx, ask(s))
			return err
		}),
		"redeem":               redeem(right(code)),
		"redeem wrongly":       redeem(wrong),
		"redeem again":         redeem(right(spent)),
		"refresh":              refresh(rotate(token)),
		"refresh without turn": refresh(grant.RefreshRequest{Token: token, ClientID: web}),
		"repeat":               refresh(rotate(old)),
		"reuse":                refresh(rotate(reused)),
		"revoke":               in(func(tx *db.Tx) error { return w.grants.Revoke(w.ctx, tx, grant.Revocation{Grant: g.ID}) }),
		"revoke a token":       in(func(tx *db.Tx) error { return w.grants.Revoke(w.ctx, tx, grant.Revocation{Token: "jti"}) }),
		"revoke by token":      func() error { return w.grants.RevokeRefreshToken(w.ctx, token, web) },
		"revoke account":       in(func(tx *db.Tx) error { return w.grants.RevokeAccount(w.ctx, tx, u.ID, outbox.ByAdmin, "") }),
		"forget account":       in(func(tx *db.Tx) error { return w.grants.ForgetAccount(w.ctx, tx, u.ID, outbox.ByAdmin, "") }),
		"load":                 func() error { _, err := w.load(cookie); return err },
		"touch":                func() error { return w.grants.TouchSession(w.ctx, s) },
		"consent": in(func(tx *db.Tx) error {
			_, err := w.grants.Consent(w.ctx, tx, u.ID, partner)
			return err
		}),
		"list": in(func(tx *db.Tx) error {
			_, err := w.grants.ListConsents(w.ctx, tx, u.ID)
			return err
		}),
		"holders": in(func(tx *db.Tx) error {
			_, err := w.grants.HoldersAmong(w.ctx, tx, []string{web}, []account.Handle{u.Ref.Handle})
			return err
		}),
		"sweep": func() error { return w.grants.Sweep(w.ctx) },
	}
}

// notAudited decide nothing.
var notAudited = map[string]bool{"load": true, "touch": true, "consent": true, "list": true, "holders": true, "sweep": true}

// TestNoAuditNoChange: what cannot be written down does not happen. No refusal
// says so either: an honest client would take it for the end of its grant
// (invariant I10).
func TestNoAuditNoChange(t *testing.T) {
	t.Parallel()
	w := setup(t)
	acts := everything(w)
	state := func() (counts [8]int) {
		for i, query := range []string{
			"SELECT COUNT(*) FROM session",
			"SELECT COUNT(*) FROM consent",
			"SELECT COUNT(*) FROM access_grant",
			"SELECT COUNT(*) FROM access_grant WHERE ended_at IS NOT NULL",
			"SELECT COUNT(*) FROM authorization_code WHERE used_at IS NOT NULL",
			"SELECT COALESCE(SUM(repeats), 0) FROM refresh_family",
			"SELECT COUNT(*) FROM refresh_family WHERE previous_hash IS NOT NULL",
			"SELECT COUNT(*) FROM revocation",
		} {
			counts[i] = w.count(query)
		}
		return counts
	}
	before := state()
	w.exec("ALTER TABLE audit_record RENAME TO audit_record_away")
	for name, act := range acts {
		err := act()
		var refusal grant.Refusal
		switch {
		case notAudited[name] && err != nil:
			t.Errorf("%s: %v", name, err)
		case !notAudited[name] && (err == nil || errors.As(err, &refusal)):
			t.Errorf("%s: %v; want a failure of the server", name, err)
		}
	}
	if after := state(); after != before {
		t.Errorf("changed from %v to %v", before, after)
	}
	w.exec("ALTER TABLE audit_record_away RENAME TO audit_record")
	if err := acts["refresh"](); err != nil {
		t.Errorf("refresh when the audit is back: %v", err)
	}
	if err := acts["redeem"](); err != nil {
		t.Errorf("redeem when the audit is back: %v", err)
	}
}

// TestLostTables: an act that needs a table which does not answer fails, and
// does not look like a refusal.
func TestLostTables(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"session": {"start", "renew", "end", "load", "touch", "authorize", "revoke account", "forget account", "sweep"},
		"consent": {"remember", "withdraw", "consent", "list", "holders", "forget account"},
		"access_grant": {
			"end", "withdraw", "authorize", "redeem", "redeem again", "refresh", "repeat", "reuse",
			"revoke", "revoke by token", "revoke account", "holders", "sweep",
		},
		"authorization_code": {"authorize", "redeem", "redeem wrongly", "redeem again"},
		"refresh_family":     {"redeem", "refresh", "refresh without turn", "repeat", "reuse", "revoke by token"},
		"revocation":         {"end", "redeem again", "reuse", "revoke", "revoke a token", "revoke by token", "sweep"},
		"revocation_count":   {"end", "redeem again", "reuse", "revoke", "revoke a token", "revoke by token"},
		"account":            {"start", "renew", "load", "redeem", "refresh", "repeat"},
	}
	for table, names := range tests {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			acts := everything(w)
			w.exec("ALTER TABLE " + table + " RENAME TO " + table + "_away")
			for _, name := range names {
				err := acts[name]()
				var refusal grant.Refusal
				if err == nil || errors.As(err, &refusal) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	w := setup(t)
	acts := everything(w)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, act := range acts {
		if err := act(); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: %v; want it to be unavailable", name, err)
		}
	}
}

// TestDamagedRows: a row that cannot be read is the server's failure, not the
// caller's.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, damage, act string }{
		{"scopes of a grant", "UPDATE access_grant SET scopes = '{'", "refresh"},
		{"amr of a grant", "UPDATE access_grant SET amr = '{'", "redeem"},
		{"grants to end", "UPDATE access_grant SET amr = '{'", "end"},
		{"amr of a session", "UPDATE session SET amr = '{'", "load"},
		{"scopes of a consent", "UPDATE consent SET scopes = '{'", "consent"},
		{"sealed successor", "UPDATE refresh_family SET sealed_newest = newest_hash", "repeat"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			acts := everything(w)
			w.exec(test.damage)
			err := acts[test.act]()
			var refusal grant.Refusal
			if err == nil || errors.As(err, &refusal) {
				t.Errorf("%v", err)
			}
		})
	}
}
