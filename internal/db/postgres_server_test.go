package db_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openWith opens a database with options and keeps its log.
func openWith(t *testing.T, dsn string, options db.Options) (*db.DB, *logged) {
	t.Helper()
	log := &logged{}
	options.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d, err := db.OpenWith(t.Context(), dsn, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, log
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !yes() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// follow follows changes until the test ends.
func follow(t *testing.T, d *db.DB) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { _ = d.Follow(ctx) })
	t.Cleanup(func() { stop(); following.Wait() })
}

const thingTable = "CREATE TABLE IF NOT EXISTS thing (name TEXT NOT NULL PRIMARY KEY, size BIGINT NOT NULL, body BYTEA)"

func TestSynchronousStandbyIsAskedFor(t *testing.T) {
	t.Parallel()
	options := db.Options{Synchronous: true}
	if _, err := db.OpenWith(t.Context(), t.TempDir()+"/x.db", options); err == nil || !strings.Contains(err.Error(), "SQLite has none") {
		t.Errorf("SQLite: %v", err)
	}
	primary := postgrestest.New(t, "synchronous_commit=on", "synchronous_standby_names=")
	refused := func(want string) {
		t.Helper()
		_, err := db.OpenWith(t.Context(), primary.URL("postgres"), options)
		if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("opened: %v, want %s", err, want)
		}
	}
	refused("synchronous_standby_names is empty")
	primary.Exec(t, "ALTER DATABASE postgres SET synchronous_commit = remote_write")
	refused("synchronous_commit is remote_write")
	primary.Exec(t, "ALTER DATABASE postgres RESET synchronous_commit")
}

func TestReadyOnlyWithSynchronousStandby(t *testing.T) {
	t.Parallel()
	primary := postgrestest.New(t, "synchronous_commit=on", "wal_retrieve_retry_interval=100ms")
	d := open(t, primary.URL("postgres")) // with its schema, before a standby is asked for
	update(t, d, thingTable)
	setSynchronous(t, primary)
	watched, log := openWith(t, primary.URL("postgres"), db.Options{Synchronous: true})
	if err := watched.Ready(t.Context()); !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "none is connected (0 other") {
		t.Errorf("without a standby: %v", err)
	}
	if !strings.Contains(log.String(), "not ready until a synchronous standby is connected") {
		t.Errorf("log: %s", log)
	}
	standby := primary.Standby(t, "second")
	eventually(t, "ready with its standby", func() bool { return watched.Ready(t.Context()) == nil })
	update(t, watched, "INSERT INTO thing (name, size) VALUES ('both', 1)")

	standby.Stop(t)
	eventually(t, "unready without its standby", func() bool { return watched.Ready(t.Context()) != nil })
	began := time.Now()
	err := exec(t.Context(), watched, "INSERT INTO thing (name, size) VALUES ('alone', 1)")
	if !errors.Is(err, db.ErrUnavailable) || time.Since(began) > 5*time.Second {
		t.Errorf("a commit without its standby: %v after %s", err, time.Since(began))
	}
	standby.Resume(t)
	eventually(t, "ready again", func() bool { return watched.Ready(t.Context()) == nil })
}

// setSynchronous has every commit wait for the standby named second.
func setSynchronous(t *testing.T, primary *postgrestest.Server) {
	t.Helper()
	primary.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'second'")
	primary.Exec(t, "SELECT pg_reload_conf()")
}

// TestRoleThatMayNotSee holds that a role which may not see the state of standbys
// is told what it lacks, and that fencing needs no privilege.
func TestRoleThatMayNotSee(t *testing.T) {
	t.Parallel()
	primary := postgrestest.New(t, "synchronous_commit=on")
	primary.Exec(t, "CREATE ROLE sekisho LOGIN")
	primary.Exec(t, "CREATE DATABASE sekisho OWNER sekisho")
	dsn := strings.ReplaceAll(primary.URL("sekisho"), "user=postgres", "user=sekisho")
	open(t, dsn)
	standby := primary.Standby(t, "second")
	setSynchronous(t, primary)
	d, _ := openWith(t, dsn, db.Options{Synchronous: true})
	if err := d.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "GRANT pg_monitor") {
		t.Errorf("a role that may not see standbys: %v", err)
	}
	if timeline := d.Stats().Timeline; timeline != 1 {
		t.Errorf("timeline %d", timeline)
	}
	primary.Exec(t, "GRANT pg_monitor TO sekisho")
	eventually(t, "ready", func() bool { return d.Ready(t.Context()) == nil })
	_ = standby
}

// TestOldPrimaryIsRefused is F8: the old primary goes on taking writes, and comes
// first in the DSN.
func TestOldPrimaryIsRefused(t *testing.T) {
	t.Parallel()
	old := postgrestest.New(t, "wal_retrieve_retry_interval=100ms")
	d := open(t, old.URL("postgres"))
	update(t, d, thingTable)
	next := old.Standby(t, "second")
	both, log := openWith(t, old.URL("postgres", next), db.Options{})
	follow(t, both)
	update(t, both, "INSERT INTO thing (name, size) VALUES ('before', 1)")
	eventually(t, "the standby has it", func() bool { return sizeOn(t, next, "before") == 1 })

	next.Promote(t)
	eventually(t, "the new primary was seen", func() bool { return both.Stats().Timeline == 2 })
	for range 20 {
		update(t, both, "INSERT INTO thing (name, size) VALUES ('after', 1) ON CONFLICT (name) DO UPDATE SET size = thing.size + 1")
	}
	if there, here := sizeOn(t, next, "after"), sizeOn(t, old, "after"); there != 20 || here != 0 {
		t.Errorf("%d writes on the new primary, %d on the old one", there, here)
	}
	if stats := both.Stats(); stats.Refused == 0 || !strings.Contains(log.String(), "another PostgreSQL server has taken over") ||
		!strings.Contains(log.String(), "a PostgreSQL server was refused") {
		t.Errorf("%d refused; log: %s", stats.Refused, log)
	}

	// A process that starts now is told by the other host, if it is there.
	fresh, _ := openWith(t, old.URL("postgres", next), db.Options{})
	update(t, fresh, "INSERT INTO thing (name, size) VALUES ('fresh', 1)")
	if sizeOn(t, old, "fresh") != 0 {
		t.Error("a new process wrote to the old primary")
	}
	// The new one is gone: better no write than one that is lost.
	next.Stop(t)
	if err := exec(t.Context(), both, "INSERT INTO thing (name, size) VALUES ('lost', 1)"); !errors.Is(err, db.ErrUnavailable) || sizeOn(t, old, "lost") != 0 {
		t.Errorf("wrote to the old primary: %v", err)
	}
}

// TestPromotionDuringATransaction holds that what began on the old primary is not
// committed there once the new one was seen.
func TestPromotionDuringATransaction(t *testing.T) {
	t.Parallel()
	old := postgrestest.New(t, "wal_retrieve_retry_interval=100ms")
	update(t, open(t, old.URL("postgres")), thingTable)
	next := old.Standby(t, "second")
	both, _ := openWith(t, old.URL("postgres", next), db.Options{})
	follow(t, both)
	attempts := 0
	err := both.Update(t.Context(), func(tx *db.Tx) error {
		if attempts++; attempts == 1 {
			next.Promote(t)
			eventually(t, "the new primary was seen", func() bool { return both.Stats().Timeline == 2 })
		}
		_, err := tx.Exec(t.Context(), "INSERT INTO thing (name, size) VALUES ('between', 1)")
		return err
	})
	if err != nil || attempts != 2 || sizeOn(t, old, "between") != 0 || sizeOn(t, next, "between") != 1 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}

// sizeOn asks one server, whatever it is, for the size of a thing.
func sizeOn(t *testing.T, server *postgrestest.Server, name string) (size int) {
	t.Helper()
	raw := rawConnection(t, server.URL("postgres"))
	err := raw.QueryRowContext(t.Context(), "SELECT coalesce(sum(size), 0) FROM thing WHERE name = $1", name).Scan(&size)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestClocksThatLieApart(t *testing.T) {
	onPostgres(t)
	_, dsn := setup(t)
	var mu sync.Mutex
	ahead := time.Duration(0)
	d, log := openWith(t, dsn, db.Options{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(ahead)
	}})
	for _, one := range []struct {
		ahead       time.Duration
		ready, told bool
	}{{0, true, false}, {-20 * time.Second, true, true}, {2 * time.Minute, false, true}, {-2 * time.Minute, false, true}, {0, true, true}} {
		mu.Lock()
		ahead = one.ahead
		mu.Unlock()
		err := d.CheckClock(t.Context())
		if (err == nil) != one.ready || strings.Contains(log.String(), "lie apart") != one.told {
			t.Errorf("%s ahead: %v; log: %s", one.ahead, err, log)
		}
		if skew := d.Stats().Skew - one.ahead; skew.Abs() > 2*time.Second {
			t.Errorf("%s ahead: measured %s", one.ahead, d.Stats().Skew)
		}
		if off := time.Until(d.Now()); one.ready && off.Abs() > 2*time.Second {
			t.Errorf("%s ahead: goes by a time that is %s off", one.ahead, off)
		}
	}
	if !strings.Contains(log.String(), "agree again") {
		t.Errorf("log: %s", log)
	}
}
