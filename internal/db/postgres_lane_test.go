package db_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
)

// Of many that change one row at once, and look at all the others before, none is
// refused, however often they meet.
func TestManyThatMeet(t *testing.T) {
	onPostgres(t)
	d, _ := setup(t)
	ctx := t.Context()
	update(t, d, "INSERT INTO thing (name, size) VALUES ('counter', 0)")
	const many, each = 48, 4
	var group sync.WaitGroup
	for range many {
		group.Go(func() {
			for range each {
				err := d.Update(ctx, func(tx *db.Tx) error {
					var size int
					if err := tx.Row(ctx, "SELECT size FROM thing WHERE name = 'counter'").Scan(&size); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "UPDATE thing SET size = $1 WHERE name = 'counter'", size+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var size int
	if err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.Row(ctx, "SELECT size FROM thing WHERE name = 'counter'").Scan(&size)
	}); err != nil || size != many*each {
		t.Errorf("counted to %d: %v", size, err)
	}
}

// Those that have met others three times go on one at a time.
func TestTheLaneIsForOne(t *testing.T) {
	onPostgres(t)
	d, _ := setup(t)
	ctx := t.Context()
	var inside, most atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			attempts := 0
			err := d.Update(ctx, func(tx *db.Tx) error {
				attempts++
				if attempts > 3 {
					most.Store(max(most.Load(), inside.Add(1)))
					defer inside.Add(-1)
				}
				if attempts > 12 {
					return nil
				}
				_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$")
				return err
			})
			if err != nil || attempts != 13 {
				t.Errorf("%d attempts: %v", attempts, err)
			}
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d were in the lane at once", most.Load())
	}
}
