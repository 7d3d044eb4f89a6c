package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/internal/web"
)

const (
	issuer   = "https://id.test"
	market   = "https://api.market.test"
	pay      = "https://api.pay.test"
	shop     = "https://api.shop.test"
	ledger   = "https://api.ledger.test"
	archive  = "https://api.archive.test"
	verifier = "a-verifier-of-forty-three-characters-or-more"
	password = "marble lantern orbit teacup"
)

// bundle is the door of the fixture group with all rooms behind it, real ones
// on a database of its own, and a clock that tests move.
type bundle struct {
	t        testing.TB
	db       *db.DB
	registry *registry.Registry
	keys     *keyring.Keyring
	people   *account.People
	grants   *grant.Grants
	pairwise *pairwise.Pairwise
	mint     *mint.Mint
	audit    *audit.Log
	door     *token.Door
	handler  http.Handler
	clock    *clocktest.Clock
	person   *account.Account
}

// marketKey signs the assertions of market.backend.
var marketKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// seeded is a database with keys, group and one person.
var seeded = dbtest.Seeded{Make: func(ctx context.Context, dsn string) error {
	b := &bundle{clock: clocktest.At(time.Unix(1_800_000_042, 0))}
	if err := b.open(ctx, dsn); err != nil {
		return err
	}
	_, err := b.people.SignUp(ctx, account.NewAccount{
		Email: "aiko@example.test", EmailVerified: true, Password: password, Profile: wholeProfile(),
	})
	if err != nil {
		return err
	}
	return b.db.Close()
}}

func TestMain(m *testing.M) {
	code := m.Run()
	seeded.Remove()
	os.Exit(code)
}

func wholeProfile() account.Profile {
	return account.Profile{
		Name: "Aiko Mori", FamilyName: "Mori", GivenName: "Aiko", MiddleName: "Hana", Nickname: "Ai",
		PreferredUsername: "aiko", ProfileURL: "https://example.test/aiko", Picture: "https://example.test/aiko.png",
		Website: "https://aiko.example.test", Gender: "female", Birthdate: "1990-02-03", ZoneInfo: "Asia/Tokyo", Locale: "ja",
		PhoneNumber: "+81 3 1234 5678", PhoneNumberVerified: true,
		Address: &account.Address{Country: "JP", Locality: "Tokyo"},
	}
}

// setup opens the rooms on a copy of the seed.
func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{t: t, clock: clocktest.At(time.Unix(1_800_000_042, 0))}
	if err := b.open(t.Context(), seeded.DSN(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	err := b.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		b.person, err = b.people.ByEmail(t.Context(), tx, "aiko@example.test")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open builds the rooms from the ground up.
func (b *bundle) open(ctx context.Context, path string) (err error) {
	if b.db, err = db.Open(ctx, path); err != nil {
		return err
	}
	b.audit = audit.NewLog(b.db, b.clock.Now)
	if b.keys, err = keyring.Open(ctx, keyring.Config{DB: b.db, KEKs: []secret.KEK{secret.LocalKEK([32]byte{})}, Now: b.clock.Now}); err != nil {
		return err
	}
	if b.registry, err = registry.Open(ctx, registry.Config{DB: b.db, Now: b.clock.Now}); err != nil {
		return err
	}
	if b.registry.Group() == nil {
		group, err := readGroup(nil)
		if err != nil {
			return err
		}
		if _, err := b.registry.Apply(ctx, group, "test"); err != nil {
			return err
		}
	}
	b.people, err = account.Open(ctx, account.Config{
		DB: b.db, Hasher: secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}), DeviceKey: b.keys.Secret("device"), Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	if b.grants, err = grant.Open(ctx, grant.Config{DB: b.db, People: b.people, Now: b.clock.Now}); err != nil {
		return err
	}
	b.pairwise, err = pairwise.Open(ctx, pairwise.Config{
		DB: b.db, Realm: b.registry.Current().Realm, Secrets: [][]byte{make([]byte, 32)}, People: b.people, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	b.mint, err = mint.New(mint.Config{
		Issuer: issuer, Registry: b.registry, Keys: b.keys, Pairwise: b.pairwise, Grants: b.grants, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	b.serve(pairwise.Budget{})
	return nil
}

// serve opens the door, with a daily budget of conversions.
func (b *bundle) serve(budget pairwise.Budget) {
	b.door = token.New(token.Config{
		Issuer: issuer, DB: b.db, Registry: b.registry, People: b.people, Grants: b.grants, Pairwise: b.pairwise,
		Budgets: b.pairwise.NewBudgets(budget, slog.New(slog.DiscardHandler)),
		Mint:    b.mint, Keys: b.keys, Audit: b.audit, Now: b.clock.Now,
	})
	mux := http.NewServeMux()
	mux.HandleFunc(token.PathToken, b.door.Token)
	mux.HandleFunc(token.PathIntrospection, b.door.Introspect)
	mux.HandleFunc(token.PathRevocation, b.door.Revoke)
	mux.HandleFunc(token.PathUserinfo, b.door.Userinfo)
	mux.HandleFunc("GET "+token.PathJWKS, b.door.JWKS)
	mux.HandleFunc("GET /.well-known/openid-configuration", b.door.Metadata)
	b.handler = web.Log(slog.New(slog.DiscardHandler), nil, web.Recover(web.Harden(mux)))
}

// readGroup reads the fixture group, changed by the replacements: old, new, …
func readGroup(replace []string) (*registry.Group, error) {
	data, err := os.ReadFile("testdata/group.yaml")
	if err != nil {
		return nil, err
	}
	text := strings.NewReplacer(replace...).Replace(string(data))
	return registry.Parse("group.yaml", []byte(text), func(name string) ([]byte, error) {
		if name == "market.jwks.json" {
			jwk, err := jose.PublicJWK(marketKey().Public(), "k1", jose.ES256)
			if err != nil {
				return nil, err
			}
			return jose.MarshalSet([]jose.JWK{jwk})
		}
		return []byte(secretOf(name)), nil
	})
}

// secretOf is the secret of a fixture client.
func secretOf(clientID string) string { return "secret-of-" + clientID + strings.Repeat("-x", 20) }

// regroup applies the fixture group with changes.
func (b *bundle) regroup(replace ...string) {
	b.t.Helper()
	group, err := readGroup(replace)
	if err != nil {
		b.t.Fatal(err)
	}
	plan, err := b.registry.Apply(b.t.Context(), group, "test")
	if err != nil {
		b.t.Fatal(err)
	}
	if plan.Empty() {
		b.t.Fatal("the change of the group changed nothing")
	}
}
