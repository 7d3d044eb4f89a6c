package db_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

func TestConflictAndNotFound(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	ctx := t.Context()
	update(t, d, "INSERT INTO thing (name, size) VALUES ('a', 1)")

	if err := exec(ctx, d, "INSERT INTO thing (name, size) VALUES ('a', 2)"); !errors.Is(err, db.ErrConflict) {
		t.Errorf("second row: %v", err)
	}
	err := d.Update(ctx, func(tx *db.Tx) error {
		var name string
		return tx.Row(ctx, "INSERT INTO thing (name, size) VALUES ('a', 2) RETURNING name").Scan(&name)
	})
	if !errors.Is(err, db.ErrConflict) {
		t.Errorf("second row through Row: %v", err)
	}
	err = d.Read(ctx, func(tx *db.Tx) error {
		var size int64
		return tx.Row(ctx, "SELECT size FROM thing WHERE name = 'b'").Scan(&size)
	})
	if !errors.Is(err, db.ErrNotFound) {
		t.Errorf("no row: %v", err)
	}
	err = exec(ctx, d, "INSERT INTO thing (name) VALUES ('b')")
	if err == nil || errors.Is(err, db.ErrConflict) || errors.Is(err, db.ErrUnavailable) {
		t.Errorf("missing value: %v", err)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	insert := "INSERT INTO thing (name, size, body) VALUES ($1, 1, $2)"
	body := bytes.Repeat([]byte{1}, 1<<20)
	for name, c := range map[string]struct{ refuse, recover string }{
		"full":      {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"},
		"read-only": {"PRAGMA query_only = on", ""}, // no transaction can take it back,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := setup(t)
			update(t, d, c.refuse)
			if err := exec(t.Context(), d, insert, "a", body); !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("refusing: %v", err)
			}
			if n := count(t, d); n != 0 {
				t.Errorf("%d rows", n)
			}
			if c.recover == "" {
				return
			}
			update(t, d, c.recover)
			update(t, d, insert, "a", body)
			if n := count(t, d); n != 1 {
				t.Errorf("%d rows after recovery", n)
			}
		})
	}
}

func TestUnavailableWhileLocked(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, path := setup(t)
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	holding, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	insert := "INSERT INTO thing (name, size) VALUES ('a', 1)"
	if err := exec(t.Context(), d, insert); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("locked by another process: %v", err)
	}
	if n := count(t, d); n != 0 {
		t.Errorf("readers see %d rows", n)
	}
	if err := holding.Rollback(); err != nil {
		t.Fatal(err)
	}
	update(t, d, insert)

	// Within the process, an Update waits for the one before it, not forever.
	err = d.Update(t.Context(), func(*db.Tx) error {
		return exec(t.Context(), d, insert)
	})
	if !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("an Update inside an Update: %v", err)
	}
}

func TestUnavailableWhenClosed(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*db.Tx) error { return nil }
	for name, call := range map[string]func(context.Context, func(*db.Tx) error) error{"read": d.Read, "update": d.Update} {
		if err := call(t.Context(), nothing); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Ready(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
}
