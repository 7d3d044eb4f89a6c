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

// DSN answers the DSN of a new database that is gone when the test ends.
func DSN(t testing.TB) string {
	t.Helper()
	if !OnPostgres() {
		return filepath.Join(t.TempDir(), "test.db")
	}
	server := os.Getenv(variable)
	if err := template(server); err != nil {
		t.Fatalf("template of test databases: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	execute(t, server, "CREATE DATABASE "+name+" TEMPLATE "+templateName)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	return within(server, name)
}

const templateName = "sekisho_template"

// template makes, once, the database that all others are copies of: migrated
// already, so that a test does not pay for it.
var template = onceByServer(func(server string) error {
	ctx := context.Background()
	pool, err := sql.Open("pgx", server)
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
	migrated, err := db.Open(ctx, within(server, unfinished))
	if err != nil {
		return err
	}
	if err := migrated.Close(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+templateName)
	return err
})

func onceByServer(make func(server string) error) func(server string) error {
	var once sync.Once
	var err error
	return func(server string) error {
		once.Do(func() { err = make(server) })
		return err
	}
}

// within is the URL of a database on the server. Tests are many and each needs
// few connections.
func within(server, name string) string {
	address, err := url.Parse(server)
	if err != nil {
		panic(fmt.Sprintf("dbtest: %s is no URL", variable))
	}
	address.Path = "/" + name
	query := address.Query()
	query.Set("pool_max_conns", "4")
	address.RawQuery = query.Encode()
	return address.String()
}

func execute(t testing.TB, server, statement string) {
	t.Helper()
	pool, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.ExecContext(context.Background(), statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
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
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Del("pool_max_conns") // ours, not the driver's
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
