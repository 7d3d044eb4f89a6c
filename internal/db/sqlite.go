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
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens the file, making it if it is not there, for its owner only.
func openSQLite(ctx context.Context, path string) (*engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("db: path of the database file: %w", err)
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	e := &engine{dialect: goose.DialectSQLite3, reading: &sql.TxOptions{ReadOnly: true}, fault: sqliteFault, oneWriter: true, attempts: 5}

	// An immediate transaction takes the write lock at its start, so that it
	// cannot fail half-way because another process wrote meanwhile.
	e.writer, err = openPool(sqliteDSN(path, url.Values{
		"_txlock":       {"immediate"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"on"},
	}), 1)
	if err != nil {
		return nil, err
	}
	if err := e.writer.PingContext(ctx); err != nil {
		_ = e.writer.Close()
		return nil, fmt.Errorf("db: cannot use database file %s: %w", path, e.classify(err))
	}
	e.readers, err = openPool(sqliteDSN(path, url.Values{
		"_query_only": {"on"},
	}), max(4, 2*runtime.GOMAXPROCS(0)))
	if err != nil {
		_ = e.writer.Close()
		return nil, err
	}
	e.migrator = e.writer
	return e, nil
}

func openPool(dsn string, size int) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("db: open: %w", err)
	}
	begin := "BEGIN"
	if strings.Contains(dsn, "_txlock=immediate") {
		begin = "BEGIN IMMEDIATE"
	}
	pool := sql.OpenDB(keepingConnector{connector, begin})
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

func sqliteDSN(path string, options url.Values) string {
	options.Set("_busy_timeout", fmt.Sprint(poolWait.Milliseconds()))
	options.Set("_defensive", "1")
	options.Set("_dqs", "0")
	options.Set("_error_rc", "1")
	options["_pragma"] = []string{"trusted_schema(0)", "temp_store(memory)", "cache_size(-2000)", "journal_size_limit(67108864)"}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}).String()
}

// makePrivate makes the file readable and writable by its owner only. SQLite
// gives its journal files the same mode.
func makePrivate(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("db: cannot make the database file; does its directory exist and may this user write there? %w", err)
		}
		return file.Close()
	case err != nil:
		return fmt.Errorf("db: cannot open the database file: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("db: cannot open the database file: %s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		if err := os.Chmod(path, info.Mode().Perm()&0o700); err != nil {
			return fmt.Errorf("db: the database file is open to other users and its mode cannot be changed: %w", err)
		}
	}
	return nil
}

func sqliteFault(err error) *fault {
	var engineErr *sqlite.Error
	if !errors.As(err, &engineErr) {
		return nil
	}
	switch engineErr.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return &fault{kind: ErrConflict, cause: err}
	}
	switch engineErr.Code() & 0xff { // the primary code, without its detail
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &fault{kind: ErrUnavailable, cause: err, retry: true}
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT:
		return &fault{kind: ErrUnavailable, cause: err}
	}
	return nil
}
