package db

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Options are what an installation decides about its database. The zero value
// is a sensible default.
type Options struct {
	// Synchronous asks for PostgreSQL that confirms a commit only when a standby
	// has it too. Open and Ready refuse one that does not.
	Synchronous bool
	Logger      *slog.Logger     // nil: none
	Now         func() time.Time // held against the clock of PostgreSQL; nil: time.Now
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Open opens and migrates the database that the DSN names: "sqlite:PATH", a path
// alone, or "postgres://…", which may name several hosts. One that an installation
// has left, or where it has not arrived, is refused (ErrMoved).
func Open(ctx context.Context, dsn string) (*DB, error) {
	return OpenWith(ctx, dsn, Options{})
}

// OpenWith is Open with what the installation has decided.
func OpenWith(ctx context.Context, dsn string, options Options) (*DB, error) {
	options = options.withDefaults()
	e, err := openEngine(ctx, dsn, options)
	if err != nil {
		return nil, err
	}
	d := &DB{engine: e, lane: newLane(), poll: followEvery, now: options.Now, watchers: map[string][]*watcher{}}
	if err := e.migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	_ = d.CheckClock(ctx) // whether it is near enough is a matter of readiness
	m, err := e.mark(ctx, e.readers)
	if err == nil {
		err = m.refusal()
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func openEngine(ctx context.Context, dsn string, options Options) (*engine, error) {
	if isPostgres(dsn) {
		return openPostgres(ctx, dsn, options)
	}
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	if options.Synchronous {
		return nil, errors.New("db: a synchronous standby is required, and SQLite has none; use PostgreSQL")
	}
	return openSQLite(ctx, path)
}
