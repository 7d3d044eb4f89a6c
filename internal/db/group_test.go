package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

// gathered runs updates that all wait for one that holds the writer, so that
// they are committed together, and answers their errors.
func gathered(t *testing.T, d *db.DB, updates ...func(*db.Tx) error) []error {
	t.Helper()
	release, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var group sync.WaitGroup
	group.Go(func() {
		err := d.Update(t.Context(), func(*db.Tx) error {
			once.Do(func() { close(held) })
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	errs := make([]error, len(updates))
	for i, update := range updates {
		group.Go(func() { errs[i] = d.Update(t.Context(), update) })
		db.AwaitWaiting(d, i+1)
	}
	close(release)
	group.Wait()
	return errs
}

func insert(name string) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		_, err := tx.Exec(context.Background(), "INSERT INTO thing (name, size) VALUES ($1, 1)", name)
		return err
	}
}

// TestGroupIsUndoneOneByOne holds that in a group of updates each stands or
// falls alone, and sees what those before it have written.
func TestGroupIsUndoneOneByOne(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, path := setup(t)
	wrong := errors.New("wrong")
	var seen int
	errs := gathered(t, d,
		insert("a"),
		func(tx *db.Tx) error { return errors.Join(insert("b")(tx), wrong) },
		insert("a"),
		func(tx *db.Tx) error {
			return errors.Join(insert("c")(tx), tx.Row(t.Context(), "SELECT count(*) FROM thing").Scan(&seen))
		},
	)
	for i, want := range []error{nil, wrong, db.ErrConflict, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("update %d: %v, want %v", i, errs[i], want)
		}
	}
	if n := count(t, open(t, path)); n != 2 || seen != 2 {
		t.Errorf("%d rows, and the last saw %d; want a and c", n, seen)
	}
}

// TestGroupChangesItsTopics holds that the watchers of what a group has changed
// have run for each member, and those of what was undone have not.
func TestGroupChangesItsTopics(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, _ := setup(t)
	var mu sync.Mutex
	told := map[string]int{}
	for _, topic := range []string{"kept", "undone"} {
		d.Watch(topic, func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			told[topic]++
			return nil
		})
	}
	gathered(t, d,
		func(tx *db.Tx) error { tx.Changed("kept"); return nil },
		func(tx *db.Tx) error { tx.Changed("undone"); return errors.New("wrong") },
		func(tx *db.Tx) error { tx.Changed("kept"); return nil },
	)
	if told["kept"] == 0 || told["undone"] != 0 {
		t.Errorf("told %v", told)
	}
}

// TestGroupKeepsPanicsApart holds that a panic comes out where it belongs.
func TestGroupKeepsPanicsApart(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, path := setup(t)
	errs := make([]error, 3)
	var caught any
	var group sync.WaitGroup
	release, held := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		errs[0] = d.Update(t.Context(), func(*db.Tx) error { close(held); <-release; return nil })
	})
	<-held
	group.Go(func() { errs[1] = d.Update(t.Context(), insert("a")) })
	db.AwaitWaiting(d, 1)
	group.Go(func() {
		defer func() { caught = recover() }()
		_ = d.Update(t.Context(), func(*db.Tx) error { panic("mine") })
	})
	db.AwaitWaiting(d, 2)
	group.Go(func() { errs[2] = d.Update(t.Context(), insert("b")) })
	db.AwaitWaiting(d, 3)
	close(release)
	group.Wait()
	if caught != "mine" || errors.Join(errs...) != nil {
		t.Errorf("caught %v, errors %v", caught, errs)
	}
	if n := count(t, open(t, path)); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// TestWaitingCanBeGivenUp holds that a request that ends while it waits is not
// run, and holds up nobody.
func TestWaitingCanBeGivenUp(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, path := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	release, held := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		if err := d.Update(t.Context(), func(*db.Tx) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	gone := make(chan error)
	go func() { gone <- d.Update(ctx, insert("gone")) }()
	db.AwaitWaiting(d, 1)
	group.Go(func() {
		if err := d.Update(t.Context(), insert("kept")); err != nil {
			t.Error(err)
		}
	})
	db.AwaitWaiting(d, 2)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	group.Wait()
	if n := count(t, open(t, path)); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// TestManyUpdates holds that none of many is lost, run twice or left waiting.
func TestManyUpdates(t *testing.T) {
	t.Parallel()
	d, path := setup(t)
	var group sync.WaitGroup
	for worker := range 20 {
		group.Go(func() {
			for i := range 25 {
				err := d.Update(t.Context(), insert(fmt.Sprint(worker, "/", i)))
				if err != nil {
					t.Error(err)
				}
				if err := d.Update(t.Context(), insert(fmt.Sprint(worker, "/", i))); !errors.Is(err, db.ErrConflict) {
					t.Errorf("the same again: %v", err)
				}
			}
		})
	}
	group.Wait()
	if n := count(t, open(t, path)); n != 500 {
		t.Errorf("%d rows", n)
	}
}

// BenchmarkDurableUpdates is what durable commits cost alone and side by side.
func BenchmarkDurableUpdates(b *testing.B) {
	for _, workers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			d, err := db.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = d.Close() }()
			create := func(tx *db.Tx) error {
				_, err := tx.Exec(b.Context(), "CREATE TABLE thing (name TEXT NOT NULL PRIMARY KEY, size BIGINT NOT NULL)")
				return err
			}
			if err := d.Update(b.Context(), create); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			var group sync.WaitGroup
			for worker := range workers {
				group.Go(func() {
					for i := worker; i < b.N; i += workers {
						if err := d.Update(b.Context(), insert(fmt.Sprint(i))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
		})
	}
}

// TestGroupOutlivesAWriteThatIsInterrupted holds that those beside a caller who
// hangs up during a write are committed: SQLite undoes the whole transaction then.
func TestGroupOutlivesAWriteThatIsInterrupted(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	d, path := setup(t)
	hasty, hangUp := context.WithCancel(t.Context())
	errs := gathered(t, d,
		insert("a"),
		func(tx *db.Tx) error {
			if hasty.Err() == nil {
				time.AfterFunc(10*time.Millisecond, hangUp)
			}
			_, err := tx.Exec(hasty, `CREATE TABLE long AS WITH RECURSIVE n (i) AS
				(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT i FROM n`)
			return err
		},
		insert("c"),
	)
	for i, want := range []error{nil, context.Canceled, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("update %d: %v, want %v", i, errs[i], want)
		}
	}
	if n := count(t, open(t, path)); n != 2 {
		t.Errorf("%d rows, want a and c", n)
	}
}
