package rs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Dialect names the database engine under an SQLStore.
type Dialect int

// The engines SQLStore is tested on.
const (
	SQLite Dialect = iota + 1
	PostgreSQL
)

// SQLStore keeps a Mapping's pairs in a table of the service's own database,
// sekisho_subject(subject, internal_id, created_at).
type SQLStore struct {
	DB      *sql.DB
	Dialect Dialect

	// NewUser makes a user of this service and answers its internal id. It
	// runs inside the transaction that remembers the pair, so that a user is
	// made exactly when the pair is kept; what it writes must go through tx.
	NewUser func(ctx context.Context, tx *sql.Tx) (internalID string, err error)

	Now func() time.Time // nil: time.Now
}

// perQuery keeps IN lists below the parameter limits of both engines.
const perQuery = 500

// Migrate makes the table where it is missing. For SQLite it also checks that
// the database waits for its lock, without which parallel writers fail.
func (s *SQLStore) Migrate(ctx context.Context) error {
	if s.Dialect != SQLite && s.Dialect != PostgreSQL {
		return errors.New("rs: SQLStore.Dialect must be SQLite or PostgreSQL")
	}
	if s.Dialect == SQLite {
		var wait int
		if err := s.DB.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&wait); err != nil {
			return fmt.Errorf("rs: reading busy_timeout: %w", err)
		}
		if wait == 0 {
			return errors.New("rs: open the SQLite database with a busy timeout, for instance _pragma=busy_timeout(5000)")
		}
	}
	// internal_id is empty only inside the transaction that makes the user.
	_, err := s.DB.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS sekisho_subject (
		subject     TEXT   NOT NULL PRIMARY KEY,
		internal_id TEXT   UNIQUE,
		created_at  BIGINT NOT NULL
	)`)
	if err != nil {
		return fmt.Errorf("rs: making the table sekisho_subject: %w", err)
	}
	return nil
}

// Internal finds internal ids by subject.
func (s *SQLStore) Internal(ctx context.Context, subjects []string) (map[string]string, error) {
	return s.find(ctx, "SELECT subject, internal_id FROM sekisho_subject WHERE subject IN ", subjects)
}

// Subjects finds subjects by internal id.
func (s *SQLStore) Subjects(ctx context.Context, internalIDs []string) (map[string]string, error) {
	return s.find(ctx, "SELECT internal_id, subject FROM sekisho_subject WHERE internal_id IN ", internalIDs)
}

// find answers pairs by their first column.
func (s *SQLStore) find(ctx context.Context, query string, keys []string) (map[string]string, error) {
	found := make(map[string]string, len(keys))
	for len(keys) > 0 {
		some := keys[:min(len(keys), perQuery)]
		keys = keys[len(some):]
		if err := s.findSome(ctx, query, some, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *SQLStore) findSome(ctx context.Context, query string, keys []string, found map[string]string) error {
	places := make([]string, len(keys))
	args := make([]any, len(keys))
	for i, key := range keys {
		places[i], args[i] = fmt.Sprintf("$%d", i+1), key
	}
	rows, err := s.DB.QueryContext(ctx, query+"("+strings.Join(places, ", ")+")", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		found[key] = value
	}
	return rows.Err()
}

// Add makes the user of a new subject, or answers the one that another has
// just made. The pair is claimed first and the user made after, in one
// transaction: who comes second waits at the claim, finds it taken and never
// calls NewUser. A NewUser that fails leaves nothing behind.
func (s *SQLStore) Add(ctx context.Context, subject string) (string, error) {
	internalID, err := s.claim(ctx, subject)
	if !errors.Is(err, errTaken) {
		return internalID, err
	}
	err = s.DB.QueryRowContext(ctx, "SELECT internal_id FROM sekisho_subject WHERE subject = $1", subject).Scan(&internalID)
	if err != nil {
		return "", fmt.Errorf("reading the user of a subject: %w", err)
	}
	return internalID, nil
}

var errTaken = errors.New("the subject has a user")

func (s *SQLStore) claim(ctx context.Context, subject string) (internalID string, err error) {
	var options sql.TxOptions
	if s.Dialect == PostgreSQL {
		// Under a stricter default the one who waited would get a
		// serialization failure where it should see the winner's row.
		options.Isolation = sql.LevelReadCommitted
	}
	tx, err := s.DB.BeginTx(ctx, &options)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the first error tells more
		}
	}()
	// The first statement writes, so that SQLite takes its write lock here,
	// where it waits for it, and not later, where it could only fail.
	claimed, err := tx.ExecContext(ctx, `INSERT INTO sekisho_subject (subject, internal_id, created_at)
		VALUES ($1, NULL, $2) ON CONFLICT (subject) DO NOTHING`, subject, s.now().UnixMilli())
	if err != nil {
		return "", fmt.Errorf("claiming a subject: %w", err)
	}
	if rows, err := claimed.RowsAffected(); err != nil {
		return "", err
	} else if rows == 0 {
		return "", errTaken
	}
	internalID, err = s.NewUser(ctx, tx)
	if err != nil {
		return "", fmt.Errorf("NewUser: %w", err)
	}
	if internalID == "" {
		return "", errors.New("NewUser answered an empty id")
	}
	_, err = tx.ExecContext(ctx, "UPDATE sekisho_subject SET internal_id = $1 WHERE subject = $2", internalID, subject)
	if err != nil {
		return "", fmt.Errorf("keeping the user of a subject: %w", err)
	}
	return internalID, tx.Commit()
}

func (s *SQLStore) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
