package pairwise_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
)

var (
	market = registry.Sector{Name: "market", ID: "sector-1", Gen: 1}
	app    = registry.Sector{Name: "market-app", ID: "sector-2", Gen: 1}
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// ppidSecret is the secret of a generation.
func ppidSecret(gen int) []byte { return bytes.Repeat([]byte{byte(gen)}, pairwise.SecretSize) }

func openDB(t testing.TB) *db.DB {
	t.Helper()
	database, err := db.Open(t.Context(), dbtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}

// openPeople opens the accounts of a database, new ones under a generation.
func openPeople(t testing.TB, database *db.DB, gen int) *account.People {
	t.Helper()
	people, err := account.Open(t.Context(), account.Config{
		DB: database, Hasher: secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}),
		DeviceKey: secret.Bytes(secret.KeySize), Generation: func() int { return gen }, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return people
}

// secrets are those of generations 1 to n.
func secrets(n int) (list [][]byte) {
	for g := range n {
		list = append(list, ppidSecret(g+1))
	}
	return list
}

// open opens a database with generations 1 to n, all of them in use.
func open(t testing.TB, database *db.DB, generations int) *pairwise.Pairwise {
	t.Helper()
	config := pairwise.Config{
		DB: database, Realm: "realm-1", Secrets: secrets(generations), People: openPeople(t, database, generations),
		Now: func() time.Time { return now().Add(-time.Hour) },
	}
	p, err := pairwise.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	known, err := p.Generations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range generations - len(known) {
		if _, err := p.NextGeneration(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
	}
	config.Now = now
	if p, err = pairwise.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	return p
}

func signUp(t testing.TB, people *account.People, email string) *account.Account {
	t.Helper()
	a, err := people.SignUp(t.Context(), account.NewAccount{Email: email, Password: "three green umbrellas sing"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func update(t testing.TB, database *db.DB, fn func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := database.Update(t.Context(), func(tx *db.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func resolve(t testing.TB, p *pairwise.Pairwise, s registry.Sector, subs ...string) []account.Ref {
	t.Helper()
	refs, err := p.Resolve(t.Context(), s, subs)
	if err != nil {
		t.Fatal(err)
	}
	if len(refs) != len(subs) {
		t.Fatalf("%d answers for %d subjects", len(refs), len(subs))
	}
	return refs
}
