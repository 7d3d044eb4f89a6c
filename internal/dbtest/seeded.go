package dbtest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
)

// Seeded is a database that is made once for all tests of a package, each of
// which gets a copy: making an RSA key and hashing a password for every test would
// take most of its time. TestMain calls Remove.
type Seeded struct {
	Make func(ctx context.Context, dsn string) error // closes what it opens

	once sync.Once
	dsn  string
	err  error
}

// DSN answers the DSN of a copy that is gone when the test ends.
func (s *Seeded) DSN(t testing.TB) string {
	t.Helper()
	if s.once.Do(s.make); s.err != nil {
		t.Fatal(s.err)
	}
	source, ok := db.File(s.dsn)
	if !ok {
		return copyOf(t, databaseIn(s.dsn))
	}
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *Seeded) make() {
	if s.dsn, s.err = seedDSN(); s.err == nil {
		s.err = s.Make(context.Background(), s.dsn)
	}
}

// Remove removes the seed, if there is one.
func (s *Seeded) Remove() {
	if s.dsn == "" {
		return
	}
	if path, ok := db.File(s.dsn); ok {
		_ = os.RemoveAll(filepath.Dir(path)) // what is left is in the temporary directory
		return
	}
	_ = onServer("DROP DATABASE " + databaseIn(s.dsn) + " WITH (FORCE)")
}

// seedDSN is the DSN of a new database.
func seedDSN() (string, error) {
	if !OnPostgres() {
		dir, err := os.MkdirTemp("", "sekisho-seed-")
		return filepath.Join(dir, "seed.db"), err
	}
	if err := template(); err != nil {
		return "", err
	}
	name := newName("seed_")
	return within(name), onServer("CREATE DATABASE " + name + " TEMPLATE " + templateName)
}
