//go:build unix

package rs_test

import (
	"testing"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// The database is one whose transactions are strict unless asked otherwise.
func TestSQLStoreOnPostgreSQL(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Start(t) + " default_transaction_isolation=serializable"
	exerciseSQLStore(t, rs.PostgreSQL, openDB(t, "pgx", dsn))
}
