package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
)

// side is one of the two databases of a move, used by nobody else.
type side struct {
	name   string // for people
	engine *engine
	pool   *sql.DB // one connection
}

func (s *side) close() error { return s.engine.close() }

// openAlone opens a database for a move and refuses one that is in use.
func openAlone(ctx context.Context, dsn string, mustExist bool) (*side, error) {
	if err := Check(dsn); err != nil {
		return nil, err
	}
	s := &side{name: nameOf(dsn)}
	var err error
	if path, ok := File(dsn); ok {
		s.engine, err = openSQLiteAlone(ctx, path, mustExist)
	} else {
		s.engine, err = openPostgresAlone(ctx, dsn)
	}
	if err != nil {
		return nil, err
	}
	s.pool = s.engine.writer
	if err := s.engine.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.noOtherSessions(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openSQLiteAlone takes the file out of WAL mode, which SQLite refuses while
// anybody else has it open, and keeps it locked. It is one file afterwards.
func openSQLiteAlone(ctx context.Context, path string, mustExist bool) (*engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("db: path of the database file: %w", err)
	}
	if _, err := os.Stat(path); mustExist && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("db: there is no database file %s", path)
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	e := &engine{dialect: goose.DialectSQLite3, fault: sqliteFault}
	e.writer, err = openPool(sqliteDSN(path, url.Values{
		"_txlock":       {"immediate"},
		"_journal_mode": {"DELETE"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
	}), 1)
	if err != nil {
		return nil, err
	}
	e.migrator = e.writer
	for _, statement := range []string{"PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "COMMIT"} {
		if _, err := e.writer.ExecContext(ctx, statement); err != nil {
			_ = e.writer.Close()
			if err = e.classify(err); retryable(err) {
				return nil, errors.New("db: a server or a command uses this database; stop it first")
			}
			return nil, fmt.Errorf("db: cannot use database file %s: %w", path, err)
		}
	}
	return e, nil
}

func openPostgresAlone(ctx context.Context, dsn string) (*engine, error) {
	config, _, err := parsePostgres(dsn)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["statement_timeout"] = "0" // a big table is read as a whole
	e, err := openPostgresWith(ctx, config, 1, Options{}.withDefaults())
	if err == nil {
		e.postgres.scouts.close() // they have looked, and would count as sessions
	}
	return e, err
}

// noOtherSessions refuses a PostgreSQL database that others are connected to. The
// sessions of those that have just ended may be there for a moment. A file is locked
// by who opened it.
func (s *side) noOtherSessions(ctx context.Context) error {
	if s.engine.postgres == nil {
		return nil
	}
	var others int
	for range 20 {
		err := s.pool.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()
				AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'`).Scan(&others)
		if err != nil {
			return fmt.Errorf("db: cannot see who uses the database: %w", s.engine.classify(err))
		}
		if others == 0 {
			return nil
		}
		pause(ctx, 100*time.Millisecond)
	}
	return fmt.Errorf("db: %d other sessions use this database; stop the servers and commands first", others)
}

// mark reads what is written down of a move.
func (s *side) mark(ctx context.Context) (mark, error) { return s.engine.mark(ctx, s.pool) }

func (e *engine) mark(ctx context.Context, pool *sql.DB) (m mark, err error) {
	var at int64
	err = pool.QueryRowContext(ctx, "SELECT id, state, other, at FROM installation_move").Scan(&m.id, &m.state, &m.other, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("db: was the installation moved? %w", e.classify(err))
	}
	m.at = Time(at)
	return m, nil
}

// setMark writes the mark down and empties the tables that are named: what
// migrations put into them comes from the other side.
func (s *side) setMark(ctx context.Context, m mark, empty []table) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, t := range empty {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+t.quoted()); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO installation_move (one, id, state, other, at) VALUES (1, $1, $2, $3, $4)
			ON CONFLICT (one) DO UPDATE SET id = excluded.id, state = excluded.state, other = excluded.other, at = excluded.at`,
			m.id, m.state, m.other, Millis(time.Now()))
		return err
	})
}

func (s *side) clearMark(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, statement := range []string{"DELETE FROM installation_move_table", "DELETE FROM installation_move"} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// inTx runs fn in a transaction. As everywhere, nothing cancels the commit.
func (s *side) inTx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.pool.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return s.engine.classify(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if err := fn(tx); err != nil {
		return s.engine.classify(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.engine.classify(tx.Commit())
}
