package db_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

func open(t *testing.T, path string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// setup opens a database with a small table of the test's own.
func setup(t *testing.T) (d *db.DB, path string) {
	t.Helper()
	path = dbtest.DSN(t)
	d = open(t, path)
	update(t, d, "CREATE TABLE thing (name TEXT NOT NULL PRIMARY KEY, size BIGINT NOT NULL, body BYTEA)")
	return d, path
}

func update(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	if err := exec(t.Context(), d, query, args...); err != nil {
		t.Fatal(err)
	}
}

func exec(ctx context.Context, d *db.DB, query string, args ...any) error {
	return d.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT count(*) FROM thing").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenMakesAPrivateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd name?#%20.db")
	open(t, path)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode().Perm())
		}
	}
}

func TestOpenTakesOthersRightsAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil { //nolint:gosec // the point of the test
		t.Fatal(err)
	}
	open(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode().Perm())
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dsn, says string }{
		"no name":           {"sqlite:", "sqlite:PATH"},
		"another engine":    {"mysql://db.example/x", "not supported"},
		"memory":            {"sqlite::memory:", "lost at exit"},
		"missing directory": {"sqlite:" + filepath.Join(dir, "none", "x.db"), "does its directory exist"},
		"a directory":       {dir, "not a regular file"},
		"another file":      {garbage, "not a database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := db.Open(t.Context(), c.dsn)
			if err == nil {
				_ = d.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
		})
	}
}

// Several processes may start on one new file.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			d, err := db.Open(context.Background(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	d, path := setup(t)
	ctx := t.Context()

	update(t, d, "INSERT INTO thing (name, size) VALUES ($1, $2)", "a", 1)
	broken := errors.New("broken")
	err := d.Update(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "INSERT INTO thing (name, size) VALUES ($1, $2), ($3, $4)", "b", 2, "c", 3)
		if n != 2 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows after a transaction that failed", n)
	}
	if n := count(t, open(t, path)); n != 1 {
		t.Errorf("another process sees %d rows", n)
	}
}

func TestReadCannotWrite(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO thing (name, size) VALUES ('a', 1)")
		return err
	})
	if err == nil {
		t.Error("a reader wrote")
	}
}

func TestReadSeesOneState(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		var before, after int
		if err := tx.Row(t.Context(), "SELECT count(*) FROM thing").Scan(&before); err != nil {
			return err
		}
		update(t, d, "INSERT INTO thing (name, size) VALUES ('a', 1)")
		if err := tx.Row(t.Context(), "SELECT count(*) FROM thing").Scan(&after); err != nil {
			return err
		}
		if before != after {
			t.Errorf("saw %d rows, then %d", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUpdatesDoNotLoseEachOther(t *testing.T) {
	t.Parallel()
	d, path := setup(t)
	other := open(t, path)
	update(t, d, "INSERT INTO thing (name, size) VALUES ('n', 0)")
	var group sync.WaitGroup
	for i := range 8 {
		handle := d
		if i%2 == 1 {
			handle = other
		}
		group.Go(func() {
			for range 10 {
				err := handle.Update(context.Background(), func(tx *db.Tx) error {
					ctx := context.Background()
					var size int64
					if err := tx.Row(ctx, "SELECT size FROM thing WHERE name = 'n'").Scan(&size); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "UPDATE thing SET size = $1 WHERE name = 'n'", size+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var size int64
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT size FROM thing WHERE name = 'n'").Scan(&size)
	})
	if err != nil || size != 80 {
		t.Errorf("size %d, %v", size, err)
	}
}

func TestUpdateAndCancel(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := exec(ended, d, "INSERT INTO thing (name, size) VALUES ('a', 1)"); !errors.Is(err, context.Canceled) {
		t.Errorf("before: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	err := d.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO thing (name, size) VALUES ('a', 1)")
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("within: %v", err)
	}
	if n := count(t, d); n != 0 {
		t.Errorf("%d rows written", n)
	}
	update(t, d, "INSERT INTO thing (name, size) VALUES ('a', 1)")
}

// A transaction that met another one runs again; the error is a real one of
// the engine, from a connection that may not wait.
func TestUpdateRunsAgain(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, path := setup(t)
	impatient, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_busy_timeout=0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = impatient.Close() }()

	runs := 0
	err = d.Update(t.Context(), func(tx *db.Tx) error {
		runs++
		if _, err := tx.Exec(t.Context(), "INSERT INTO thing (name, size) VALUES ('a', 1)"); err != nil {
			return err
		}
		if runs < 3 {
			_, busy := impatient.BeginTx(t.Context(), nil)
			return busy
		}
		return nil
	})
	if err != nil || runs != 3 {
		t.Errorf("%d runs, %v", runs, err)
	}
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows", n)
	}

	runs = 0
	err = d.Update(t.Context(), func(*db.Tx) error {
		runs++
		_, busy := impatient.BeginTx(t.Context(), nil)
		return busy
	})
	if !errors.Is(err, db.ErrUnavailable) || runs < 2 || runs > 10 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_000_000, time.FixedZone("", 3600))
	if back := db.Time(db.Millis(at)); !back.Equal(at) || back.Location() != time.UTC {
		t.Errorf("%v became %v", at, back)
	}
}

func BenchmarkOpenNew(b *testing.B) {
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		d, err := db.Open(b.Context(), filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			b.Fatal(err)
		}
		_ = d.Close()
	}
}

func BenchmarkOpenAgain(b *testing.B) {
	path := filepath.Join(b.TempDir(), "test.db")
	for b.Loop() {
		d, err := db.Open(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		_ = d.Close()
	}
}

func BenchmarkUpdate(b *testing.B) {
	d, err := db.Open(b.Context(), filepath.Join(b.TempDir(), "test.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Update(b.Context(), func(tx *db.Tx) error { tx.Changed("thing"); return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	d, err := db.Open(b.Context(), filepath.Join(b.TempDir(), "test.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	b.ReportAllocs()
	for b.Loop() {
		err := d.Read(b.Context(), func(tx *db.Tx) error {
			var n int
			return tx.Row(b.Context(), "SELECT count(*) FROM feed WHERE topic = $1", "thing").Scan(&n)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
