package db

import (
	"context"
	"database/sql/driver"
	"errors"
)

// keptStatements is how many prepared statements a connection of SQLite keeps.
const keptStatements = 256

// keepingConnector opens connections of SQLite that keep their statements prepared:
// reading its text costs more than running most of them. PostgreSQL's driver does
// the same by itself.
type keepingConnector struct {
	driver.Connector
	begin string // begins a transaction that writes
}

// Connect is called by database/sql.
func (k keepingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("db: the driver of SQLite does not do what this package relies on"), opened.Close())
	}
	return &keepingConn{sqliteConn: inner, begin: k.begin, kept: map[string]*keptStatement{}}, nil
}

// sqliteConn is what the driver's connections can do and database/sql makes use of.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// keepingConn is a connection with the statements that it keeps. Like every
// driver's connection it is used by one goroutine at a time.
type keepingConn struct {
	sqliteConn
	begin string
	kept  map[string]*keptStatement
}

// keptStatement is one statement. While its rows are read it cannot run again.
type keptStatement struct {
	sqliteStatement
	busy bool
}

type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// statement gives a kept statement that is free; nil if there is none.
func (c *keepingConn) statement(ctx context.Context, query string) (*keptStatement, error) {
	if kept := c.kept[query]; kept != nil {
		if kept.busy {
			return nil, nil
		}
		return kept, nil
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	able, ok := prepared.(sqliteStatement)
	if !ok {
		return nil, prepared.Close()
	}
	if len(c.kept) >= keptStatements {
		if err := c.forgetOne(); err != nil {
			return nil, errors.Join(err, prepared.Close())
		}
	}
	kept := &keptStatement{sqliteStatement: able}
	c.kept[query] = kept
	return kept, nil
}

// forgetOne makes room: any that is not in use goes.
func (c *keepingConn) forgetOne() error {
	for query, kept := range c.kept {
		if !kept.busy {
			delete(c.kept, query)
			return kept.Close()
		}
	}
	return nil
}

// ExecContext is called by database/sql.
func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	kept, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return kept.ExecContext(ctx, args)
}

// QueryContext is called by database/sql.
func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	kept, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := kept.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	kept.busy = true
	return &keptRows{Rows: rows, of: kept}, nil
}

// BeginTx is called by database/sql.
func (c *keepingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	begin := c.begin
	if opts.ReadOnly {
		begin = "BEGIN"
	}
	if _, err := c.ExecContext(ctx, begin, nil); err != nil {
		return nil, err
	}
	return keptTx{c}, nil
}

// keptTx is a transaction that is ended by kept statements, too.
type keptTx struct{ conn *keepingConn }

// Commit is called by database/sql.
func (t keptTx) Commit() error {
	_, err := t.conn.ExecContext(context.Background(), "COMMIT", nil)
	if err != nil {
		// The connection must not stay in the transaction. Where it is in none any
		// more this fails, which does not matter.
		_, _ = t.conn.ExecContext(context.Background(), "ROLLBACK", nil)
	}
	return err
}

// Rollback is called by database/sql.
func (t keptTx) Rollback() error {
	_, err := t.conn.ExecContext(context.Background(), "ROLLBACK", nil)
	return err
}

// Close is called by database/sql.
func (c *keepingConn) Close() error {
	var faults []error
	for _, kept := range c.kept {
		faults = append(faults, kept.Close())
	}
	clear(c.kept)
	return errors.Join(append(faults, c.sqliteConn.Close())...)
}

// keptRows are rows of a kept statement, which is free again when they are closed.
type keptRows struct {
	driver.Rows
	of *keptStatement
}

// Close is called by database/sql.
func (r *keptRows) Close() error {
	defer func() { r.of.busy = false }()
	return r.Rows.Close()
}
