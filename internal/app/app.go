package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/signin"
	"github.com/sekisho-id/sekisho/internal/subjects"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/internal/web"
)

// App is the authorization server, every room built and the doors not yet open.
// Commands that need no listener use its rooms directly.
type App struct {
	Registry *registry.Registry
	Keys     *keyring.Keyring
	People   *account.People
	Grants   *grant.Grants
	Pairwise *pairwise.Pairwise
	Mint     *mint.Mint
	Audit    *audit.Log
	DB       *db.DB

	config   Config
	issuer   string
	metrics  *metrics
	draining atomic.Bool

	// doors
	signin   *signin.Door
	token    *token.Door
	subjects *subjects.Door
	pages    *web.Pages
}

// Open builds every room on the configured database. At the first start it
// makes signing keys and applies the group file. The error says what to mend.
func Open(ctx context.Context, config Config) (*App, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	database, err := db.Open(ctx, config.Database)
	if err != nil {
		return nil, err
	}
	a := &App{DB: database, config: config, metrics: newMetrics(config.Version)}
	if err := a.build(ctx); err != nil {
		return nil, errors.Join(err, database.Close())
	}
	return a, nil
}

// build makes the rooms from the ground up; the only place they are wired in.
func (a *App) build(ctx context.Context) error {
	c := a.config
	var err error
	a.Audit = audit.NewLog(a.DB, c.Now)
	if a.Grants, err = grant.Open(ctx, grant.Config{DB: a.DB, Now: c.Now}); err != nil {
		return err
	}
	generation := len(c.PPIDSecrets)
	a.Registry, err = registry.Open(ctx, registry.Config{
		DB: a.DB, Now: c.Now, Generation: generation, Removed: a.Grants.RevokeClients,
	})
	if err != nil {
		return err
	}
	if err := a.firstGroup(ctx); err != nil {
		return err
	}
	a.issuer = a.Registry.Current().Issuer
	if a.Keys, err = keyring.Open(ctx, keyring.Config{DB: a.DB, KEK: c.KeyEncryptionKey, Now: c.Now}); err != nil {
		return err
	}
	a.People, err = account.Open(ctx, account.Config{
		DB: a.DB, Hasher: secret.NewHasher(secret.HasherConfig{}), DeviceKey: a.Keys.Secret("device"),
		Generation: generation, SiteWords: a.siteWords(), Now: c.Now,
	})
	if err != nil {
		return err
	}
	a.Pairwise, err = pairwise.Open(ctx, pairwise.Config{
		DB: a.DB, Realm: a.Registry.Realm(), Secrets: c.PPIDSecrets, People: a.People, Now: c.Now,
	})
	if err != nil {
		return err
	}
	a.Mint, err = mint.New(mint.Config{
		Issuer: a.issuer, Registry: a.Registry, Keys: a.Keys, Pairwise: a.Pairwise, Grants: a.Grants, Now: c.Now,
	})
	if err != nil {
		return err
	}
	a.pages, err = web.OpenPages(a.issuer, a.Keys.Secret("csrf"), a.groupName)
	if err != nil {
		return err
	}
	a.signin = signin.New(signin.Config{
		Issuer: a.issuer, DB: a.DB, Registry: a.Registry, People: a.People, Grants: a.Grants, Mint: a.Mint,
		Pages: a.pages, Audit: a.Audit, TrustProxy: c.TrustProxy, Now: c.Now,
	})
	a.token = token.New(token.Config{
		Issuer: a.issuer, DB: a.DB, Registry: a.Registry, People: a.People, Grants: a.Grants, Pairwise: a.Pairwise,
		Mint: a.Mint, Keys: a.Keys, Audit: a.Audit, TrustProxy: c.TrustProxy, Now: c.Now,
	})
	a.subjects = subjects.New(subjects.Config{
		DB: a.DB, Registry: a.Registry, People: a.People, Grants: a.Grants, Pairwise: a.Pairwise, Mint: a.Mint,
		Audit: a.Audit, Logger: c.Logger, Now: c.Now,
	})
	return nil
}

// firstGroup applies the group file where the database has no group yet. Later
// the file is only compared: changes are made by sekisho apply, never by a
// restart.
func (a *App) firstGroup(ctx context.Context) error {
	if a.config.GroupFile == "" {
		if a.Registry.Group() == nil {
			return errors.New("the database has no group yet: give --group with the path of a group file")
		}
		return nil
	}
	group, err := ReadGroupFile(a.config.GroupFile)
	if err != nil {
		return err
	}
	if a.Registry.Group() == nil {
		if _, err := a.Registry.Apply(ctx, group, "first start"); err != nil {
			return fmt.Errorf("apply %s: %w", a.config.GroupFile, err)
		}
		a.config.Logger.Info("applied the group file to an empty database", "file", a.config.GroupFile)
		return nil
	}
	plan, err := a.Registry.Plan(group)
	if err != nil {
		return err
	}
	if !plan.Empty() {
		a.config.Logger.Warn("the group file differs from the group that is in force; see sekisho plan, then sekisho apply",
			"file", a.config.GroupFile, "changes", len(plan.Changes))
	}
	return nil
}

// ReadGroupFile reads and checks a group file; the files it names are looked
// for beside it.
func ReadGroupFile(path string) (*registry.Group, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("group file: %w", err)
	}
	return registry.Parse(path, data, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return os.ReadFile(name) //nolint:gosec // named by the operator's own group file
	})
}

// siteWords are the words nobody may build a password of.
func (a *App) siteWords() []string {
	words := []string{"sekisho"}
	for _, subsystem := range a.Registry.Current().Subsystems() {
		words = append(words, subsystem.Name)
	}
	return words
}

func (a *App) groupName(language string) string {
	if group := a.Registry.Group(); group != nil {
		return group.Name.In(language)
	}
	return ""
}

// Close writes out what is queued and closes the database.
func (a *App) Close(ctx context.Context) error {
	return errors.Join(a.Audit.Flush(ctx), a.DB.Close())
}
