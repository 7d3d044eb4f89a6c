package grant

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/db"
)

// sweepBatch is how many rows one transaction deletes, so that nobody waits
// long for it.
const sweepBatch = 500

// Sweep deletes what has expired, in small transactions, and forgets it in
// memory. It decides nothing: expiry is checked where things are used.
func (g *Grants) Sweep(ctx context.Context) error {
	now := g.now()
	g.ended.prune(db.Millis(now))
	for _, sweep := range []func(context.Context, *db.Tx, int64, int) (int, error){
		sweepSessions, sweepGrants, sweepRevocations,
	} {
		if err := g.drain(ctx, db.Millis(now), sweep); err != nil {
			return err
		}
	}
	return nil
}

func (g *Grants) drain(ctx context.Context, now int64, sweep func(context.Context, *db.Tx, int64, int) (int, error)) error {
	for {
		deleted := 0
		err := g.db.Update(ctx, func(tx *db.Tx) (err error) {
			deleted, err = sweep(ctx, tx, now, sweepBatch)
			return err
		})
		if err != nil || deleted < sweepBatch {
			return err
		}
	}
}
