package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// checkWait refuses a SQLite database that does not wait for its write lock.
func checkWait(ctx context.Context, db *sql.DB) error {
	var wait int
	if err := db.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&wait); err != nil {
		return fmt.Errorf("event: reading busy_timeout: %w", err)
	}
	if wait == 0 {
		return errors.New("event: open the SQLite database with a busy timeout, for instance _pragma=busy_timeout(5000)")
	}
	return nil
}

// update runs work in a transaction of our own. Its first statement must
// write, so that SQLite takes its write lock there, where it waits for it.
func update(ctx context.Context, db *sql.DB, dialect Dialect, work func(tx *sql.Tx) error) error {
	var options sql.TxOptions
	if dialect == PostgreSQL {
		// Conditions are checked by the statements that write; a stricter
		// default would only make them fail where they should wait and see the
		// winner's row.
		options.Isolation = sql.LevelReadCommitted
	}
	tx, err := db.BeginTx(ctx, &options)
	if err != nil {
		return err
	}
	committing := false
	defer func() {
		if !committing { // also when work panics
			_ = tx.Rollback() // the first error tells more
		}
	}()
	if err := work(tx); err != nil {
		return err
	}
	committing = true
	return tx.Commit()
}
