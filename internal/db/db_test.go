package db_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
)

func open(t *testing.T, path string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestWatch(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := open(t, filepath.Join(t.TempDir(), "a b?#%.db"))
	n := 0
	d.Watch("x", func(context.Context) error { n++; return nil })
	if err := d.Update(ctx, func(tx *db.Tx) error { tx.Changed("x"); return nil }); err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Fatal(n)
	}
	if err := d.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}
