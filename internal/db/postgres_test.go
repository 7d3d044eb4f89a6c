package db_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

func onPostgres(t *testing.T) {
	t.Helper()
	t.Parallel()
	if !dbtest.OnPostgres() {
		t.Skip("about PostgreSQL alone; run it with scripts/with-postgres")
	}
}

func TestPostgresErrorsTellNoPassword(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{
		"malformed":   "postgres://sekisho:hunter2@[::1",
		"bad port":    "postgres://sekisho:hunter2@localhost:port/x",
		"bad size":    "postgres://sekisho:hunter2@localhost/x?pool_max_conns=none",
		"nobody home": "postgres://sekisho:hunter2@127.0.0.1:1/x",
	} {
		_, err := db.Open(t.Context(), dsn)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		if unavailable := errors.Is(err, db.ErrUnavailable); unavailable != (name == "nobody home") {
			t.Errorf("%s: unavailable is %t: %v", name, unavailable, err)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{"sqlite:a.db": "a.db", "a.db": "a.db", "postgres://x/y": "", "postgresql://x/y": "", "mysql://x/y": "", "host=x password=y": "", "postgres:/x": ""} {
		if path, ok := db.File(dsn); path != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", dsn, path, ok)
		}
	}
}

// TestConnectionsThatEnd holds that an administrator who ends every connection,
// as a fail-over does, costs one answer of ErrUnavailable at most for each, and
// that the pool finds its way back by itself.
func TestConnectionsThatEnd(t *testing.T) {
	onPostgres(t)
	d, dsn := setup(t)
	ctx := t.Context()
	other := rawConnection(t, dsn)
	for range 3 {
		err := d.Update(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO thing (name, size) VALUES ('lost', 1)"); err != nil {
				return err
			}
			if _, err := other.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO thing (name, size) VALUES ('never', 1)")
			return err
		})
		if !errors.Is(err, db.ErrUnavailable) {
			t.Fatalf("a transaction whose connection ended: %v", err)
		}
	}
	update(t, d, "INSERT INTO thing (name, size) VALUES ('kept', 1)")
	if n := count(t, d); n != 1 {
		t.Errorf("%d rows, want the kept one", n)
	}
}

// TestWritersOfOneRow holds that writers of PostgreSQL, which run side by side,
// lose nothing where each statement decides by what it finds.
func TestWritersOfOneRow(t *testing.T) {
	onPostgres(t)
	d, _ := setup(t)
	update(t, d, "INSERT INTO thing (name, size) VALUES ('sum', 0), ('once', 0)")
	var wait sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 40 {
		wait.Go(func() {
			update(t, d, "UPDATE thing SET size = size + 1 WHERE name = 'sum'")
			err := d.Update(t.Context(), func(tx *db.Tx) error {
				n, err := tx.Exec(t.Context(), "DELETE FROM thing WHERE name = 'once'")
				mu.Lock()
				defer mu.Unlock()
				taken += int(n)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var sum int
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT size FROM thing WHERE name = 'sum'").Scan(&sum)
	})
	if err != nil || sum != 40 || taken != 1 {
		t.Errorf("sum %d, taken %d times, %v", sum, taken, err)
	}
}

// TestDeadlockIsTriedAgain holds that of two transactions that wait for each
// other both are done in the end.
func TestDeadlockIsTriedAgain(t *testing.T) {
	onPostgres(t)
	d, _ := setup(t)
	update(t, d, "INSERT INTO thing (name, size) VALUES ('a', 0), ('b', 0)")
	var wait sync.WaitGroup
	var meet sync.WaitGroup
	meet.Add(2)
	var first [2]sync.Once
	for i, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wait.Go(func() {
			err := d.Update(t.Context(), func(tx *db.Tx) error {
				if _, err := tx.Exec(t.Context(), "UPDATE thing SET size = size + 1 WHERE name = $1", names[0]); err != nil {
					return err
				}
				first[i].Do(func() { meet.Done(); meet.Wait() })
				_, err := tx.Exec(t.Context(), "UPDATE thing SET size = size + 1 WHERE name = $1", names[1])
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	var sum int
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT sum(size) FROM thing").Scan(&sum)
	})
	if err != nil || sum != 4 {
		t.Errorf("sum %d, %v, want 4", sum, err)
	}
}

// TestReadOnlyServer holds that a server that takes no writes is not used.
func TestReadOnlyServer(t *testing.T) {
	onPostgres(t)
	_, dsn := setup(t)
	other := rawConnection(t, dsn)
	var name string
	if err := other.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET default_transaction_read_only = on"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Open(t.Context(), dsn); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("opened a server that takes no writes: %v", err)
	}
}

func TestStatementTimeout(t *testing.T) {
	onPostgres(t)
	d, _ := setup(t)
	var setting string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SHOW statement_timeout").Scan(&setting)
	})
	if err != nil || setting != "3s" {
		t.Errorf("statement_timeout = %q, %v", setting, err)
	}
	err = d.Update(t.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL statement_timeout = '1ms'"); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "SELECT pg_sleep(5)")
		return err
	})
	if !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a statement that takes too long: %v", err)
	}
}

// rawConnection is a connection that is not ours to manage.
func rawConnection(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("pgx", strings.ReplaceAll(dsn, "pool_max_conns=4&", ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	if err := raw.PingContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	return raw
}
