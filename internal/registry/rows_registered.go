package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// writeRegistrationToken adds an initial access token that was never used.
func writeRegistrationToken(ctx context.Context, tx *db.Tx, hash []byte, t RegistrationToken) error {
	_, err := tx.Exec(ctx, `INSERT INTO registration_token (hash, id, subsystem, created_at, expires_at, used_1, used_2, used_3, used_4, used_5)
		VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0)`,
		hash, t.ID, t.Subsystem, db.Millis(t.CreatedAt), db.Millis(t.ExpiresAt))
	return err
}

// readRegistrationToken finds a token that has not expired, and when it may be
// used again.
func readRegistrationToken(ctx context.Context, tx *db.Tx, hash []byte, now time.Time) (t RegistrationToken, next time.Time, err error) {
	var created, expires, oldest int64
	err = tx.Row(ctx, "SELECT id, subsystem, created_at, expires_at, used_1 FROM registration_token WHERE hash = $1 AND expires_at > $2",
		hash, db.Millis(now)).Scan(&t.ID, &t.Subsystem, &created, &expires, &oldest)
	if errors.Is(err, db.ErrNotFound) {
		return RegistrationToken{}, time.Time{}, ErrRegistrationToken
	}
	t.CreatedAt, t.ExpiresAt = db.Time(created), db.Time(expires)
	return t, db.Time(oldest).Add(registrationPeriod), err
}

// takeRegistrationToken takes one use of a token, unless it has expired or was
// used five times within the period; taken is false then.
func takeRegistrationToken(ctx context.Context, tx *db.Tx, hash []byte, now time.Time) (taken bool, err error) {
	n, err := tx.Exec(ctx, `UPDATE registration_token
		SET used_1 = used_2, used_2 = used_3, used_3 = used_4, used_4 = used_5, used_5 = $1
		WHERE hash = $2 AND expires_at > $1 AND used_1 <= $3`,
		db.Millis(now), hash, db.Millis(now.Add(-registrationPeriod)))
	return n == 1, err
}

// readRegistrationTokens lists the tokens that have not expired.
func readRegistrationTokens(ctx context.Context, tx *db.Tx, now time.Time) ([]RegistrationToken, error) {
	rows, err := tx.Rows(ctx, "SELECT id, subsystem, created_at, expires_at FROM registration_token WHERE expires_at > $1 ORDER BY subsystem, created_at, id",
		db.Millis(now))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	tokens := []RegistrationToken{}
	for rows.Next() {
		var t RegistrationToken
		var created, expires int64
		if err := rows.Scan(&t.ID, &t.Subsystem, &created, &expires); err != nil {
			return nil, err
		}
		t.CreatedAt, t.ExpiresAt = db.Time(created), db.Time(expires)
		tokens = append(tokens, t)
	}
	return tokens, rows.Err()
}

// deleteExpiredTokens keeps the table from growing; whether a token has expired
// is asked when it is used.
func deleteExpiredTokens(ctx context.Context, tx *db.Tx, now time.Time) error {
	_, err := tx.Exec(ctx, "DELETE FROM registration_token WHERE expires_at <= $1", db.Millis(now))
	return err
}

func deleteRegistrationToken(ctx context.Context, tx *db.Tx, id string) (deleted bool, err error) {
	n, err := tx.Exec(ctx, "DELETE FROM registration_token WHERE id = $1", id)
	return n == 1, err
}

// registeringSubsystems lists the subsystems that have tokens or registered
// clients.
func registeringSubsystems(ctx context.Context, tx *db.Tx) ([]string, error) {
	rows, err := tx.Rows(ctx, "SELECT subsystem FROM registration_token UNION SELECT subsystem FROM registered_client ORDER BY subsystem")
	if err != nil {
		return nil, err
	}
	return texts(rows)
}

// deleteRegistrations deletes the tokens and the registered clients of a
// subsystem, and gives the ids of the clients.
func deleteRegistrations(ctx context.Context, tx *db.Tx, subsystem string) (clients []string, err error) {
	if _, err := tx.Exec(ctx, "DELETE FROM registration_token WHERE subsystem = $1", subsystem); err != nil {
		return nil, err
	}
	rows, err := tx.Rows(ctx, "DELETE FROM registered_client WHERE subsystem = $1 RETURNING id", subsystem)
	if err != nil {
		return nil, err
	}
	clients, err = texts(rows)
	slices.Sort(clients)
	return clients, err
}

// texts reads rows of one text each.
func texts(rows *sql.Rows) ([]string, error) {
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

func countRegistered(ctx context.Context, tx *db.Tx, subsystem string) (n int, err error) {
	err = tx.Row(ctx, "SELECT COUNT(*) FROM registered_client WHERE subsystem = $1", subsystem).Scan(&n)
	return n, err
}

func writeRegistered(ctx context.Context, tx *db.Tx, client Registered, accessHash []byte) error {
	document, err := json.Marshal(client.Declared)
	if err != nil {
		return fmt.Errorf("registry: write the document: %w", err)
	}
	at := db.Millis(client.CreatedAt)
	_, err = tx.Exec(ctx, "INSERT INTO registered_client (id, subsystem, document, access_hash, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)",
		client.ID, client.Subsystem, string(document), accessHash, at, at)
	return err
}

// readRegistered finds a client by its id and its registration access token.
func readRegistered(ctx context.Context, tx *db.Tx, id string, accessHash []byte) (Registered, error) {
	client := Registered{ID: id}
	var document string
	var created int64
	err := tx.Row(ctx, "SELECT subsystem, document, created_at FROM registered_client WHERE id = $1 AND access_hash = $2",
		id, accessHash).Scan(&client.Subsystem, &document, &created)
	if errors.Is(err, db.ErrNotFound) {
		return Registered{}, ErrRegistrationAccess
	}
	if err != nil {
		return Registered{}, err
	}
	return client.read(document, created)
}

// readAllRegistered lists every registered client, by id.
func readAllRegistered(ctx context.Context, tx *db.Tx) ([]Registered, error) {
	rows, err := tx.Rows(ctx, "SELECT id, subsystem, document, created_at FROM registered_client ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	clients := []Registered{}
	for rows.Next() {
		var client Registered
		var document string
		var created int64
		if err := rows.Scan(&client.ID, &client.Subsystem, &document, &created); err != nil {
			return nil, err
		}
		if client, err = client.read(document, created); err != nil {
			return nil, err
		}
		clients = append(clients, client)
	}
	return clients, rows.Err()
}

// read fills in what a row holds beside the names.
func (r Registered) read(document string, created int64) (Registered, error) {
	r.CreatedAt, r.Declared = db.Time(created), new(GroupClient)
	if err := json.Unmarshal([]byte(document), r.Declared); err != nil {
		return Registered{}, fmt.Errorf("registry: document of %s: %w", r.ID, err)
	}
	return r, nil
}

// replaceRegistered writes another document of a client, if it is still there.
func replaceRegistered(ctx context.Context, tx *db.Tx, client Registered, accessHash []byte, at time.Time) error {
	document, err := json.Marshal(client.Declared)
	if err != nil {
		return fmt.Errorf("registry: write the document: %w", err)
	}
	n, err := tx.Exec(ctx, "UPDATE registered_client SET document = $1, updated_at = $2 WHERE id = $3 AND access_hash = $4",
		string(document), db.Millis(at), client.ID, accessHash)
	if err == nil && n == 0 {
		return ErrRegistrationAccess
	}
	return err
}

// deleteRegistered deletes a client by its registration access token.
func deleteRegistered(ctx context.Context, tx *db.Tx, id string, accessHash []byte) (deleted bool, err error) {
	n, err := tx.Exec(ctx, "DELETE FROM registered_client WHERE id = $1 AND access_hash = $2", id, accessHash)
	return n == 1, err
}

// deleteRegisteredByID deletes a client by the operator's word.
func deleteRegisteredByID(ctx context.Context, tx *db.Tx, id string) (deleted bool, err error) {
	n, err := tx.Exec(ctx, "DELETE FROM registered_client WHERE id = $1", id)
	return n == 1, err
}
