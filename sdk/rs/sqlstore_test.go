package rs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/sekisho-id/sekisho/sdk/rs"
)

func TestSQLStoreOnSQLite(t *testing.T) {
	t.Parallel()
	exerciseSQLStore(t, rs.SQLite, openSQLite(t))
}

func openSQLite(t *testing.T) *sql.DB {
	t.Helper()
	return openDB(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "market.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
}

func openDB(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// newSQLStore makes a store whose users are rows of a table of the service.
func newSQLStore(t *testing.T, dialect rs.Dialect, db *sql.DB) *rs.SQLStore {
	t.Helper()
	store := &rs.SQLStore{DB: db, Dialect: dialect, NewUser: func(ctx context.Context, tx *sql.Tx) (string, error) {
		var id string
		err := tx.QueryRowContext(ctx, "INSERT INTO member (id) SELECT COUNT(*) + 1 FROM member RETURNING id").Scan(&id)
		return "member-" + id, err
	}}
	if dialect == rs.PostgreSQL {
		store.NewUser = func(ctx context.Context, tx *sql.Tx) (string, error) {
			var id string
			err := tx.QueryRowContext(ctx, "INSERT INTO member (id) VALUES (nextval('member_id')) RETURNING id").Scan(&id)
			return "member-" + id, err
		}
		if _, err := db.ExecContext(t.Context(), "CREATE SEQUENCE member_id"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE member (id BIGINT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // at each start
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// exerciseSQLStore is what a store must do on either engine.
func exerciseSQLStore(t *testing.T, dialect rs.Dialect, db *sql.DB) {
	t.Helper()
	store := newSQLStore(t, dialect, db)
	members := func() (count int) {
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM member").Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}

	// Many see five people for the first time, at the same time.
	var mu sync.Mutex
	ids := make(map[string]map[string]bool)
	var wait sync.WaitGroup
	for n := range 60 {
		wait.Go(func() {
			subject := fmt.Sprintf("person%d.market", n%5)
			id, err := store.Add(t.Context(), subject)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if ids[subject] == nil {
				ids[subject] = make(map[string]bool)
			}
			ids[subject][id] = true
		})
	}
	wait.Wait()
	if got := members(); got != 5 {
		t.Errorf("%d users made for 5 people", got)
	}
	want := make(map[string]string)
	back := make(map[string]string)
	for subject, several := range ids {
		if len(several) != 1 {
			t.Errorf("%s got the ids %v", subject, several)
		}
		for id := range several {
			want[subject], back[id] = id, subject
		}
	}
	asked := []string{"person0.market", "person1.market", "person2.market", "person3.market", "person4.market"}
	for n := range 1200 {
		asked = append(asked, fmt.Sprintf("nobody%d.market", n))
	}
	got, err := store.Internal(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	members5 := []string{"member-none"}
	for id := range back {
		members5 = append(members5, id)
	}
	if got, err = store.Subjects(t.Context(), members5); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(back, got); diff != "" {
		t.Error(diff)
	}

	// A user that could not be made leaves nothing behind, and the next try works.
	working := store.NewUser
	store.NewUser = func(ctx context.Context, tx *sql.Tx) (string, error) {
		if _, err := working(ctx, tx); err != nil {
			return "", err
		}
		return "", errors.New("no room")
	}
	if _, err := store.Add(t.Context(), "late.market"); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	if got := members(); got != 5 {
		t.Errorf("%d users after a failure, want 5", got)
	}
	store.NewUser = working
	if id, err := store.Add(t.Context(), "late.market"); err != nil || id == "" {
		t.Errorf("got %q, %v", id, err)
	}

	// One internal id is never two people.
	store.NewUser = func(context.Context, *sql.Tx) (string, error) { return members5[1], nil }
	if _, err := store.Add(t.Context(), "twin.market"); err == nil {
		t.Error("two subjects got one internal id")
	}
}

func TestSQLStoreWantsABusyTimeout(t *testing.T) {
	t.Parallel()
	db := openDB(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "market.db"))
	store := &rs.SQLStore{DB: db, Dialect: rs.SQLite}
	if err := store.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "busy_timeout") {
		t.Errorf("got %v", err)
	}
	store.Dialect = 0
	if err := store.Migrate(t.Context()); err == nil {
		t.Error("an engine was guessed")
	}
}
