package db_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
)

func change(ctx context.Context, d *db.DB, topics ...string) error {
	return d.Update(ctx, func(tx *db.Tx) error {
		for _, topic := range topics {
			tx.Changed(topic)
		}
		return nil
	})
}

func TestWatchersRunBeforeUpdateReturns(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	ctx := t.Context()
	var seen int
	d.Watch("thing", func(context.Context) error {
		seen = count(t, d)
		return nil
	})
	d.Watch("other", func(context.Context) error {
		t.Error("a watcher of another topic ran")
		return nil
	})
	err := d.Update(ctx, func(tx *db.Tx) error {
		tx.Changed("thing")
		_, err := tx.Exec(ctx, "INSERT INTO thing (name, size) VALUES ('a', 1)")
		return err
	})
	if err != nil || seen != 1 {
		t.Errorf("the watcher saw %d rows, %v", seen, err)
	}
	seen = 0
	_ = d.Update(ctx, func(tx *db.Tx) error {
		tx.Changed("thing")
		return errors.New("no")
	})
	if seen != 0 {
		t.Error("a watcher ran for a change that was not committed")
	}
}

// The reload belongs to a committed change, so the end of the request does
// not stop it.
func TestWatcherOutlivesTheRequest(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	d.Watch("a", func(context.Context) error { cancel(); return nil })
	d.Watch("b", func(ctx context.Context) error {
		ran = true
		return ctx.Err()
	})
	if err := change(ctx, d, "a", "b"); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil || !ran {
		t.Errorf("ran %v, %v", ran, err)
	}
}

func TestFollowSeesOtherProcesses(t *testing.T) {
	t.Parallel()
	here, path := setup(t)
	there := open(t, path)
	reloaded := make(chan int, 100)
	there.Watch("thing", func(context.Context) error {
		reloaded <- count(t, there)
		return nil
	})

	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() {
		if err := there.Follow(ctx); err != nil {
			t.Error(err)
		}
	})
	defer following.Wait()
	defer cancel()

	for want, name := range []string{"a", "b"} {
		err := here.Update(t.Context(), func(tx *db.Tx) error {
			tx.Changed("thing")
			_, err := tx.Exec(t.Context(), "INSERT INTO thing (name, size) VALUES ($1, 1)", name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := <-reloaded; got != want+1 {
			t.Errorf("after change %d the other process saw %d rows", want+1, got)
		}
	}
}

func TestFailedReloadIsTriedAgain(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	var runs atomic.Int64
	good := make(chan struct{})
	d.Watch("thing", func(context.Context) error {
		if runs.Add(1) == 1 {
			return errors.New("not now")
		}
		close(good)
		return nil
	})
	if err := change(t.Context(), d, "thing"); err != nil {
		t.Fatalf("the change is committed, yet: %v", err)
	}
	if err := d.Ready(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("ready while behind: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = d.Follow(ctx) })
	<-good
	cancel()
	following.Wait()
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("ready after the reload: %v", err)
	}
}

// Many changes at once may share a reload, but each is seen by one before its
// Update returns.
func TestEveryChangeIsSeen(t *testing.T) {
	t.Parallel()
	d, _ := setup(t)
	var known atomic.Pointer[map[string]bool]
	d.Watch("thing", func(ctx context.Context) error {
		names := map[string]bool{}
		err := d.Read(ctx, func(tx *db.Tx) error {
			rows, err := tx.Rows(ctx, "SELECT name FROM thing")
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var name string
				if err := rows.Scan(&name); err != nil {
					return err
				}
				names[name] = true
			}
			return rows.Err()
		})
		known.Store(&names)
		return err
	})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 10 {
				name := string(rune('a'+i)) + string(rune('0'+j))
				err := d.Update(context.Background(), func(tx *db.Tx) error {
					tx.Changed("thing")
					_, err := tx.Exec(context.Background(), "INSERT INTO thing (name, size) VALUES ($1, 1)", name)
					return err
				})
				if err != nil || !(*known.Load())[name] {
					t.Errorf("%s is not seen after its change, %v", name, err)
				}
			}
		})
	}
	group.Wait()
}
