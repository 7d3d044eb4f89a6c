package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	poolWait = 2 * time.Second // for a connection, and for another process's lock
	attempts = 5               // of one Update whose transaction met another
)

// DB is an open, migrated database.
type DB struct {
	engine *engine
	closed atomic.Bool

	mu       sync.Mutex
	watchers map[string][]*watcher
}

// Open opens and migrates the database that the DSN names: "sqlite:PATH", or
// a path alone.
func Open(ctx context.Context, dsn string) (*DB, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	e, err := openSQLite(ctx, path)
	if err != nil {
		return nil, err
	}
	d := &DB{engine: e, watchers: map[string][]*watcher{}}
	if err := e.migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func sqlitePath(dsn string) (string, error) {
	path := strings.TrimPrefix(dsn, "sqlite:")
	switch {
	case path == "":
		return "", errors.New("db: no database is named; write sqlite:PATH")
	case strings.Contains(path, "://"):
		scheme, _, _ := strings.Cut(path, "://")
		return "", fmt.Errorf("db: databases of kind %s are not supported; write sqlite:PATH", scheme)
	case strings.HasPrefix(path, ":memory:"):
		return "", errors.New("db: a database in memory would be lost at exit; write sqlite:PATH")
	}
	return path, nil
}

// Close closes the database. Calls after it give ErrUnavailable.
func (d *DB) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	// The writer goes last: the last connection folds the journal into the file.
	return errors.Join(d.engine.readers.Close(), d.engine.writer.Close())
}

// Ready says whether the database answers and what is kept in memory is as
// new as the database.
func (d *DB) Ready(ctx context.Context) error {
	if topic := d.behind(); topic != "" {
		return fmt.Errorf("%w: what is kept in memory of %s is older than the database", ErrUnavailable, topic)
	}
	return d.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.Row(ctx, "SELECT 1").Scan(&one)
	})
}

// Read runs fn in a transaction that sees one state of the database and
// cannot write.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	return d.run(ctx, d.engine.readers, d.engine.reading, fn, nil)
}

// Update runs fn in a transaction and commits it if fn gives no error. fn may
// run twice, so it must change nothing but the database. Once begun, a commit
// is not cancelled by ctx. Before Update returns, the watchers of every topic
// that fn named by Changed have run.
func (d *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	var changed map[string]int64
	for attempt := 1; ; attempt++ {
		err := d.run(ctx, d.engine.writer, nil, fn, &changed)
		if err == nil {
			break
		}
		if !retryable(err) || attempt == attempts || ctx.Err() != nil {
			return err
		}
	}
	d.tell(ctx, changed)
	return nil
}

// run runs fn once. changed, if not nil, receives the topics of the committed
// transaction.
func (d *DB) run(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, fn func(*Tx) error, changed *map[string]int64) (err error) {
	conn, err := d.take(ctx, pool)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()

	// The transaction does not hang on ctx: database/sql would otherwise roll
	// it back at any moment, also during the commit. The statements do.
	stx, err := conn.BeginTx(context.WithoutCancel(ctx), opts)
	if err != nil {
		return waited(d.engine.classify(err))
	}
	tx := &Tx{tx: stx, engine: d.engine}
	committed := false
	defer func() {
		if !committed {
			_ = stx.Rollback() // the error of fn is the one that matters
		}
	}()
	if err := fn(tx); err != nil {
		return d.engine.classify(err)
	}
	if err := tx.bump(ctx); err != nil {
		return d.engine.classify(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := stx.Commit(); err != nil {
		return d.engine.classify(err)
	}
	committed = true
	if changed != nil {
		*changed = tx.changed
	}
	return nil
}

// take waits for a connection, not longer than ctx and poolWait allow.
func (d *DB) take(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	if d.closed.Load() {
		return nil, &fault{kind: ErrUnavailable, cause: errors.New("closed")}
	}
	waiting, cancel := context.WithTimeout(ctx, poolWait)
	defer cancel()
	conn, err := pool.Conn(waiting)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case waiting.Err() != nil:
		return nil, &fault{kind: ErrUnavailable, cause: errors.New("no connection became free in time")}
	case d.closed.Load():
		return nil, &fault{kind: ErrUnavailable, cause: err}
	}
	return nil, d.engine.classify(err)
}

// waited takes the mark for another attempt off an error at the beginning of
// a transaction: the engine has waited for the lock as long as it may.
func waited(err error) error {
	var f *fault
	if errors.As(err, &f) {
		f.retry = false
	}
	return err
}

// Millis is a time as tables hold it: milliseconds since 1970.
func Millis(t time.Time) int64 {
	return t.UnixMilli()
}

// Time is the way back from Millis, in UTC.
func Time(ms int64) time.Time {
	return time.UnixMilli(ms).UTC()
}
