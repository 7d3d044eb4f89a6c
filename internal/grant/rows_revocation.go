package grant

import (
	"context"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// revocationRow is a row of revocation.
type revocationRow struct {
	key       Key
	seq       int64
	expiresAt int64 // unix milliseconds
}

// insertRevocations writes the keys under the next number. The counter's row is
// locked to the end of the transaction, so that numbers grow in the order of
// the commits and nobody who reads from number n on misses one.
func insertRevocations(ctx context.Context, tx *db.Tx, keys []Key, expires time.Time) error {
	var seq int64
	err := tx.Row(ctx, "UPDATE revocation_count SET last = last + 1 WHERE one = 1 RETURNING last").Scan(&seq)
	if err != nil {
		return err
	}
	for _, key := range keys {
		_, err := tx.Exec(ctx, `INSERT INTO revocation (id, seq, expires_at) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, expires_at = excluded.expires_at`,
			key[:], seq, db.Millis(expires))
		if err != nil {
			return err
		}
	}
	return nil
}

func revocationsAfter(ctx context.Context, tx *db.Tx, seq int64) ([]revocationRow, error) {
	rows, err := tx.Rows(ctx, "SELECT id, seq, expires_at FROM revocation WHERE seq > $1", seq)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []revocationRow
	for rows.Next() {
		var row revocationRow
		var key []byte
		if err := rows.Scan(&key, &row.seq, &row.expiresAt); err != nil {
			return nil, err
		}
		copy(row.key[:], key)
		list = append(list, row)
	}
	return list, rows.Err()
}

// The three sweeps each delete up to limit rows that expired by now, and say
// how many.

func sweepSessions(ctx context.Context, tx *db.Tx, now int64, limit int) (int, error) {
	n, err := tx.Exec(ctx, `DELETE FROM session WHERE id IN
		(SELECT id FROM session WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, now, limit)
	return int(n), err
}

func sweepRevocations(ctx context.Context, tx *db.Tx, now int64, limit int) (int, error) {
	n, err := tx.Exec(ctx, `DELETE FROM revocation WHERE id IN
		(SELECT id FROM revocation WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, now, limit)
	return int(n), err
}

// sweepGrants deletes grants with what hangs under them. The condition stands
// in the outer statement too: a refresh may have moved expires_at meanwhile.
func sweepGrants(ctx context.Context, tx *db.Tx, now int64, limit int) (int, error) {
	ids, err := deleteGrants(ctx, tx, now, limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	list := placeholders(1, len(ids))
	if _, err := tx.Exec(ctx, "DELETE FROM authorization_code WHERE grant_id IN ("+list+")", ids...); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "DELETE FROM refresh_family WHERE grant_id IN ("+list+")", ids...)
	return len(ids), err
}

func deleteGrants(ctx context.Context, tx *db.Tx, now int64, limit int) (ids []any, err error) {
	rows, err := tx.Rows(ctx, `DELETE FROM access_grant WHERE expires_at <= $1 AND id IN
		(SELECT id FROM access_grant WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING id`, now, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
