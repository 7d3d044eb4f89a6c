//go:build unix

package event_test

import (
	"testing"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
	"github.com/sekisho-id/sekisho/sdk/event"
)

// The database is one whose transactions are strict unless asked otherwise.
func TestSQLInboxOnPostgreSQL(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Start(t) + " default_transaction_isolation=serializable"
	exerciseSQLInbox(t, event.PostgreSQL, openEventDB(t, "pgx", dsn))
}

func TestReplicasFollowOneAnotherOnPostgreSQL(t *testing.T) {
	t.Parallel()
	exerciseFollow(t, event.PostgreSQL, openEventDB(t, "pgx", postgrestest.Start(t)))
}
