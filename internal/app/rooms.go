package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/signin"
)

// Rooms are what an installation keeps: enough for commands, which serve
// nobody. A running server sees their changes through the change feed.
type Rooms struct {
	DB       *db.DB
	Audit    *audit.Log
	Registry *registry.Registry
	Keys     *keyring.Keyring
	People   *account.People
	Pairwise *pairwise.Pairwise
	Grants   *grant.Grants

	config Config
}

// OpenRooms opens an installation. Call Close when done.
func OpenRooms(ctx context.Context, config Config) (*Rooms, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	database, err := db.OpenWith(ctx, config.Database, db.Options{
		Synchronous: config.RequireSynchronous, Logger: config.Logger, Now: config.Now,
	})
	if err != nil {
		return nil, err
	}
	config.Now = database.Now // one clock for all replicas
	r := &Rooms{DB: database, Audit: audit.NewLog(database, config.Now), config: config}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, database.Close())
	}
	return r, nil
}

func (r *Rooms) open(ctx context.Context) error {
	c := r.config
	// What is new gets the current generation of PPID keys. Pairwise stands above
	// the two rooms that make it, so they ask.
	generation := func() int { return r.Pairwise.Current() }
	var err error
	r.Registry, err = registry.Open(ctx, registry.Config{
		DB: r.DB, Now: c.Now, ClientRoots: c.MTLS.Roots, Generation: generation, Removed: r.clientsRemoved,
	})
	if err != nil {
		return err
	}
	if r.Keys, err = keyring.Open(ctx, keyring.Config{DB: r.DB, KEKs: c.KeyEncryptionKeys, Now: c.Now}); err != nil {
		return err
	}
	r.People, err = account.Open(ctx, account.Config{
		DB: r.DB, Hasher: secret.NewHasher(c.Passwords), DeviceKey: r.Keys.Secret("device"),
		FactorKey: r.Keys.Secret("factor"), Site: r.site,
		Generation: generation, SiteWords: r.siteWords(), PasswordHook: r.passwordHook(), Now: c.Now,
	})
	if err != nil {
		return err
	}
	r.Pairwise, err = pairwise.Open(ctx, pairwise.Config{
		DB: r.DB, Realm: r.Registry.Current().Realm, Secrets: c.PPIDSecrets, People: r.People, Now: c.Now,
	})
	if err != nil {
		return err
	}
	r.Grants, err = grant.Open(ctx, grant.Config{DB: r.DB, People: r.People, Now: c.Now})
	return err
}

// clientsRemoved ends what removed clients hold, their streams of events with it.
// The registry stands below the grants, so it is told where to call.
func (r *Rooms) clientsRemoved(ctx context.Context, tx *db.Tx, clients []string) error {
	if err := courier.RemoveClients(ctx, tx, clients); err != nil {
		return err
	}
	return r.Grants.RevokeClients(ctx, tx, clients)
}

// site is the origin of the pages, and what people call the group.
func (r *Rooms) site() (origin, name string) {
	group := r.Registry.Current()
	return group.Issuer, group.Name.String()
}

// passwordHook asks the system that people come from, where there is one.
func (r *Rooms) passwordHook() *account.PasswordHook {
	c := r.config
	if c.PasswordHook == "" {
		return nil
	}
	policy := outgoing.PolicyFor(r.Registry.Current().Issuer, c.PasswordHookNetworks, c.EventRoots)
	return &account.PasswordHook{URL: c.PasswordHook, Secret: c.PasswordHookSecret, Client: outgoing.NewClient(policy)}
}

// siteWords are the words nobody may build a password of.
func (r *Rooms) siteWords() []string {
	words := []string{"sekisho"}
	for _, subsystem := range r.Registry.Current().Subsystems() {
		words = append(words, subsystem.Name)
	}
	return words
}

// Close writes out what is queued, closes the database and ends the sessions of
// key-encryption keys that have any.
func (r *Rooms) Close(ctx context.Context) error {
	err := errors.Join(r.Audit.Flush(ctx), r.DB.Close())
	for _, kek := range r.config.KeyEncryptionKeys {
		if session, ok := kek.(io.Closer); ok {
			err = errors.Join(err, session.Close())
		}
	}
	return err
}

// DisableAccount ends everything an account has and lets it do nothing more. By
// names who asks, for the audit log.
func (r *Rooms) DisableAccount(ctx context.Context, id, by string) error {
	return r.DB.Update(ctx, func(tx *db.Tx) error {
		from, err := r.origin(ctx, tx, id, by)
		if err != nil {
			return err
		}
		if err := r.People.Disable(ctx, tx, id, from); err != nil {
			return err
		}
		return r.Grants.RevokeAccount(ctx, tx, id, outbox.ByAdmin, "account disabled")
	})
}

// EnableAccount lets a disabled account sign in again. What had ended stays so.
func (r *Rooms) EnableAccount(ctx context.Context, id, by string) error {
	return r.DB.Update(ctx, func(tx *db.Tx) error {
		return r.People.Enable(ctx, tx, id, account.Origin{By: by})
	})
}

// DeleteAccount removes an account for ever. Its PPIDs name nobody afterwards.
func (r *Rooms) DeleteAccount(ctx context.Context, id, by string) error {
	return r.DB.Update(ctx, func(tx *db.Tx) error {
		from, err := r.origin(ctx, tx, id, by)
		if err != nil {
			return err
		}
		if err := r.Grants.ForgetAccount(ctx, tx, id, outbox.ByAdmin, "account deleted"); err != nil {
			return err
		}
		return r.People.Delete(ctx, tx, id, from)
	})
}

// SendRecovery writes a letter by which a person chooses another password, for an
// operator, who never sees its link.
func (r *Rooms) SendRecovery(ctx context.Context, email, language, by string) error {
	post, err := mail.New(mail.Config{DB: r.DB, Key: r.Keys.Secret("mail"), Logger: r.config.Logger, Now: r.config.Now})
	if err != nil {
		return err
	}
	group := r.Registry.Current()
	return r.People.SendRecovery(ctx, email, account.Mailing{
		Post: post, Language: language, Group: cmp.Or(group.Name.In(language), strings.TrimPrefix(group.Issuer, "https://")),
		Link: func(token string) string { return group.Issuer + signin.RecoverPath + token },
	}, account.Origin{By: by})
}

// origin is that of a change which ends what clients hold of a person, with who
// they are before it.
func (r *Rooms) origin(ctx context.Context, tx *db.Tx, id, by string) (account.Origin, error) {
	known, err := r.Grants.ClientsOf(ctx, tx, id)
	return account.Origin{By: by, KnownTo: known}, err
}

// Restored tells that the database was restored from a backup: what may be used
// once and was made before is void from now on, in one transaction. By names who
// says so.
func (r *Rooms) Restored(ctx context.Context, by string) error {
	return r.DB.Update(ctx, func(tx *db.Tx) error {
		if err := r.Grants.Restored(ctx, tx); err != nil {
			return err
		}
		requests, err := signin.ForgetRequests(ctx, tx)
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Record{
			At: r.config.Now(), Event: audit.DatabaseRestored, Outcome: audit.OK,
			Detail: map[string]any{"by": by, "signin_requests": requests},
		})
	})
}

// PlanGroup says what applying the group to the database would change. It needs
// no secrets, and makes no database where there is none.
func PlanGroup(ctx context.Context, database string, group *registry.Group) (registry.Plan, error) {
	if path, ok := db.File(database); ok {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return registry.Diff(nil, group), nil
		}
	}
	var plan registry.Plan
	err := WithDatabase(ctx, database, func(opened *db.DB) error {
		held, err := registry.Open(ctx, registry.Config{DB: opened, Now: time.Now})
		if err == nil {
			plan, err = held.Plan(group)
		}
		return err
	})
	return plan, err
}

// EachAuditRecord gives the records that match, oldest first, to each. It needs
// no secrets.
func EachAuditRecord(ctx context.Context, database string, query audit.Query, each func(audit.Record) error) error {
	return WithDatabase(ctx, database, func(opened *db.DB) error { return eachPage(ctx, opened, query, each) })
}

// WithDatabase opens the database of an installation for work that needs no
// secrets. It makes none where there is none.
func WithDatabase(ctx context.Context, database string, work func(*db.DB) error) error {
	if path, ok := db.File(database); ok {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("database: %w", err)
		}
	}
	opened, err := db.Open(ctx, database)
	if err != nil {
		return err
	}
	return errors.Join(work(opened), opened.Close())
}

func eachPage(ctx context.Context, opened *db.DB, query audit.Query, each func(audit.Record) error) error {
	for {
		var page []audit.Record
		err := opened.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = audit.Find(ctx, tx, query)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, record := range page {
			if err := each(record); err != nil {
				return err
			}
		}
		query.After = page[len(page)-1].ID
	}
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
