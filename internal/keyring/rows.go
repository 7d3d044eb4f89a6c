package keyring

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// insertKey adds a key, unless the purpose already has one in that state.
func insertKey(ctx context.Context, tx *db.Tx, key signingKey) (added bool, err error) {
	n, err := tx.Exec(ctx, `INSERT INTO signing_key (kid, purpose, alg, state, sealed, created_at, current_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		key.ID, string(key.Purpose), string(key.Alg), string(key.State), key.sealed,
		db.Millis(key.CreatedAt), db.Millis(key.CurrentFrom))
	if err != nil {
		return false, fmt.Errorf("keyring: add key: %w", err)
	}
	return n == 1, nil
}

func selectKeys(ctx context.Context, tx *db.Tx) ([]signingKey, error) {
	rows, err := tx.Rows(ctx, `SELECT kid, purpose, alg, state, sealed, created_at, current_from, retired_at, remove_after
		FROM signing_key ORDER BY created_at, kid`)
	if err != nil {
		return nil, fmt.Errorf("keyring: read keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var keys []signingKey
	for rows.Next() {
		var key signingKey
		var created, currentFrom int64
		var retired, removeAfter sql.NullInt64
		if err := rows.Scan(&key.ID, &key.Purpose, &key.Alg, &key.State, &key.sealed,
			&created, &currentFrom, &retired, &removeAfter); err != nil {
			return nil, fmt.Errorf("keyring: read keys: %w", err)
		}
		key.CreatedAt, key.CurrentFrom = db.Time(created), db.Time(currentFrom)
		if retired.Valid {
			key.RetiredAt, key.RemoveAfter = db.Time(retired.Int64), db.Time(removeAfter.Int64)
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// promote makes the next key of a purpose the current one and retires the old
// one. It says no if another process has done so.
func promote(ctx context.Context, tx *db.Tx, next Key, now, removeAfter time.Time) (done bool, err error) {
	// The old one first: a purpose has one current key only.
	n, err := tx.Exec(ctx, `UPDATE signing_key SET state = 'retired', retired_at = $1, remove_after = $2
		WHERE purpose = $3 AND state = 'current'
		AND EXISTS (SELECT 1 FROM signing_key AS following WHERE following.kid = $4 AND following.state = 'next')`,
		db.Millis(now), db.Millis(removeAfter), string(next.Purpose), next.ID)
	if err != nil || n == 0 {
		return false, err
	}
	n, err = tx.Exec(ctx, `UPDATE signing_key SET state = 'current', current_from = $1 WHERE kid = $2 AND state = 'next'`,
		db.Millis(now), next.ID)
	return n == 1, err
}

func deleteExpired(ctx context.Context, tx *db.Tx, now time.Time) (removed []string, err error) {
	return deleteKeys(ctx, tx, `DELETE FROM signing_key WHERE state = 'retired' AND remove_after <= $1 RETURNING kid`, db.Millis(now))
}

func deleteAll(ctx context.Context, tx *db.Tx) (removed []string, err error) {
	return deleteKeys(ctx, tx, `DELETE FROM signing_key RETURNING kid`)
}

func deleteKeys(ctx context.Context, tx *db.Tx, query string, args ...any) (removed []string, err error) {
	rows, err := tx.Rows(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("keyring: remove keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var kid string
		if err := rows.Scan(&kid); err != nil {
			return nil, fmt.Errorf("keyring: remove keys: %w", err)
		}
		removed = append(removed, kid)
	}
	return removed, rows.Err()
}

func selectDataKey(ctx context.Context, tx *db.Tx, name string) (sealed []byte, err error) {
	err = tx.Row(ctx, `SELECT sealed FROM data_key WHERE name = $1`, name).Scan(&sealed)
	if err != nil {
		return nil, fmt.Errorf("keyring: read data key: %w", err)
	}
	return sealed, nil
}

func insertDataKey(ctx context.Context, tx *db.Tx, name string, sealed []byte, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO data_key (name, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`,
		name, sealed, db.Millis(now))
	if err != nil {
		return fmt.Errorf("keyring: add data key: %w", err)
	}
	return nil
}

// resealKey replaces what is sealed of a key, unless it has changed since it was read.
func resealKey(ctx context.Context, tx *db.Tx, kid string, before, after []byte) (done bool, err error) {
	n, err := tx.Exec(ctx, "UPDATE signing_key SET sealed = $1 WHERE kid = $2 AND sealed = $3", after, kid, before)
	if err != nil {
		return false, fmt.Errorf("keyring: reseal a key: %w", err)
	}
	return n == 1, nil
}

// resealDataKey is resealKey for a data key.
func resealDataKey(ctx context.Context, tx *db.Tx, name string, before, after []byte) (done bool, err error) {
	n, err := tx.Exec(ctx, "UPDATE data_key SET sealed = $1 WHERE name = $2 AND sealed = $3", after, name, before)
	if err != nil {
		return false, fmt.Errorf("keyring: reseal a data key: %w", err)
	}
	return n == 1, nil
}

// countKeys counts the signing keys.
func countKeys(ctx context.Context, tx *db.Tx) (n int, err error) {
	err = tx.Row(ctx, "SELECT COUNT(*) FROM signing_key").Scan(&n)
	return n, err
}
