// Package db opens the database, runs transactions and migrates the schema.
//
// It owns the connection, the migrations folder, the change feed (table feed) and
// what is written down of a move. It owns no other table: each room keeps the SQL
// of its own tables, in one text that SQLite and PostgreSQL both run. What differs
// between engines stays in the files named after the engines (sqlite.go,
// postgres.go).
//
// On SQLite there is one writer and many readers; updates that wait for the writer
// are committed together (group.go). On PostgreSQL writers run side by side, but
// come out as if one after the other (serializable): those that cannot run again,
// so the function of Update may run several times. Read runs on a reader that
// refuses writes and sees one state of the database throughout. An Update inside
// an Update, or inside a reload function of Watch, would wait for itself and is
// refused after the pool wait.
//
// The change feed tells the rooms that keep state in memory when to load it
// again: a writer calls Tx.Changed in its transaction, the watchers of the
// topic run before Update returns, and other processes see the new version
// within one poll of Follow, on PostgreSQL mostly at once, by a hint
// (postgres_hint.go).
//
// A process never goes back to a primary of PostgreSQL that another one has taken
// over from (postgres_fence.go, postgres_scout.go), and can ask for a synchronous
// standby (postgres_server.go).
//
// Move brings an installation from one database to another (move.go; tables
// installation_move and installation_move_table).
package db
