package grant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/rar"
)

const grantColumns = `id, account, handle, client, session, offline, scopes, auth_time, exact_auth_time,
	acr, amr, nonce, claims, authorization_details, created_at, expires_at, ended_at`

// grantColumnsOf are the same in a join, where a grant is g.
const grantColumnsOf = `g.id, g.account, g.handle, g.client, g.session, g.offline, g.scopes, g.auth_time, g.exact_auth_time,
	g.acr, g.amr, g.nonce, g.claims, g.authorization_details, g.created_at, g.expires_at, g.ended_at`

func insertGrant(ctx context.Context, tx *db.Tx, g *Grant) error {
	scopes, err := json.Marshal(g.Scopes)
	if err != nil {
		return err
	}
	amr, err := json.Marshal(g.AMR)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO access_grant (`+grantColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, NULL)`,
		g.ID, g.AccountID, g.Ref.Handle[:], g.ClientID, g.SessionID[:], g.Offline, string(scopes),
		db.Millis(g.AuthTime), g.ExactAuthTime, g.ACR, string(amr), g.Nonce, g.Claims,
		nullable(string(g.Details.JSON())), db.Millis(g.CreatedAt), db.Millis(g.ExpiresAt))
	return err
}

// scanGrant reads the columns of a grant, and after them those that hang under it.
func scanGrant(row interface{ Scan(...any) error }, under ...any) (*Grant, error) {
	var (
		g                            Grant
		handle, session              []byte
		scopes, amr                  string
		authTime, createdAt, expires int64
		endedAt                      sql.NullInt64
		details                      sql.NullString
	)
	err := row.Scan(append([]any{
		&g.ID, &g.AccountID, &handle, &g.ClientID, &session, &g.Offline, &scopes, &authTime,
		&g.ExactAuthTime, &g.ACR, &amr, &g.Nonce, &g.Claims, &details, &createdAt, &expires, &endedAt,
	}, under...)...)
	if err != nil {
		return nil, err
	}
	copy(g.Ref.Handle[:], handle)
	if len(session) == 16 {
		g.SessionID = (*[16]byte)(session)
	}
	if err := json.Unmarshal([]byte(scopes), &g.Scopes); err != nil {
		return nil, fmt.Errorf("grant: scopes of grant %d: %w", g.ID, err)
	}
	if err := json.Unmarshal([]byte(amr), &g.AMR); err != nil {
		return nil, fmt.Errorf("grant: amr of grant %d: %w", g.ID, err)
	}
	if details.Valid {
		if g.Details, err = rar.Parse(details.String); err != nil {
			return nil, fmt.Errorf("grant: authorization details of grant %d: %w", g.ID, err)
		}
	}
	g.AuthTime, g.CreatedAt, g.ExpiresAt = db.Time(authTime), db.Time(createdAt), db.Time(expires)
	g.ended = endedAt.Valid
	return &g, nil
}

func loadGrant(ctx context.Context, tx *db.Tx, id int64) (*Grant, error) {
	g, err := scanGrant(tx.Row(ctx, "SELECT "+grantColumns+" FROM access_grant WHERE id = $1", id))
	if errors.Is(err, db.ErrNotFound) {
		tx.Absent()
		return nil, ErrUnknown
	}
	return g, err
}

// takeGrant loads a grant with what hangs under it. Nothing is locked: who ends the
// grant, or takes the same code or token, at the same time writes a row that this
// transaction writes or goes by, and one of both runs again.
func takeGrant(ctx context.Context, tx *db.Tx, query string, arg any, under ...any) (*Grant, error) {
	g, err := scanGrant(tx.Row(ctx, query, arg), under...)
	if errors.Is(err, db.ErrNotFound) {
		tx.Absent()
		return nil, ErrUnknown
	}
	return g, err
}

var errGrantEnded = errors.New("grant: a grant ended while something under it was taken")

// extendGrant keeps the row of a living grant until its new ExpiresAt.
func extendGrant(ctx context.Context, tx *db.Tx, g *Grant) error {
	n, err := tx.Exec(ctx, "UPDATE access_grant SET expires_at = $1 WHERE id = $2 AND ended_at IS NULL", db.Millis(g.ExpiresAt), g.ID)
	if err == nil && n != 1 {
		return errGrantEnded
	}
	return err
}

// clientsOfSession are the clients with grants under a session, ended or not: who
// was told of the sign-in is told of its end.
func clientsOfSession(ctx context.Context, tx *db.Tx, session [16]byte, now time.Time) ([]string, error) {
	return clients(ctx, tx, "SELECT DISTINCT client FROM access_grant WHERE session = $1 AND expires_at > $2 ORDER BY client",
		session[:], db.Millis(now))
}

// clientsOfAccount are the clients that hold a consent or a living grant.
func clientsOfAccount(ctx context.Context, tx *db.Tx, accountID string, now time.Time) ([]string, error) {
	return clients(ctx, tx, `SELECT client FROM consent WHERE account = $1
		UNION SELECT client FROM access_grant WHERE account = $1 AND ended_at IS NULL AND expires_at > $2
		ORDER BY client`, accountID, db.Millis(now))
}

func clients(ctx context.Context, tx *db.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Rows(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	list := []string{}
	for rows.Next() {
		var client string
		if err := rows.Scan(&client); err != nil {
			return nil, err
		}
		list = append(list, client)
	}
	return list, rows.Err()
}

// grantCondition selects the grants to end.
type grantCondition string

const (
	ofGrant            grantCondition = "id = $4"
	ofSession          grantCondition = "session = $4 AND NOT offline"
	ofAccount          grantCondition = "account = $4"
	ofAccountAndClient grantCondition = "account = $4 AND client = $5"
	ofClient           grantCondition = "client = $4"
)

// ending is when grants end, until when their rows are kept to say so, and why
// they end.
type ending struct {
	at, keptUntil time.Time
	why           string
}

// endGrants ends the grants that have not ended yet and names them.
func endGrants(ctx context.Context, tx *db.Tx, which grantCondition, args []any, e ending) ([]*Grant, error) {
	rows, err := tx.Rows(ctx, `UPDATE access_grant SET ended_at = $1, expires_at = $2, ended_why = $3
		WHERE ended_at IS NULL AND `+string(which)+` RETURNING `+grantColumns,
		append([]any{db.Millis(e.at), db.Millis(e.keptUntil), e.why}, args...)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ended []*Grant
	for rows.Next() {
		g, err := scanGrant(rows)
		if err != nil {
			return nil, err
		}
		ended = append(ended, g)
	}
	return ended, rows.Err()
}

// codeRow is a row of authorization_code.
type codeRow struct {
	hash        []byte
	grantID     int64
	redirectURI string
	challenge   string
	key         string
	expiresAt   time.Time
	used        bool
}

func insertCode(ctx context.Context, tx *db.Tx, c codeRow) error {
	_, err := tx.Exec(ctx, `INSERT INTO authorization_code (hash, grant_id, redirect_uri, challenge, bound_key, expires_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, NULL)`, c.hash, c.grantID, c.redirectURI, c.challenge, nullable(c.key), db.Millis(c.expiresAt))
	return err
}

const grantOfCode = `SELECT ` + grantColumnsOf + `, c.redirect_uri, c.challenge, c.bound_key, c.expires_at, c.used_at
	FROM authorization_code c JOIN access_grant g ON g.id = c.grant_id WHERE c.hash = $1`

// takeCode loads a code and its grant. ErrUnknown if there is none.
func takeCode(ctx context.Context, tx *db.Tx, hash []byte) (*codeRow, *Grant, error) {
	c := codeRow{hash: hash}
	var expires int64
	var key sql.NullString
	var used sql.NullInt64
	g, err := takeGrant(ctx, tx, grantOfCode, hash, &c.redirectURI, &c.challenge, &key, &expires, &used)
	if err != nil {
		return nil, nil, err
	}
	c.key = key.String
	c.grantID, c.expiresAt, c.used = g.ID, db.Time(expires), used.Valid
	return &c, g, nil
}

// useCode takes the code: true for exactly one of all who try.
func useCode(ctx context.Context, tx *db.Tx, hash []byte, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE authorization_code SET used_at = $1 WHERE hash = $2 AND used_at IS NULL",
		db.Millis(now), hash)
	return n == 1, err
}

// nullable is a text that rows of an earlier version do not have.
func nullable(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// familyRow is a row of refresh_family.
type familyRow struct {
	id           []byte
	newestHash   []byte
	previousHash []byte
	sealedNewest []byte
	key          string
	rotatedAt    time.Time
	repeats      int
	expiresAt    time.Time
	endsAt       time.Time
}

func insertFamily(ctx context.Context, tx *db.Tx, grantID int64, f familyRow) error {
	_, err := tx.Exec(ctx, `INSERT INTO refresh_family (id, grant_id, newest_hash, bound_key, repeats, expires_at, ends_at)
		VALUES ($1, $2, $3, $4, 0, $5, $6)`, f.id, grantID, f.newestHash, nullable(f.key), db.Millis(f.expiresAt), db.Millis(f.endsAt))
	return err
}

const grantOfFamily = `SELECT ` + grantColumnsOf + `, f.newest_hash, f.previous_hash, f.sealed_newest, f.bound_key, f.rotated_at,
	f.repeats, f.expires_at, f.ends_at FROM refresh_family f JOIN access_grant g ON g.id = f.grant_id WHERE f.id = $1`

// takeFamily loads a family and its grant. ErrUnknown if there is none.
func takeFamily(ctx context.Context, tx *db.Tx, id []byte) (*familyRow, *Grant, error) {
	f := familyRow{id: id}
	var key sql.NullString
	var rotated sql.NullInt64
	var expires, ends int64
	g, err := takeGrant(ctx, tx, grantOfFamily, id,
		&f.newestHash, &f.previousHash, &f.sealedNewest, &key, &rotated, &f.repeats, &expires, &ends)
	if err != nil {
		return nil, nil, err
	}
	f.key, f.rotatedAt = key.String, db.Time(rotated.Int64)
	f.expiresAt, f.endsAt = db.Time(expires), db.Time(ends)
	return &f, g, nil
}

var errFamilyMoved = errors.New("grant: a refresh family changed while its token was taken")

// updateFamily writes a family whose newest token is still the one it was.
func updateFamily(ctx context.Context, tx *db.Tx, newest []byte, f familyRow) error {
	n, err := tx.Exec(ctx, `UPDATE refresh_family SET newest_hash = $1, previous_hash = $2, sealed_newest = $3,
		rotated_at = $4, repeats = $5, expires_at = $6 WHERE id = $7 AND newest_hash = $8`,
		f.newestHash, f.previousHash, f.sealedNewest, db.Millis(f.rotatedAt), f.repeats, db.Millis(f.expiresAt), f.id, newest)
	if err == nil && n != 1 {
		return errFamilyMoved
	}
	return err
}
