package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to this build. Each room has its own file, so
// numbers arrive out of order; each migration works with the code before it,
// so an older build runs on a newer schema.
func (e *engine) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("db: migrations: %w", err)
	}
	options := []goose.ProviderOption{
		goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true),
		goose.WithLogger(goose.NopLogger()),
	}
	if e.locker != nil {
		options = append(options, goose.WithSessionLocker(e.locker))
	}
	provider, err := goose.NewProvider(e.dialect, e.migrator, files, options...)
	if err != nil {
		return fmt.Errorf("db: migrations: %w", err)
	}
	// Another process may be migrating the same database. Each collision with
	// it means that one of us is a step further, so the steps bound the tries.
	for try := 0; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil {
			return nil
		}
		err = e.classify(err)
		if try > len(provider.ListSources()) || errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return fmt.Errorf("db: migrate: %w", err)
		}
	}
}
