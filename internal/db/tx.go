package db

import (
	"context"
	"database/sql"
)

// Tx is a transaction. It is used by one goroutine and only inside the
// function that received it. After an error it must be given up: PostgreSQL
// runs no further statement in it.
type Tx struct {
	tx      *sql.Tx
	engine  *engine
	changed map[string]int64 // topic to the version that this transaction gives it
	absent  bool
}

// Absent says that the transaction decides by something not being there. An old
// primary does not have what its successor has got since, so before the decision
// counts all servers are asked who they are. What is written needs no such care:
// an old primary cannot commit it.
func (t *Tx) Absent() { t.absent = true }

// Exec runs a statement and says how many rows it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (affected int64, err error) {
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, t.engine.classify(err)
	}
	affected, err = result.RowsAffected()
	return affected, t.engine.classify(err)
}

// ExecEach runs one statement for each list of arguments. Connections keep their
// statements prepared, so it is parsed once.
func (t *Tx) ExecEach(ctx context.Context, query string, lists [][]any) error {
	for _, args := range lists {
		if _, err := t.tx.ExecContext(ctx, query, args...); err != nil {
			return t.engine.classify(err)
		}
	}
	return nil
}

// Row runs a query that gives one row at most. Its Scan gives ErrNotFound if
// there is none.
func (t *Tx) Row(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, query, args...)
}

// Rows runs a query that gives any number of rows. The caller closes them and
// looks at Err.
func (t *Tx) Rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := t.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, t.engine.classify(err)
	}
	return rows, nil
}
