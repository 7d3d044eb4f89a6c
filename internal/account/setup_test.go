package account_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	origin   = "https://id.test"
	email    = "alice@example.com"
	password = "three green umbrellas sing"
)

var home = netip.MustParseAddr("192.0.2.7")

type bundle struct {
	*account.People
	clock  *clocktest.Clock
	config account.Config
}

func setup(t testing.TB) *bundle {
	t.Helper()
	database, err := db.Open(t.Context(), dbtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	c := clocktest.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	config := account.Config{
		DB:        database,
		Hasher:    secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1, Queue: 2000, Wait: time.Minute}),
		DeviceKey: secret.Bytes(secret.KeySize),
		SiteWords: []string{"sekisho", "Example Market"},
		Now:       c.Now,
		FactorKey: secret.Bytes(secret.KeySize),
		Site:      func() (string, string) { return origin, "Example Market" },
	}
	people, err := account.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{People: people, clock: c, config: config}
}

func (b *bundle) signUp(t testing.TB, email string) *account.Account {
	t.Helper()
	a, err := b.SignUp(t.Context(), account.NewAccount{Email: email, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// attempt tries a password from an address, with a device token or none.
func (b *bundle) attempt(ctx context.Context, login, password string, from netip.Addr, device string) error {
	_, err := b.CheckPassword(ctx, account.Attempt{
		Login: login, Password: password, Device: device,
		Origin: account.Origin{Source: from, Request: "r1"},
	})
	return err
}

func (b *bundle) update(t testing.TB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := b.DB.Update(t.Context(), func(tx *db.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// events counts the audit records of a kind.
func (b *bundle) events(t testing.TB, event audit.Event) []audit.Record {
	t.Helper()
	var found []audit.Record
	err := b.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		found, err = audit.Find(t.Context(), tx, audit.Query{Event: event, Limit: 1000})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
