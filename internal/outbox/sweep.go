package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

const (
	sweepBatch = 500 // rows changed in one transaction, so that nobody waits long for it

	keepDone    = 7 * 24 * time.Hour
	keepPending = 30 * 24 * time.Hour
	keepDead    = 30 * 24 * time.Hour
)

// faultUnfetched is why a delivery is dead that nobody wanted.
const faultUnfetched = "not received within 30 days"

// Sweep removes what was delivered 7 days ago and what died 30 days ago, and
// gives up what has been pending for 30 days, in small transactions.
func Sweep(ctx context.Context, database *db.DB, now time.Time) error {
	var streams []string
	err := database.Read(ctx, func(tx *db.Tx) (err error) {
		streams, err = PendingStreams(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, stream := range streams {
		err := batches(ctx, database, func(tx *db.Tx) (int64, error) {
			return BuryBefore(ctx, tx, now, now.Add(-keepPending), stream, faultUnfetched, sweepBatch)
		})
		if err != nil {
			return err
		}
	}
	for state, keep := range map[State]time.Duration{StateDone: keepDone, StateDead: keepDead} {
		err := batches(ctx, database, func(tx *db.Tx) (int64, error) {
			return tx.Exec(ctx, `DELETE FROM delivery WHERE state = $1 AND seq IN
				(SELECT seq FROM delivery WHERE state <> 'pending' AND state = $1 AND settled_at < $2 ORDER BY settled_at LIMIT $3)`,
				string(state), db.Millis(now.Add(-keep)), sweepBatch)
		})
		if err != nil {
			return err
		}
	}
	return database.Update(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM delivery_lease WHERE until < $1", db.Millis(now.Add(-keepDone)))
		return err
	})
}

// batches runs step in transactions of their own until it finds too little to do.
func batches(ctx context.Context, database *db.DB, step func(*db.Tx) (int64, error)) error {
	for {
		var n int64
		err := database.Update(ctx, func(tx *db.Tx) (err error) {
			n, err = step(tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("outbox: sweep: %w", err)
		}
		if n < sweepBatch {
			return nil
		}
	}
}

// PendingStreams are the streams with pending deliveries. Each is found by one
// look into the index, not by reading all of it.
func PendingStreams(ctx context.Context, tx *db.Tx) (streams []string, err error) {
	last := ""
	for {
		err := tx.Row(ctx, `SELECT COALESCE(MIN(stream), '') FROM delivery WHERE state = 'pending' AND stream > $1`, last).Scan(&last)
		if err != nil {
			return nil, fmt.Errorf("outbox: sweep: %w", err)
		}
		if last == "" {
			return streams, nil
		}
		streams = append(streams, last)
	}
}
