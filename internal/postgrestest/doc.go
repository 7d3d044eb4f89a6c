// Package postgrestest starts a real PostgreSQL server for one test and ends
// it with the test. It uses the programs of Debian's postgresql package; where
// they are not installed the test is skipped with a message. The server
// listens on a unix socket in a directory of its own, so it needs no port, and
// forgets durability (fsync off), which no test may rely on.
package postgrestest
