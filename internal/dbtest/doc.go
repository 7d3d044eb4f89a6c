// Package dbtest gives each test a database of its own: a SQLite file, or a
// database on the PostgreSQL server that SEKISHO_TEST_POSTGRES names, so that the
// same tests run on both engines. scripts/with-postgres starts such a server and
// runs a command beside it.
//
// It is used by tests alone.
package dbtest
