package account

import (
	"context"
	"errors"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

func loadTOTP(ctx context.Context, tx *db.Tx, accountID string) (sealed []byte, last int64, found bool, err error) {
	err = tx.Row(ctx, "SELECT sealed, last_step FROM totp WHERE account_id = $1", accountID).Scan(&sealed, &last)
	if errors.Is(err, db.ErrNotFound) {
		return nil, 0, false, nil
	}
	return sealed, last, err == nil, err
}

func putTOTP(ctx context.Context, tx *db.Tx, accountID string, sealed []byte, step int64, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO totp (account_id, sealed, last_step, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id) DO UPDATE SET sealed = excluded.sealed, last_step = excluded.last_step, created_at = excluded.created_at`,
		accountID, sealed, step, db.Millis(now))
	return err
}

// moveTOTP takes the code of a step: true for exactly one of all who give it.
func moveTOTP(ctx context.Context, tx *db.Tx, accountID string, step int64) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE totp SET last_step = $1 WHERE account_id = $2 AND last_step < $1", step, accountID)
	return n == 1, err
}

func deleteTOTP(ctx context.Context, tx *db.Tx, accountID string) (bool, error) {
	if _, err := tx.Exec(ctx, "DELETE FROM recovery_code WHERE account_id = $1", accountID); err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, "DELETE FROM totp WHERE account_id = $1", accountID)
	return n == 1, err
}

func putRecoveryCodes(ctx context.Context, tx *db.Tx, accountID string, hashes [][]byte) error {
	if _, err := tx.Exec(ctx, "DELETE FROM recovery_code WHERE account_id = $1", accountID); err != nil {
		return err
	}
	for _, hash := range hashes {
		if _, err := tx.Exec(ctx, "INSERT INTO recovery_code (hash, account_id) VALUES ($1, $2)", hash, accountID); err != nil {
			return err
		}
	}
	return nil
}

// takeRecoveryCode takes a code: true for exactly one of all who give it.
func takeRecoveryCode(ctx context.Context, tx *db.Tx, accountID string, hash []byte, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE recovery_code SET used_at = $1 WHERE hash = $2 AND account_id = $3 AND used_at IS NULL",
		db.Millis(now), hash, accountID)
	return n == 1, err
}

// insertPassword writes the password of an account that has none; false if it has one.
func insertPassword(ctx context.Context, tx *db.Tx, accountID, phc string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "INSERT INTO password (account_id, phc, changed_at) VALUES ($1, $2, $3) ON CONFLICT (account_id) DO NOTHING",
		accountID, phc, db.Millis(now))
	return n == 1, err
}

func deletePassword(ctx context.Context, tx *db.Tx, accountID string) error {
	_, err := tx.Exec(ctx, "DELETE FROM password WHERE account_id = $1", accountID)
	return err
}
