package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

var (
	// ErrNotFound says that a query which must give a row gave none.
	ErrNotFound = sql.ErrNoRows
	// ErrConflict says that a row with the same unique value is there already.
	ErrConflict = errors.New("db: a row with the same unique value exists")
	// ErrUnavailable says that the database refuses for now: full, read-only,
	// locked, closed or failing. Callers answer 503 and change nothing.
	ErrUnavailable = errors.New("db: unavailable")
)

// fault carries the kind that callers test for and the cause that is logged.
type fault struct {
	kind  error
	cause error
	retry bool // the transaction met another one, or its connection was lost: it may be run again
	lost  bool // the connection was
}

func (f *fault) Error() string {
	return f.kind.Error() + ": " + f.cause.Error()
}

func (f *fault) Unwrap() []error {
	return []error{f.kind, f.cause}
}

// classify turns an error of the engine into one that callers can test for.
// It finds the engine's error through any wrapping, so that an error of a
// row's Scan is known at the end of the transaction too.
func (e *engine) classify(err error) error {
	if err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, driver.ErrBadConn) {
		return &fault{kind: ErrUnavailable, cause: err, retry: true, lost: true}
	}
	if errors.Is(err, sql.ErrConnDone) {
		return &fault{kind: ErrUnavailable, cause: err}
	}
	if f := e.fault(err); f != nil {
		return f
	}
	return err
}

func retryable(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.retry
}
