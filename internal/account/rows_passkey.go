package account

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/sekisho-id/sekisho/internal/db"
)

// passkeyRows reads passkeys. where is one of the few conditions of this package.
func passkeyRows(ctx context.Context, tx *db.Tx, where string, args ...any) ([]Passkey, error) {
	rows, err := tx.Rows(ctx, `SELECT id, account_id, public_key, sign_count, backup_eligible, suspect, transports, aaguid,
		name, created_at, used_at FROM passkey WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var keys []Passkey
	for rows.Next() {
		var k Passkey
		var transports string
		var created int64
		var used sql.NullInt64
		if err := rows.Scan(&k.ID, &k.AccountID, &k.publicKey, &k.signCount, &k.Synced, &k.Suspect, &transports, &k.aaguid,
			&k.Name, &created, &used); err != nil {
			return nil, err
		}
		for _, transport := range strings.Fields(transports) {
			k.transports = append(k.transports, protocol.AuthenticatorTransport(transport))
		}
		k.CreatedAt = db.Time(created)
		if used.Valid {
			k.UsedAt = db.Time(used.Int64)
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// insertPasskey gives ErrPasskeyKnown if somebody has the passkey already.
func insertPasskey(ctx context.Context, tx *db.Tx, k *Passkey) error {
	var transports []string
	for _, transport := range k.transports {
		transports = append(transports, string(transport))
	}
	n, err := tx.Exec(ctx, `INSERT INTO passkey (id, account_id, public_key, sign_count, backup_eligible, suspect, transports, aaguid,
		name, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
		k.ID, k.AccountID, k.publicKey, int64(k.signCount), k.Synced, false, strings.Join(transports, " "), k.aaguid, k.Name, db.Millis(k.CreatedAt))
	if err == nil && n == 0 {
		return ErrPasskeyKnown
	}
	return err
}

// movePasskey notes a use. Of two with the same counter one is told true.
func movePasskey(ctx context.Context, tx *db.Tx, k *Passkey, count uint32, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE passkey SET sign_count = $1, used_at = $2 WHERE id = $3 AND sign_count = $4 AND NOT suspect",
		int64(count), db.Millis(now), k.ID, int64(k.signCount))
	return n == 1, err
}

func suspectPasskey(ctx context.Context, tx *db.Tx, id []byte) error {
	_, err := tx.Exec(ctx, "UPDATE passkey SET suspect = $1 WHERE id = $2", true, id)
	return err
}

func renamePasskey(ctx context.Context, tx *db.Tx, accountID string, id []byte, name string) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE passkey SET name = $1 WHERE id = $2 AND account_id = $3", name, id, accountID)
	return n == 1, err
}

func deletePasskey(ctx context.Context, tx *db.Tx, accountID string, id []byte) error {
	_, err := tx.Exec(ctx, "DELETE FROM passkey WHERE id = $1 AND account_id = $2", id, accountID)
	return err
}
