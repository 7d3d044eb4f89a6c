package event_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// replica is a process of the subsystem crypto, over the database of all.
type replica struct {
	*receiving
	guard *rs.Guard
	ticks chan struct{} // each lets Follow look once more
}

func newReplica(t *testing.T, issuer *issuertest.Issuer, dialect event.Dialect, db *sql.DB) *replica {
	t.Helper()
	p := &replica{ticks: make(chan struct{})}
	p.receiving = setupReceiver(t, func(c *event.Config) {
		c.Issuer, c.Now = issuer.URL, issuer.Clock.Now
		c.Inbox = &event.SQLInbox{DB: db, Dialect: dialect, Now: c.Now}
		var err error
		p.guard, err = rs.New(t.Context(), rs.Config{Issuer: c.Issuer, Audience: cryptoAPI, Now: c.Now, HTTPClient: c.HTTPClient})
		if err != nil {
			t.Fatal(err)
		}
		c.Guard = p.guard
	})
	p.issuer = issuer
	p.receiver.Sleep(func(ctx context.Context, _ time.Duration) {
		select {
		case <-p.ticks:
		case <-ctx.Done():
		}
	})
	return p
}

// follow runs Follow, and waits until it has looked once.
func (p *replica) follow() {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.receiver.Follow(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			p.t.Errorf("Follow ended with %v", err)
		}
	})
	p.look()
}

// look has Follow look again: the first tick ends a pause, the second comes
// after what lay between.
func (p *replica) look() {
	p.ticks <- struct{}{}
	p.ticks <- struct{}{}
}

func TestReplicasFollowOneAnotherOnSQLite(t *testing.T) {
	t.Parallel()
	exerciseFollow(t, event.SQLite, openReceiverDB(t))
}

func exerciseFollow(t *testing.T, dialect event.Dialect, db *sql.DB) {
	t.Helper()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	if err := (&event.SQLInbox{DB: db, Dialect: dialect}).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := newReplica(t, issuer, dialect, db), newReplica(t, issuer, dialect, db)
	second.follow()
	session, account := first.token("alice", "market-app.web", "s1"), first.token("bob", "market-app.web", "s2")
	other := first.token("carol", "market-app.web", "s3")
	for _, set := range []map[string]any{
		issuer.SessionRevoked("alice", "crypto", "s1", "market-app"),
		issuer.AccountEvent("bob", "crypto", oauth.EventAccountDisabled, "market-app"),
	} {
		first.want("pushed to the first", first.sendSET(issuer.SET(set)), http.StatusAccepted, "")
	}
	second.look()
	for name, p := range map[string]*replica{"first": first, "second": second} {
		p.wantGuard(p.guard, name+", of the session", session, false)
		p.wantGuard(p.guard, name+", of the account", account, false)
		p.wantGuard(p.guard, name+", of nobody's end", other, true)
	}

	// One that starts later learns of it too.
	issuer.Clock.Advance(4 * time.Minute)
	third := newReplica(t, issuer, dialect, db)
	third.wantGuard(third.guard, "before it follows", session, true)
	third.follow()
	third.wantGuard(third.guard, "of the session", session, false)

	// What is taken back at one is taken back at all.
	enabled := issuer.AccountEvent("bob", "crypto", oauth.EventAccountEnabled, "market-app")
	second.want("pushed to the second", second.sendSET(issuer.SET(enabled)), http.StatusAccepted, "")
	third.look()
	third.wantGuard(third.guard, "of the enabled account", account, true)

	// A database that is away is waited out.
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE sekisho_event_heard RENAME TO away"); err != nil {
		t.Fatal(err)
	}
	ended := issuer.SET(issuer.SessionRevoked("carol", "crypto", "s3", "market-app"))
	first.want("while it is away", first.sendSET(ended), http.StatusServiceUnavailable, "")
	first.wantGuard(first.guard, "at the one that heard, all the same", other, false)
	third.look()
	issuer.Clock.Advance(time.Minute)
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE away RENAME TO sekisho_event_heard"); err != nil {
		t.Fatal(err)
	}
	third.wantGuard(third.guard, "before it is told", first.token("carol", "market-app.web", "s3"), true)
	first.want("when it is back", first.sendSET(ended), http.StatusAccepted, "")
	third.look()
	third.wantGuard(third.guard, "when it is told", first.token("carol", "market-app.web", "s3"), false)

	// Rows go when no token can be concerned any more.
	issuer.Clock.Advance(2 * time.Hour)
	last := issuer.SessionRevoked("dora", "crypto", "s1", "market-app")
	first.want("two hours later", first.sendSET(issuer.SET(last)), http.StatusAccepted, "")
	var rows int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sekisho_event_heard").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows, want the last: %v", rows, err)
	}
}

func TestOnlyEndsAreSharedAndOnlyThroughADatabase(t *testing.T) {
	t.Parallel()
	db := openReceiverDB(t)
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	if err := (&event.SQLInbox{DB: db, Dialect: event.SQLite}).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := newReplica(t, issuer, event.SQLite, db)
	for _, set := range []map[string]any{
		issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}),
		issuer.AccountEvent("alice", "crypto", oauth.EventCredentialChange),
		issuer.Verification("crypto", "stream-1", ""),
	} {
		p.want("pushed", p.sendSET(issuer.SET(set)), http.StatusAccepted, "")
	}
	var rows int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sekisho_event_heard").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows: %v", rows, err)
	}
	alone, _ := setupGuarded(t)
	if err := alone.receiver.Follow(t.Context()); err == nil {
		t.Error("followed without a database")
	}
	unguarded := setupReceiver(t, func(c *event.Config) { c.Inbox = &event.SQLInbox{DB: db, Dialect: event.SQLite} })
	if err := unguarded.receiver.Follow(t.Context()); err == nil {
		t.Error("followed without a guard")
	}
}
