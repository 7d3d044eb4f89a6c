package dbtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/sekisho-id/sekisho/internal/db"
)

// variable names the PostgreSQL server to test on, as a postgres:// URL.
const variable = "SEKISHO_TEST_POSTGRES"

// OnPostgres reports whether the tests run on PostgreSQL.
func OnPostgres() bool { return os.Getenv(variable) != "" }

// SQLiteOnly skips a test of what only SQLite has, such as its pragmas and files.
func SQLiteOnly(t testing.TB) {
	t.Helper()
	if OnPostgres() {
		t.Skip("about SQLite alone")
	}
}

// Bytes is an SQL expression of a text as the bytes of a BYTEA column.
func Bytes(expression string) string {
	if OnPostgres() {
		return "convert_to(" + expression + ", 'UTF8')"
	}
	return expression
}

// DSN answers the DSN of a new database that is gone when the test ends.
func DSN(t testing.TB) string {
	t.Helper()
	if !OnPostgres() {
		return filepath.Join(t.TempDir(), "test.db")
	}
	if err := template(); err != nil {
		t.Fatalf("template of test databases: %v", err)
	}
	return copyOf(t, templateName)
}

// copyOf makes a copy of a database that nobody is connected to.
func copyOf(t testing.TB, source string) string {
	t.Helper()
	name := newName("test_")
	if err := onServer("CREATE DATABASE " + name + " TEMPLATE " + source); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := onServer("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return within(name)
}

func newName(prefix string) string { return prefix + strings.ToLower(rand.Text()) }

const templateName = "sekisho_template"

// template makes, once, the database that all others are copies of: migrated
// already, so that a test does not pay for it.
var template = sync.OnceValue(func() error {
	ctx := context.Background()
	pool, err := sql.Open("pgx", os.Getenv(variable))
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Test binaries run side by side: one makes it, the others wait.
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(735289)"); err != nil {
		return err
	}
	var there bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", templateName).Scan(&there); err != nil || there {
		return err
	}
	const unfinished = templateName + "_new"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + unfinished + " WITH (FORCE)", "CREATE DATABASE " + unfinished} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	migrated, err := db.Open(ctx, within(unfinished))
	if err != nil {
		return err
	}
	if err := migrated.Close(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+templateName)
	return err
})

// poolSize is how many connections a test needs at most; there are many tests.
const poolSize = "pool_max_conns"

// within is the DSN of a database on the server.
func within(name string) string {
	address := serverURL(os.Getenv(variable))
	address.Path = "/" + name
	query := address.Query()
	query.Set(poolSize, "4")
	address.RawQuery = query.Encode()
	return address.String()
}

func databaseIn(dsn string) string { return strings.TrimPrefix(serverURL(dsn).Path, "/") }

func serverURL(dsn string) *url.URL {
	address, err := url.Parse(dsn)
	if err != nil {
		panic(fmt.Sprintf("dbtest: %s is no URL", variable))
	}
	return address
}

func onServer(statement string) error {
	pool, err := sql.Open("pgx", os.Getenv(variable))
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.ExecContext(context.Background(), statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// Dump is all that a database holds, for tests that look for what must not be
// in it.
func Dump(t testing.TB, dsn string) []byte {
	t.Helper()
	if path, ok := db.File(dsn); ok {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	address := serverURL(dsn)
	query := address.Query()
	query.Del(poolSize) // ours, not the driver's
	address.RawQuery = query.Encode()
	pool, err := sql.Open("pgx", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var all bytes.Buffer
	for _, table := range texts(t, pool, "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'") {
		for _, row := range texts(t, pool, "SELECT row::text FROM "+table+" row") {
			all.WriteString(row + "\n")
		}
		for _, column := range texts(t, pool, "SELECT quote_ident(column_name) FROM information_schema.columns WHERE data_type = 'bytea' AND quote_ident(table_name) = '"+table+"'") {
			for _, value := range texts(t, pool, "SELECT "+column+" FROM "+table+" WHERE "+column+" IS NOT NULL") {
				all.WriteString(value + "\n")
			}
		}
	}
	return all.Bytes()
}

func texts(t testing.TB, pool *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := pool.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		list = append(list, string(text))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
