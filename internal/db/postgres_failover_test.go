package db_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// TestFailOver is F6, small: the primary dies under load, its synchronous standby
// is promoted. What was acknowledged is there, what was refused was refused as
// unavailable, and the pool finds the new primary by itself.
func TestFailOver(t *testing.T) {
	t.Parallel()
	primary := postgrestest.New(t, "synchronous_commit=on", "wal_retrieve_retry_interval=100ms")
	update(t, open(t, primary.URL("postgres")), thingTable)
	standby := primary.Standby(t, "second")
	setSynchronous(t, primary)
	d, _ := openWith(t, primary.URL("postgres", standby), db.Options{Synchronous: true})
	follow(t, d)
	eventually(t, "ready", func() bool { return d.Ready(t.Context()) == nil })

	const writers = 8
	var mu sync.Mutex
	acknowledged, refused := map[string]bool{}, 0
	var lastBefore, firstAfter time.Time
	died, done := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				name := fmt.Sprintf("%d-%d", w, i)
				err := exec(t.Context(), d, "INSERT INTO thing (name, size) VALUES ($1, 1)", name)
				mu.Lock()
				switch {
				case err == nil:
					acknowledged[name] = true
					select {
					case <-died:
						if firstAfter.IsZero() {
							firstAfter = time.Now()
						}
					default:
						lastBefore = time.Now()
					}
				case errors.Is(err, db.ErrUnavailable):
					refused++
				default:
					t.Errorf("neither done nor unavailable: %v", err)
				}
				mu.Unlock()
				if err != nil {
					select { // as a caller that comes again
					case <-done:
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		})
	}
	enough := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) >= n }
	}
	eventually(t, "some writes", enough(200))
	primary.Stop(t)
	mu.Lock()
	before := len(acknowledged)
	mu.Unlock()
	close(died)
	standby.Promote(t)
	eventually(t, "writes on the new primary", enough(before+200))
	close(done)
	all.Wait()

	there := map[string]bool{}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Rows(t.Context(), "SELECT name FROM thing")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			there[name] = true
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range acknowledged {
		if !there[name] {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	t.Logf("%d writes acknowledged (%d before), %d refused, gap of %s", len(acknowledged), before, refused, firstAfter.Sub(lastBefore))
	// The new primary has no standby, and this installation asks for one.
	if err := d.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "a synchronous standby is required") {
		t.Errorf("ready without a standby: %v", err)
	}
}

// TestOldPrimaryLacks holds that nothing is said not to be there by a primary that
// another one has taken over from, from the moment of the promotion on.
func TestOldPrimaryLacks(t *testing.T) {
	t.Parallel()
	primary := postgrestest.New(t)
	update(t, open(t, primary.URL("postgres")), thingTable)
	standby := primary.Standby(t, "second")
	d, _ := openWith(t, primary.URL("postgres", standby), db.Options{})
	if n := count(t, d); n != 0 {
		t.Fatalf("%d rows", n)
	}
	standby.Promote(t)
	standby.Exec(t, "INSERT INTO thing (name, size) VALUES ('new', 1)")
	var size int
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		err := tx.Row(t.Context(), "SELECT size FROM thing WHERE name = 'new'").Scan(&size)
		if errors.Is(err, db.ErrNotFound) {
			tx.Absent()
			return nil
		}
		return err
	})
	if err != nil || size != 1 {
		t.Errorf("what only the new primary has: size %d, %v", size, err)
	}
}
