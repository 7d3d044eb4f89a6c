package db

import (
	"database/sql"
	"errors"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// engine is what differs between database engines.
type engine struct {
	writer     *sql.DB
	readers    *sql.DB
	migrator   *sql.DB // may be the writer
	dialect    goose.Dialect
	locker     lock.SessionLocker // held while migrating; nil where the writer's lock is enough
	reading    *sql.TxOptions     // such that a reader sees one state
	writing    *sql.TxOptions     // such that writers might as well run one after the other
	oneWriter  bool               // so that updates which wait are committed together
	attempts   int                // of one transaction that may be run again
	commitWait time.Duration      // how long a caller waits for a commit; zero: until it is done
	fault      func(error) *fault // nil for errors that are not the engine's
	postgres   *postgres          // what only PostgreSQL has; nil on SQLite
}

// close closes every pool. The writer goes last: the last connection folds
// SQLite's journal into the file.
func (e *engine) close() error {
	var faults []error
	e.postgres.close()
	if e.migrator != nil && e.migrator != e.writer {
		faults = append(faults, e.migrator.Close())
	}
	for _, pool := range []*sql.DB{e.readers, e.writer} {
		if pool != nil {
			faults = append(faults, pool.Close())
		}
	}
	return errors.Join(faults...)
}

// beginFault is an error at the beginning of a transaction. SQLite has waited for
// the lock then as long as it may, so there is no other attempt; a connection
// that was lost while nobody used it is replaced by a new one.
func (e *engine) beginFault(err error) error {
	var f *fault
	if errors.As(err, &f) && !f.lost {
		f.retry = false
	}
	return err
}

// commitFault is an error of a commit. If the connection was lost, nobody knows
// whether it took place, and a second attempt might do everything twice.
func (e *engine) commitFault(err error) error {
	var f *fault
	if errors.As(err, &f) && f.lost {
		f.retry = false
	}
	return err
}
