package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	postgresConnections = 16              // of each of the two pools, unless the DSN names pool_max_conns
	postgresIdle        = 5 * time.Minute // after which a connection that nobody uses is closed
	connectTimeout      = 2 * time.Second
	statementTimeout    = 3 * time.Second
	commitWait          = 2 * time.Second
)

// isPostgres reports whether a DSN is one of PostgreSQL.
func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// openPostgres opens two pools on the database. Of several hosts the one that
// takes writes is used; after a fail-over the next connection finds the new one.
func openPostgres(ctx context.Context, dsn string, options Options) (*engine, error) {
	config, size, err := parsePostgres(dsn)
	if err != nil {
		return nil, err
	}
	return openPostgresWith(ctx, config, size, options)
}

func openPostgresWith(ctx context.Context, config *pgx.ConnConfig, size int, options Options) (e *engine, err error) {
	pg := newPostgres(config, options)
	e = &engine{
		dialect:  goose.DialectPostgres,
		postgres: pg,
		// Readers see one state of the database throughout, as on SQLite.
		reading: &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		// Writers run side by side, and those that would not have come out the
		// same one after the other run again.
		writing: &sql.TxOptions{Isolation: sql.LevelSerializable},
		fault:   postgresFault,
		// Each of many that want one row gets its turn: those of one process in its
		// lane, so it meets those of other processes only.
		attempts: 40,
		// Longer than a fail-over takes to be noticed, shorter than a caller waits.
		commitWait: commitWait,
	}
	e.writer = pg.pool(config, size)
	e.readers = pg.pool(config, size)
	// A migration may take longer than any other statement, and runs alone.
	migrating := config.Copy()
	migrating.RuntimeParams["statement_timeout"] = "0"
	e.migrator = pg.pool(migrating, 0)
	if e.locker, err = lock.NewPostgresSessionLocker(); err != nil {
		return nil, errors.Join(fmt.Errorf("db: migration lock: %w", err), e.close())
	}
	pg.scouts.look(ctx)
	if err := e.writer.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("db: cannot reach PostgreSQL: %w", e.classify(err)), e.close())
	}
	if err := pg.checkAtStart(ctx, e.readers); err != nil {
		return nil, errors.Join(err, e.close())
	}
	pg.startHinting(e.writer)
	return e, nil
}

// parsePostgres reads the DSN. It tells no part of it in an error: there may be a
// password in it.
func parsePostgres(dsn string) (config *pgx.ConnConfig, size int, err error) {
	config, err = pgx.ParseConfig(dsn)
	if err != nil {
		return nil, 0, errors.New("db: the PostgreSQL DSN cannot be read; write postgres://USER:PASSWORD@HOST[,HOST]/DATABASE")
	}
	size = postgresConnections
	if text, ok := config.RuntimeParams["pool_max_conns"]; ok {
		delete(config.RuntimeParams, "pool_max_conns")
		if size, err = strconv.Atoi(text); err != nil || size < 1 {
			return nil, 0, errors.New("db: pool_max_conns in the PostgreSQL DSN is no positive number")
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.ValidateConnect == nil {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	params := config.RuntimeParams
	if _, ok := params["application_name"]; !ok {
		params["application_name"] = "sekisho"
	}
	params["statement_timeout"] = strconv.FormatInt(statementTimeout.Milliseconds(), 10)
	params["idle_in_transaction_session_timeout"] = "30000"
	params["timezone"] = "UTC"
	return config, size, nil
}

// pool opens connections as they are needed, and keeps so many at most; with
// none to keep there is no limit.
func (p *postgres) pool(config *pgx.ConnConfig, size int) *sql.DB {
	pool := stdlib.OpenDB(*config, stdlib.OptionResetSession(p.fence.keep))
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxIdleTime(postgresIdle)
	return pool
}

// postgresFault tells the kinds of error apart by their SQLSTATE (PostgreSQL
// manual, appendix A), and what never reached the server.
func postgresFault(err error) *fault {
	var engineErr *pgconn.PgError
	if errors.As(err, &engineErr) {
		return sqlStateFault(engineErr.Code, err)
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connecting):
		return &fault{kind: ErrUnavailable, cause: err}
	case errors.As(err, &network), pgconn.SafeToRetry(err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &fault{kind: ErrUnavailable, cause: err, retry: true, lost: true}
	}
	return nil
}

func sqlStateFault(state string, err error) *fault {
	switch {
	case state == "23505": // unique_violation
		return &fault{kind: ErrConflict, cause: err}
	case state == "40001", state == "40P01", state == "55P03": // serialization_failure, deadlock_detected, lock_not_available
		return &fault{kind: ErrUnavailable, cause: err, retry: true}
	case strings.HasPrefix(state, "08"), // connection_exception
		strings.HasPrefix(state, "57P"): // admin_shutdown, crash_shutdown, cannot_connect_now
		return &fault{kind: ErrUnavailable, cause: err, retry: true, lost: true}
	case strings.HasPrefix(state, "53"), // insufficient_resources: disk full, too many connections
		strings.HasPrefix(state, "57"), // operator_intervention: statement timeout
		strings.HasPrefix(state, "58"), // system_error
		state == "25006",               // read_only_sql_transaction
		state == "25P03":               // idle_in_transaction_session_timeout
		return &fault{kind: ErrUnavailable, cause: err}
	}
	return nil
}
