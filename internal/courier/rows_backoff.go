package courier

import (
	"context"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// saveHealth writes how sending goes. Nobody is told of it by the change feed:
// only who sends needs it, and who takes a stream over reads it then. A stream that
// its receiver has changed since begins anew.
func saveHealth(ctx context.Context, tx *db.Tx, id string, updatedAt time.Time, h health) error {
	_, err := tx.Exec(ctx, `UPDATE event_stream SET retry_at = $1, failing_since = $2, failures = $3
		WHERE id = $4 AND updated_at = $5`,
		millisOrNever(h.retryAt), millisOrNever(h.failingSince), h.failures, id, db.Millis(updatedAt))
	if err != nil {
		return fmt.Errorf("courier: stream: %w", err)
	}
	return nil
}

// writeStatus changes the status of a stream, if it has another. A stream that is
// enabled begins anew.
func writeStatus(ctx context.Context, tx *db.Tx, id string, status StreamStatus, reason string, now time.Time) (changed bool, err error) {
	n, err := tx.Exec(ctx, `UPDATE event_stream SET status = $1, reason = $2, updated_at = $3, retry_at = 0, failing_since = 0, failures = 0
		WHERE id = $4 AND status <> $1`, string(status), reason, db.Millis(now), id)
	if err != nil {
		return false, fmt.Errorf("courier: stream: %w", err)
	}
	if n > 0 {
		tx.Changed(topicStreams)
	}
	return n > 0, nil
}
