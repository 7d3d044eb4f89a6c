package db_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
)

// TestHintsBeforeThePoll holds that a change is seen by another process that does
// not poll, also after its connection was lost, and also if the process that made
// it ends at once.
func TestHintsBeforeThePoll(t *testing.T) {
	onPostgres(t)
	here, dsn := setup(t)
	there := open(t, dsn)
	db.NeverPoll(there)
	var reloads atomic.Int32
	there.Watch("hinted", func(context.Context) error { reloads.Add(1); return nil })
	follow(t, there)

	change := func(d *db.DB) {
		t.Helper()
		before := reloads.Load()
		err := d.Update(t.Context(), func(tx *db.Tx) error { tx.Changed("hinted"); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if d != here {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the change is seen", func() bool { return reloads.Load() > before })
	}
	for range 20 {
		change(here)
	}
	command, err := db.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	change(command)

	other := rawConnection(t, dsn)
	if _, err := other.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"); err != nil {
		t.Fatal(err)
	}
	change(here)
}

// TestBurstIsHeard holds that hints, of which many changes share one, leave none
// of the changes unseen.
func TestBurstIsHeard(t *testing.T) {
	onPostgres(t)
	here, dsn := setup(t)
	there := open(t, dsn)
	db.NeverPoll(there)
	var seen atomic.Int64
	there.Watch("burst", func(ctx context.Context) error {
		var n int64
		err := there.Read(ctx, func(tx *db.Tx) error {
			return tx.Row(ctx, "SELECT count(*) FROM thing").Scan(&n)
		})
		seen.Store(n)
		return err
	})
	follow(t, there)
	for i := range 200 {
		err := here.Update(t.Context(), func(tx *db.Tx) error {
			tx.Changed("burst")
			_, err := tx.Exec(t.Context(), "INSERT INTO thing (name, size) VALUES ($1, 1)", string(rune('A'+i)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the whole burst is seen", func() bool { return seen.Load() == 200 })
}
