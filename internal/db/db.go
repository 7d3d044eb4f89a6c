package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// poolWait is for a connection, and for another process's lock.
const poolWait = 2 * time.Second

// DB is an open, migrated database.
type DB struct {
	engine  *engine
	closed  atomic.Bool
	group   group
	lane    lane
	reads   atomic.Int64 // transactions begun
	commits atomic.Int64
	poll    time.Duration // of the change feed
	now     func() time.Time

	mu       sync.Mutex
	watchers map[string][]*watcher
}

// File is the file of a database, where it is one.
func File(dsn string) (path string, ok bool) {
	if isPostgres(dsn) {
		return "", false
	}
	path, err := sqlitePath(dsn)
	return path, err == nil
}

// Check says what is wrong with a DSN, without opening anything. No error of this
// package tells the password in it.
func Check(dsn string) error {
	if isPostgres(dsn) {
		_, _, err := parsePostgres(dsn)
		return err
	}
	_, err := sqlitePath(dsn)
	return err
}

func sqlitePath(dsn string) (string, error) {
	path := strings.TrimPrefix(dsn, "sqlite:")
	switch {
	case path == "":
		return "", errors.New("db: no database is named; write sqlite:PATH or postgres://…")
	case strings.Contains(path, "password="), strings.HasPrefix(path, "postgres:"), strings.HasPrefix(path, "postgresql:"):
		// Nearly a DSN, with a password in it: no name for a file.
		return "", errors.New("db: this is no DSN of PostgreSQL; write postgres://USER:PASSWORD@HOST[,HOST]/DATABASE")
	case strings.Contains(path, "://"):
		scheme, _, _ := strings.Cut(path, "://")
		return "", fmt.Errorf("db: databases of kind %s are not supported; write sqlite:PATH or postgres://…", scheme)
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
	return d.engine.close()
}

// Ready says whether the database answers as the installation asks for, and what
// is kept in memory is as new as the database.
func (d *DB) Ready(ctx context.Context) error {
	if topic := d.behind(); topic != "" {
		return fmt.Errorf("%w: what is kept in memory of %s is older than the database", ErrUnavailable, topic)
	}
	return d.Read(ctx, func(tx *Tx) error {
		if d.engine.postgres != nil {
			return d.engine.postgres.ready(ctx, tx)
		}
		var one int
		return tx.Row(ctx, "SELECT 1").Scan(&one)
	})
}

// CheckClock says whether our clock and that of PostgreSQL agree well enough. A
// file has no clock.
func (d *DB) CheckClock(ctx context.Context) error {
	if d.engine.postgres == nil {
		return nil
	}
	return d.Read(ctx, func(tx *Tx) error { return d.engine.postgres.compareClocks(ctx, tx) })
}

// Now is the time by which all processes on this database go: that of PostgreSQL,
// as it was last compared, or this machine's beside a file.
func (d *DB) Now() time.Time {
	if d.engine.postgres == nil {
		return d.now()
	}
	return d.engine.postgres.now()
}

// Read runs fn in a transaction that sees one state of the database and
// cannot write.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	return d.again(ctx, func() error { return d.run(ctx, d.engine.readers, d.engine.reading, fn, nil) })
}

// Update runs fn in a transaction and commits it if fn gives no error. fn may
// run twice, so it must change nothing but the database. Once begun, a commit
// is not cancelled by ctx. Before Update returns, the watchers of every topic
// that fn named by Changed have run.
func (d *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	changed, err := d.update(ctx, fn)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		d.engine.postgres.hint()
	}
	d.tell(ctx, changed)
	return nil
}

// update gives the topics that the committed transaction has changed.
func (d *DB) update(ctx context.Context, fn func(*Tx) error) (changed map[string]int64, err error) {
	if d.engine.oneWriter {
		return d.updateInGroup(ctx, fn)
	}
	err = d.again(ctx, func() error { return d.run(ctx, d.engine.writer, d.engine.writing, fn, &changed) })
	return changed, err
}

// again runs a transaction until it is done or gives an error that another
// attempt would give too. One that has met others often goes on in the lane.
func (d *DB) again(ctx context.Context, run func() error) error {
	inLane := false
	defer func() {
		if inLane {
			d.lane.leave()
		}
	}()
	for attempt := 1; ; attempt++ {
		err := run()
		if err == nil || !retryable(err) || attempt == d.engine.attempts || ctx.Err() != nil {
			return err
		}
		if attempt == metOften {
			if !d.lane.enter(ctx) {
				return err
			}
			inLane = true
		}
		if inLane {
			// Others are still met, from other processes and on their first attempts:
			// by chance not again at the same moment. No secret.
			pause(ctx, rand.N(min(time.Duration(attempt)*time.Millisecond, maxPause)))
		}
	}
}

// errOvertaken says that another primary took over while a transaction ran.
var errOvertaken = &fault{kind: ErrUnavailable, cause: errOldPrimary, retry: true, lost: true}

// run runs fn once. changed, if not nil, receives the topics of the committed
// transaction.
func (d *DB) run(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, fn func(*Tx) error, changed *map[string]int64) (err error) {
	if pool == d.engine.readers {
		d.reads.Add(1)
	}
	conn, err := d.take(ctx, pool)
	if err != nil {
		return err
	}
	ended := false // by a commit, with the connection given back
	defer func() {
		if !ended {
			_ = conn.Close()
		}
	}()

	// The transaction does not hang on ctx: database/sql would otherwise roll
	// it back at any moment, also during the commit. The statements do.
	stx, err := conn.BeginTx(context.WithoutCancel(ctx), opts)
	if err != nil {
		return d.engine.beginFault(d.engine.classify(err))
	}
	tx := &Tx{tx: stx, engine: d.engine}
	primary := d.engine.postgres.primary()
	overtaken := func() bool { return d.engine.postgres.primary() != primary }
	defer func() {
		if !ended {
			_ = stx.Rollback() // the error of fn is the one that matters
		}
	}()
	err = fn(tx)
	if tx.absent {
		d.engine.postgres.confirm(ctx)
	}
	if overtaken() {
		return errOvertaken
	}
	if err != nil {
		return d.engine.classify(err)
	}
	if err := tx.bump(ctx); err != nil {
		return d.engine.classify(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if overtaken() {
		return errOvertaken
	}
	ended = true
	if err := d.commit(stx, conn); err != nil {
		return d.engine.commitFault(d.engine.classify(err))
	}
	if changed != nil {
		*changed = tx.changed
		d.commits.Add(1)
	}
	return nil
}

// errCommitWait says that nobody knows yet what became of a commit.
var errCommitWait = errors.New("the commit has not been confirmed in time; whether it took place is not known")

// commit ends the transaction and gives the connection back. Nothing cancels it:
// a commit that waits for a synchronous standby and is cancelled counts as done
// on the primary alone. Where it may wait for another machine the caller does so
// for commitWait only, and the commit goes on by itself.
func (d *DB) commit(stx *sql.Tx, conn *sql.Conn) error {
	end := func() error {
		err := stx.Commit()
		_ = conn.Close() // the error of the commit is the one that matters
		return err
	}
	if d.engine.commitWait == 0 {
		return end()
	}
	done := make(chan error, 1)
	go func() { done <- end() }()
	timer := time.NewTimer(d.engine.commitWait)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return &fault{kind: ErrUnavailable, cause: errCommitWait}
	}
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

// Millis is a time as tables hold it: milliseconds since 1970.
func Millis(t time.Time) int64 {
	return t.UnixMilli()
}

// Time is the way back from Millis, in UTC.
func Time(ms int64) time.Time {
	return time.UnixMilli(ms).UTC()
}
