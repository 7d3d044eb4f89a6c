package app

import (
	"context"
	"errors"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// What commands need of an installation without serving. A running server sees
// their changes through the change feed.

// OpenRegistry opens the group of an installation. It needs no secrets. Call
// the returned function when done.
func OpenRegistry(ctx context.Context, database string) (*registry.Registry, func() error, error) {
	opened, err := db.Open(ctx, database)
	if err != nil {
		return nil, nil, err
	}
	grants, err := grant.Open(ctx, grant.Config{DB: opened, Now: time.Now})
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	group, err := registry.Open(ctx, registry.Config{DB: opened, Now: time.Now, Removed: grants.RevokeClients})
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	return group, opened.Close, nil
}

// OpenKeyring opens the signing keys of an installation. Call the returned
// function when done.
func OpenKeyring(ctx context.Context, config Config) (*keyring.Keyring, func() error, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, nil, err
	}
	opened, err := db.Open(ctx, config.Database)
	if err != nil {
		return nil, nil, err
	}
	keys, err := keyring.Open(ctx, keyring.Config{DB: opened, KEK: config.KeyEncryptionKey, Now: config.Now})
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	return keys, opened.Close, nil
}

// DisableAccount ends everything an account has and lets it do nothing more.
func (a *App) DisableAccount(ctx context.Context, id string) error {
	return a.DB.Update(ctx, func(tx *db.Tx) error {
		if err := a.People.Disable(ctx, tx, id); err != nil {
			return err
		}
		return a.Grants.RevokeAccount(ctx, tx, id, "account disabled")
	})
}

// EnableAccount lets a disabled account sign in again. What had ended stays so.
func (a *App) EnableAccount(ctx context.Context, id string) error {
	return a.DB.Update(ctx, func(tx *db.Tx) error {
		return a.People.Enable(ctx, tx, id)
	})
}

// DeleteAccount removes an account for ever. Its PPIDs name nobody afterwards.
func (a *App) DeleteAccount(ctx context.Context, id string) error {
	return a.DB.Update(ctx, func(tx *db.Tx) error {
		if err := a.Grants.ForgetAccount(ctx, tx, id, "account deleted"); err != nil {
			return err
		}
		return a.People.Delete(ctx, tx, id)
	})
}
