package grant

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// epoch is when the database was last restored from a backup, in unix
// milliseconds; 0 for never. The database has forgotten what was used up between
// the backup and then, so nothing that may be used once is taken from before.
type epoch struct{ at atomic.Int64 }

// before reports whether something that was made or last changed at a time is of
// before the restore.
func (e *epoch) before(changed time.Time) bool { return db.Millis(changed) <= e.at.Load() }

func (e *epoch) load(ctx context.Context, database *db.DB) error {
	return database.Read(ctx, func(tx *db.Tx) error {
		var at int64
		err := tx.Row(ctx, "SELECT restored_at FROM grant_restore WHERE one = 1").Scan(&at)
		switch {
		case errors.Is(err, db.ErrNotFound):
			return nil
		case err != nil:
			return err // what is known stays known
		}
		e.at.Store(at)
		return nil
	})
}

// Restored voids what may be used once and was made until now: codes that were
// not redeemed, and the refresh tokens of clients that get a new one with each
// use. Each is refused with ErrRestored, and its grant ended, when somebody comes
// with it. Sessions, consents, and refresh tokens that stay the same go on.
//
// It is one row whatever the number of grants. Every process knows of it before it
// answers again, like of a revocation.
func (g *Grants) Restored(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO grant_restore (one, restored_at) VALUES (1, $1)
		ON CONFLICT (one) DO UPDATE SET restored_at = excluded.restored_at`, db.Millis(g.now()))
	if err != nil {
		return err
	}
	tx.Changed(topic)
	return nil
}

// checkRestored refuses the rotating refresh tokens of before a restore: the
// database cannot tell which of them has a successor that it does not know.
func (g *Grants) checkRestored(ctx context.Context, tx *db.Tx, granted *Grant, family *familyRow) error {
	if g.restored.before(later(granted.CreatedAt, family.rotatedAt)) {
		return g.refuseAndEnd(ctx, tx, granted, ErrRestored)
	}
	return nil
}
