package registry

import (
	"context"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// sweepBatch is how many rows one transaction of Sweep removes.
const sweepBatch = 500

// useAssertion notes an assertion as used; false if it was before. Of several that
// do so at once, at any replica, one gets true.
func useAssertion(ctx context.Context, tx *db.Tx, id assertionID, expires time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "INSERT INTO used_assertion (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
		id[:], db.Millis(expires))
	return n == 1, err
}

// Sweep removes used assertions that have expired, in small batches.
func (r *Registry) Sweep(ctx context.Context) error {
	for {
		var n int64
		err := r.config.DB.Update(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM used_assertion WHERE id IN
				(SELECT id FROM used_assertion WHERE expires_at <= $1 LIMIT $2)`, db.Millis(r.config.Now().Add(-sweepLate)), sweepBatch)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
