package event_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/sdk/event"
)

func TestSQLInboxOnSQLite(t *testing.T) {
	t.Parallel()
	exerciseSQLInbox(t, event.SQLite, openReceiverDB(t))
}

// exerciseSQLInbox is what an inbox must do on either engine.
func exerciseSQLInbox(t *testing.T, dialect event.Dialect, db *sql.DB) {
	t.Helper()
	clock := &clocktest.Clock{}
	clock.Advance(24 * 365 * 60 * time.Hour)
	inbox := &event.SQLInbox{DB: db, Dialect: dialect, Now: clock.Now}
	for range 2 { // at each start
		if err := inbox.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE sale (id TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	count := func(table string) (count int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	work := func(id string, failure error) func(*sql.Tx) error {
		return func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO sale (id) VALUES ($1)", id); err != nil {
				return err
			}
			return failure
		}
	}
	const issuer = "https://id.market.example"

	// What fails leaves nothing behind and may be done again.
	broken := errors.New("no coins")
	if err := inbox.Once(t.Context(), issuer, "first", work("first", broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if sales, marks := count("sale"), count("sekisho_event_inbox"); sales != 0 || marks != 0 {
		t.Errorf("a failure left %d sales and %d marks", sales, marks)
	}
	func() {
		defer func() { _ = recover() }()
		_ = inbox.Once(t.Context(), issuer, "first", func(*sql.Tx) error { panic("a fault") })
	}()
	for range 2 {
		if err := inbox.Once(t.Context(), issuer, "first", work("first", nil)); err != nil {
			t.Error(err)
		}
	}
	// Another issuer's event of the same name is another.
	if err := inbox.Once(t.Context(), "https://other.example", "first", work("other", nil)); err != nil {
		t.Error(err)
	}
	if sales := count("sale"); sales != 2 {
		t.Errorf("%d sales, want 2", sales)
	}

	// The same five come sixty times at once, and each fails once.
	var mu sync.Mutex
	failed := make(map[string]bool)
	var wait sync.WaitGroup
	for n := range 60 {
		wait.Go(func() {
			id := fmt.Sprintf("parallel-%d", n%5)
			err := inbox.Once(t.Context(), issuer, id, func(tx *sql.Tx) error {
				mu.Lock()
				first := !failed[id]
				failed[id] = true
				mu.Unlock()
				if first {
					return work(id, broken)(tx)
				}
				return work(id, nil)(tx)
			})
			if err != nil && !errors.Is(err, broken) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if sales := count("sale"); sales != 7 {
		t.Errorf("%d sales, want 7", sales)
	}

	// Old marks go, once nothing that old is accepted any more.
	clock.Advance(37 * 24 * time.Hour)
	if err := inbox.Once(t.Context(), issuer, "later", work("later", nil)); err != nil {
		t.Error(err)
	}
	if marks := count("sekisho_event_inbox"); marks != 8 {
		t.Errorf("%d marks, want all 8", marks)
	}
	clock.Advance(25 * time.Hour)
	if err := inbox.Once(t.Context(), issuer, "last", work("last", nil)); err != nil {
		t.Error(err)
	}
	if marks := count("sekisho_event_inbox"); marks != 2 {
		t.Errorf("%d marks, want 2", marks)
	}

	// Nothing is half done when a caller gives up.
	ctx, cancel := context.WithCancel(t.Context())
	err := inbox.Once(ctx, issuer, "given up", func(tx *sql.Tx) error {
		defer cancel()
		return work("given up", nil)(tx)
	})
	if err == nil {
		t.Error("kept what was given up")
	}
	if err := inbox.Once(t.Context(), issuer, "given up", work("given up", nil)); err != nil {
		t.Error(err)
	}
	if sales := count("sale"); sales != 10 {
		t.Errorf("%d sales, want 10", sales)
	}
}

func TestSQLInboxWantsABusyTimeout(t *testing.T) {
	t.Parallel()
	inbox := &event.SQLInbox{DB: openEventDB(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "crypto.db")), Dialect: event.SQLite}
	if err := inbox.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "busy_timeout") {
		t.Errorf("got %v", err)
	}
	inbox.Dialect = 0
	if err := inbox.Migrate(t.Context()); err == nil {
		t.Error("an engine was guessed")
	}
}

// The mark and the handler's work are one: a process that dies in between
// handles the event when it comes again.
func TestAHandlersWorkAndItsMarkAreOne(t *testing.T) {
	t.Parallel()
	db := openReceiverDB(t)
	inbox := &event.SQLInbox{DB: db, Dialect: event.SQLite}
	if err := inbox.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE coin (owner TEXT NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	r := setupReceiver(t, func(c *event.Config) {
		inbox.Now = c.Now
		c.Inbox, c.Users = inbox, users
	})
	const kind = "https://api.market.example/events/coin.given"
	fail := errors.New("later")
	r.receiver.Handle(kind, func(ctx context.Context, tx *sql.Tx, e *event.Event) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO coin (owner) VALUES ($1)", e.User); err != nil {
			return err
		}
		return fail
	})
	token := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", kind, claims{}))
	r.want("while the handler fails", r.sendSET(token), http.StatusInternalServerError, "")
	fail = nil
	for range 3 {
		r.want("when it works", r.sendSET(token), http.StatusAccepted, "")
	}
	var owners []string
	rows, err := db.QueryContext(t.Context(), "SELECT owner FROM coin")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var owner string
		if err := rows.Scan(&owner); err != nil {
			t.Fatal(err)
		}
		owners = append(owners, owner)
	}
	if err := rows.Err(); err != nil || len(owners) != 1 || owners[0] != "member-1" {
		t.Errorf("got %v, %v", owners, err)
	}
}

func TestMemoryInbox(t *testing.T) {
	t.Parallel()
	inbox := &event.MemoryInbox{Size: 3}
	done := 0
	var mu sync.Mutex
	work := func(failure error) func(*sql.Tx) error {
		return func(tx *sql.Tx) error {
			mu.Lock()
			defer mu.Unlock()
			if tx != nil {
				t.Error("a transaction without a database")
			}
			if failure == nil {
				done++
			}
			return failure
		}
	}
	want := func(want int) {
		t.Helper()
		if done != want {
			t.Errorf("done %d times, want %d", done, want)
		}
	}
	broken := errors.New("broken")
	if err := inbox.Once(t.Context(), "i", "a", work(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = inbox.Once(t.Context(), "i", "a", func(*sql.Tx) error { panic("a fault") })
	}()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if err := inbox.Once(t.Context(), "i", "a", work(nil)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	want(1)
	for _, id := range []string{"b", "c", "d"} { // a makes room
		if err := inbox.Once(t.Context(), "i", id, work(nil)); err != nil {
			t.Error(err)
		}
	}
	if err := inbox.Once(t.Context(), "i", "a", work(nil)); err != nil {
		t.Error(err)
	}
	want(5)

	// Who gives up waiting does not work.
	busy, release := make(chan struct{}), make(chan struct{})
	wait.Go(func() {
		_ = inbox.Once(t.Context(), "i", "e", func(*sql.Tx) error {
			close(busy)
			<-release
			return nil
		})
	})
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inbox.Once(ctx, "i", "e", work(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	wait.Wait()
	want(5)
}
