package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// Take takes or renews a lease: it succeeds if the name is free, has run out, or
// is the holder's own.
func Take(ctx context.Context, tx *db.Tx, name, holder string, now, until time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO delivery_lease (name, holder, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE delivery_lease.holder = excluded.holder OR delivery_lease.until <= $4`,
		name, holder, db.Millis(until), db.Millis(now))
	if err != nil {
		return false, fmt.Errorf("outbox: lease: %w", err)
	}
	return n == 1, nil
}

// GiveBack ends a lease, if it is the holder's.
func GiveBack(ctx context.Context, tx *db.Tx, name, holder string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM delivery_lease WHERE name = $1 AND holder = $2", name, holder); err != nil {
		return fmt.Errorf("outbox: lease: %w", err)
	}
	return nil
}

// CountHolders counts the holders of leases that are alive.
func CountHolders(ctx context.Context, tx *db.Tx, now time.Time) (n int, err error) {
	err = tx.Row(ctx, "SELECT COUNT(DISTINCT holder) FROM delivery_lease WHERE until > $1", db.Millis(now)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("outbox: lease: %w", err)
	}
	return n, nil
}
