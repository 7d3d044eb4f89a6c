package registry

import (
	"context"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/db"
)

// sweepBatch is how many rows one transaction of Sweep removes.
const sweepBatch = 500

// insertUses notes uses, none of which is there twice, and tells how many had not been
// noted before.
func insertUses(ctx context.Context, tx *db.Tx, batch []*noting) (int, error) {
	size := 1 // of a few sizes, so that the statements are kept prepared
	for size < len(batch) {
		size *= 2
	}
	query := []byte("INSERT INTO used_assertion (id, expires_at) VALUES ")
	args := make([]any, 0, 2*size)
	for i := range size {
		one := batch[min(i, len(batch)-1)] // the last one again is a conflict with itself
		if i > 0 {
			query = append(query, ", "...)
		}
		query = fmt.Appendf(query, "($%d, $%d)", 2*i+1, 2*i+2)
		args = append(args, one.id[:], db.Millis(one.expires))
	}
	n, err := tx.Exec(ctx, string(append(query, " ON CONFLICT (id) DO NOTHING"...)), args...)
	return int(n), err
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
