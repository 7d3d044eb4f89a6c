package grant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

func insertSession(ctx context.Context, tx *db.Tx, s *Session, cookieHash []byte) error {
	amr, err := json.Marshal(s.AMR)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO session (id, cookie_hash, account, acr, amr, auth_time, seen_at, expires_at, agent, source)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, s.ID[:], cookieHash, s.AccountID, s.ACR, string(amr),
		db.Millis(s.AuthTime), db.Millis(s.SeenAt), db.Millis(s.ExpiresAt), nullable(s.Agent), nullable(s.Source))
	return err
}

// updateSession writes a new sign-in; false if the session has been ended.
func updateSession(ctx context.Context, tx *db.Tx, s *Session, cookieHash []byte) (bool, error) {
	amr, err := json.Marshal(s.AMR)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE session SET cookie_hash = $1, acr = $2, amr = $3, auth_time = $4, seen_at = $5,
		expires_at = $6, agent = $7, source = $8 WHERE id = $9 AND account = $10`, cookieHash, s.ACR, string(amr),
		db.Millis(s.AuthTime), db.Millis(s.SeenAt), db.Millis(s.ExpiresAt), nullable(s.Agent), nullable(s.Source), s.ID[:], s.AccountID)
	return n == 1, err
}

const sessionColumns = `id, account, acr, amr, auth_time, seen_at, expires_at, agent, source`

func sessionByCookie(ctx context.Context, tx *db.Tx, cookieHash []byte) (*Session, error) {
	s, err := scanSession(tx.Row(ctx, "SELECT "+sessionColumns+" FROM session WHERE cookie_hash = $1", cookieHash))
	if errors.Is(err, db.ErrNotFound) {
		tx.Absent()
		return nil, ErrNoSession
	}
	return s, err
}

func sessionsOfAccount(ctx context.Context, tx *db.Tx, accountID string, now time.Time) ([]Session, error) {
	rows, err := tx.Rows(ctx, "SELECT "+sessionColumns+" FROM session WHERE account = $1 AND expires_at > $2 ORDER BY seen_at DESC, id",
		accountID, db.Millis(now))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var sessions []Session
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, *s)
	}
	return sessions, rows.Err()
}

func scanSession(row interface{ Scan(...any) error }) (*Session, error) {
	var (
		s                       Session
		id                      []byte
		amr                     string
		authTime, seen, expires int64
		agent, source           sql.NullString
	)
	if err := row.Scan(&id, &s.AccountID, &s.ACR, &amr, &authTime, &seen, &expires, &agent, &source); err != nil {
		return nil, err
	}
	copy(s.ID[:], id)
	if err := json.Unmarshal([]byte(amr), &s.AMR); err != nil {
		return nil, fmt.Errorf("grant: amr of a session: %w", err)
	}
	s.AuthTime, s.SeenAt, s.ExpiresAt = db.Time(authTime), db.Time(seen), db.Time(expires)
	s.Agent, s.Source = agent.String, source.String
	return &s, nil
}

// touchSession notes a visit; false if the session was ended or has run out.
func touchSession(ctx context.Context, tx *db.Tx, id [16]byte, seen, expires time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE session SET seen_at = $1, expires_at = $2 WHERE id = $3 AND expires_at > $1",
		db.Millis(seen), db.Millis(expires), id[:])
	return n == 1, err
}

// deleteSession says whose session it was; found is false if there is none.
func deleteSession(ctx context.Context, tx *db.Tx, id [16]byte) (accountID string, found bool, err error) {
	err = tx.Row(ctx, "DELETE FROM session WHERE id = $1 RETURNING account", id[:]).Scan(&accountID)
	if errors.Is(err, db.ErrNotFound) {
		return "", false, nil
	}
	return accountID, err == nil, err
}

// deleteSessions gives the ids of the sessions an account had.
func deleteSessions(ctx context.Context, tx *db.Tx, accountID string) (ids [][16]byte, err error) {
	rows, err := tx.Rows(ctx, "DELETE FROM session WHERE account = $1 RETURNING id", accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, [16]byte(id))
	}
	return ids, rows.Err()
}

// consentRow is a row of consent as its readers need it.
type consentRow struct {
	client    string
	audience  string
	scopes    []string
	grantedAt time.Time
}

const (
	consentsOfClient  = "account = $1 AND client = $2"
	consentsOfAccount = "account = $1"
)

// eachConsent gives the rows that the condition selects, ordered by client.
func eachConsent(ctx context.Context, tx *db.Tx, condition string, args []any, each func(consentRow)) error {
	rows, err := tx.Rows(ctx, `SELECT client, audience, scopes, granted_at FROM consent
		WHERE `+condition+` ORDER BY client, audience`, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var row consentRow
		var scopes string
		var grantedAt int64
		if err := rows.Scan(&row.client, &row.audience, &scopes, &grantedAt); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(scopes), &row.scopes); err != nil {
			return fmt.Errorf("grant: scopes of a consent: %w", err)
		}
		row.grantedAt = db.Time(grantedAt)
		each(row)
	}
	return rows.Err()
}

func putConsent(ctx context.Context, tx *db.Tx, s *Session, row consentRow) error {
	scopes, err := json.Marshal(row.scopes)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO consent (account, client, audience, handle, scopes, granted_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account, client, audience) DO UPDATE SET scopes = excluded.scopes, granted_at = excluded.granted_at`,
		s.AccountID, row.client, row.audience, s.Ref.Handle[:], string(scopes), db.Millis(row.grantedAt))
	return err
}

func deleteConsents(ctx context.Context, tx *db.Tx, accountID, clientID string) (found bool, err error) {
	n, err := tx.Exec(ctx, "DELETE FROM consent WHERE account = $1 AND client = $2", accountID, clientID)
	return n > 0, err
}

func deleteConsentsOfClient(ctx context.Context, tx *db.Tx, clientID string) error {
	_, err := tx.Exec(ctx, "DELETE FROM consent WHERE client = $1", clientID)
	return err
}

// eraseAccount takes away what would still name a deleted person.
func eraseAccount(ctx context.Context, tx *db.Tx, accountID string) error {
	if _, err := tx.Exec(ctx, "DELETE FROM consent WHERE account = $1", accountID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE access_grant SET handle = $1 WHERE account = $2", []byte{}, accountID)
	return err
}

// addHolders notes who of the people holds a consent for or a living grant of
// one of the clients.
func addHolders(ctx context.Context, tx *db.Tx, clients []string, people []account.Handle, now time.Time, holders map[account.Handle]bool) error {
	var args []any
	for _, client := range clients {
		args = append(args, client)
	}
	for _, person := range people {
		args = append(args, person[:])
	}
	args = append(args, db.Millis(now))
	among := " client IN (" + placeholders(1, len(clients)) +
		") AND handle IN (" + placeholders(len(clients)+1, len(people)) + ")"
	rows, err := tx.Rows(ctx, `SELECT handle FROM consent WHERE`+among+`
		UNION SELECT handle FROM access_grant WHERE`+among+`
			AND ended_at IS NULL AND expires_at > $`+strconv.Itoa(len(args)), args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var handle []byte
		if err := rows.Scan(&handle); err != nil {
			return err
		}
		holders[account.Handle(handle)] = true
	}
	return rows.Err()
}

// placeholders are n of them, beginning with $first: "$3,$4,$5".
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	return b.String()
}
