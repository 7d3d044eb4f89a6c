//go:build unix

package postgrestest_test

import (
	"database/sql"
	"testing"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

func TestStart(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", postgrestest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	var one int
	if err := db.QueryRowContext(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
		t.Fatalf("got %d, %v", one, err)
	}
}
