package db_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
)

// TestStatementsAreKept: a statement runs again and again on a connection, also
// within its own rows and after an error, and many are not too many.
func TestStatementsAreKept(t *testing.T) {
	t.Parallel()
	database := open(t, filepath.Join(t.TempDir(), "statements.db"))
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const insert = "INSERT INTO feed (topic, version) VALUES ($1, $2)"
	must(database.Update(ctx, func(tx *db.Tx) error {
		for i := range 3 {
			if _, err := tx.Exec(ctx, insert, fmt.Sprint("topic", i), i); err != nil {
				return err
			}
		}
		return nil
	}))
	if err := database.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, insert, "topic0", 9)
		return err
	}); err == nil {
		t.Error("the same key twice is no error")
	}
	must(database.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, insert, "topic3", 3)
		return err
	}))
	pairs := func(tx *db.Tx) (n int, err error) {
		const all = "SELECT version FROM feed ORDER BY version"
		outer, err := tx.Rows(ctx, all)
		if err != nil {
			return 0, err
		}
		defer func() { _ = outer.Close() }()
		for outer.Next() {
			inner, err := tx.Rows(ctx, all)
			if err != nil {
				return 0, err
			}
			for inner.Next() {
				n++
			}
			if err := inner.Close(); err != nil {
				return 0, err
			}
		}
		return n, outer.Err()
	}
	must(database.Read(ctx, func(tx *db.Tx) error {
		for range 2 {
			if n, err := pairs(tx); err != nil || n != 16 {
				t.Errorf("%d pairs, %v", n, err)
			}
		}
		for i := range 600 { // more than are kept
			var n int
			if err := tx.Row(ctx, fmt.Sprintf("SELECT %d FROM feed WHERE topic = $1", i), "topic1").Scan(&n); err != nil || n != i {
				return fmt.Errorf("%d: got %d, %w", i, n, err)
			}
		}
		return nil
	}))
}
