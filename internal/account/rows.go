package account

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// accountRows reads whole accounts. where is one of the few conditions of this
// package, never text from outside.
func accountRows(ctx context.Context, tx *db.Tx, where string, args ...any) ([]*Account, error) {
	rows, err := tx.Rows(ctx, `SELECT a.id, a.pid, a.pid_gen, a.state, a.profile, a.created_at, a.updated_at,
			i.spelling, i.verified_at, w.changed_at
		FROM account a
		LEFT JOIN account_identifier i ON i.account_id = a.id AND i.kind = 'email'
		LEFT JOIN password w ON w.account_id = a.id
		WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var accounts []*Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, rows.Err()
}

func scanAccount(rows *sql.Rows) (*Account, error) {
	var (
		a                 Account
		pid               []byte
		state, profile    string
		created, updated  int64
		email             sql.NullString
		verified, changed sql.NullInt64
	)
	err := rows.Scan(&a.ID, &pid, &a.Ref.Gen, &state, &profile, &created, &updated, &email, &verified, &changed)
	if err != nil {
		return nil, err
	}
	if copy(a.Ref.Handle[:], pid) != len(a.Ref.Handle) {
		return nil, fmt.Errorf("account: the handle of account %s has %d bytes", a.ID, len(pid))
	}
	if err := json.Unmarshal([]byte(profile), &a.Profile); err != nil {
		return nil, fmt.Errorf("account: the profile of account %s: %w", a.ID, err)
	}
	a.State = State(state)
	a.Email, a.EmailVerified = email.String, verified.Valid
	a.CreatedAt, a.UpdatedAt = db.Time(created), db.Time(updated)
	if changed.Valid {
		a.PasswordChangedAt = db.Time(changed.Int64)
	}
	return &a, nil
}

// handleList is the placeholders $1, $2 … and their values.
func handleList(handles []Handle) (list string, args []any) {
	var b strings.Builder
	args = make([]any, len(handles))
	for i := range handles {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
		args[i] = handles[i][:]
	}
	return b.String(), args
}

func activeRefs(ctx context.Context, tx *db.Tx, handles []Handle) (map[Handle]Ref, error) {
	refs := make(map[Handle]Ref, len(handles))
	if len(handles) == 0 {
		return refs, nil
	}
	list, args := handleList(handles)
	rows, err := tx.Rows(ctx, "SELECT pid, pid_gen FROM account WHERE state = 'active' AND pid IN ("+list+")", args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var pid []byte
		var ref Ref
		if err := rows.Scan(&pid, &ref.Gen); err != nil {
			return nil, err
		}
		copy(ref.Handle[:], pid)
		refs[ref.Handle] = ref
	}
	return refs, rows.Err()
}

func countActive(ctx context.Context, tx *db.Tx) (n int64, err error) {
	err = tx.Row(ctx, "SELECT COUNT(*) FROM account WHERE state = 'active'").Scan(&n)
	return n, err
}

// insertAccount writes a new person. It gives ErrEmailTaken, before anything is
// written, if the address has an account. phc is empty for no password.
func insertAccount(ctx context.Context, tx *db.Tx, a *Account, email, phc string) error {
	profile, err := a.Profile.text()
	if err != nil {
		return err
	}
	now := db.Millis(a.CreatedAt)
	var verified any
	if a.EmailVerified {
		verified = now
	}
	n, err := tx.Exec(ctx, `INSERT INTO account_identifier (kind, value, spelling, account_id, verified_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, value) DO NOTHING`,
		kindEmail, email, a.Email, a.ID, verified, now)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrEmailTaken
	}
	_, err = tx.Exec(ctx, `INSERT INTO account (id, pid, pid_gen, state, profile, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.ID, a.Ref.Handle[:], a.Ref.Gen, string(a.State), profile, now, now)
	if err != nil || phc == "" {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO password (account_id, phc, changed_at) VALUES ($1, $2, $3)", a.ID, phc, now)
	return err
}

// storedPassword is the hash of an account's password, empty if it has none.
func storedPassword(ctx context.Context, tx *db.Tx, id string) (phc string, err error) {
	err = tx.Row(ctx, "SELECT phc FROM password WHERE account_id = $1", id).Scan(&phc)
	if errors.Is(err, db.ErrNotFound) {
		return "", nil
	}
	return phc, err
}

// replaceHash writes the same password under today's cost.
func replaceHash(ctx context.Context, tx *db.Tx, id, old, phc string) error {
	_, err := tx.Exec(ctx, "UPDATE password SET phc = $1 WHERE account_id = $2 AND phc = $3", phc, id, old)
	return err
}

// replacePassword writes another password, if the old one is still as it was
// when it was checked.
func replacePassword(ctx context.Context, tx *db.Tx, id, old, phc string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE password SET phc = $1, changed_at = $2 WHERE account_id = $3 AND phc = $4",
		phc, db.Millis(now), id, old)
	return n == 1, err
}

// putPassword writes a password whatever was there before.
func putPassword(ctx context.Context, tx *db.Tx, id, phc string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO password (account_id, phc, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET phc = excluded.phc, changed_at = excluded.changed_at`,
		id, phc, db.Millis(now))
	return err
}

// setState moves an account from one state to the other and says who it is. ok is
// false if it was not in the first one.
func setState(ctx context.Context, tx *db.Tx, id string, from, to State, now time.Time) (who Ref, ok bool, err error) {
	return oneRef(tx.Row(ctx, "UPDATE account SET state = $1, updated_at = $2 WHERE id = $3 AND state = $4 RETURNING pid, pid_gen",
		string(to), db.Millis(now), id, string(from)))
}

// oneRef reads who an account is; ok is false if there is none.
func oneRef(row *sql.Row) (who Ref, ok bool, err error) {
	var pid []byte
	err = row.Scan(&pid, &who.Gen)
	if errors.Is(err, db.ErrNotFound) {
		return Ref{}, false, nil
	}
	copy(who.Handle[:], pid)
	return who, err == nil, err
}

// setProfile writes the profile of an account.
func setProfile(ctx context.Context, tx *db.Tx, id string, profile *Profile, now time.Time) (bool, error) {
	text, err := profile.text()
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, "UPDATE account SET profile = $1, updated_at = $2 WHERE id = $3", text, db.Millis(now), id)
	return n == 1, err
}

// deleteAccount removes a person and says who it was. ok is false if there was
// none.
func deleteAccount(ctx context.Context, tx *db.Tx, id string) (who Ref, ok bool, err error) {
	who, ok, err = oneRef(tx.Row(ctx, "DELETE FROM account WHERE id = $1 RETURNING pid, pid_gen", id))
	if err != nil || !ok {
		return who, false, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM account_identifier WHERE account_id = $1", id); err != nil {
		return who, false, err
	}
	for _, table := range []string{"password", "passkey", "totp", "recovery_code", "account_link", "account_identity"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE account_id = $1", id); err != nil {
			return who, false, err
		}
	}
	return who, true, nil
}
