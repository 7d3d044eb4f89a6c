package signin_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/signin"
	"github.com/sekisho-id/sekisho/internal/web"
)

const (
	issuer    = "https://id.test"
	password  = "marble lantern orbit teacup"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 Appendix B
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// bundle is the door with all rooms behind it, real ones on a database of its
// own, and a clock that tests move.
type bundle struct {
	t        testing.TB
	issuer   string
	database *db.DB
	registry *registry.Registry
	people   *account.People
	grants   *grant.Grants
	pairwise *pairwise.Pairwise
	mint     *mint.Mint
	audit    *audit.Log
	door     *signin.Door
	handler  http.Handler
	clock    *clocktest.Clock
	post     *mail.Post
	letters  []mail.Outgoing
}

// seeded is a database with keys, group and two people.
var seeded = dbtest.Seeded{Make: func(ctx context.Context, dsn string) error {
	b := &bundle{issuer: issuer, clock: clocktest.At(time.Unix(1_800_000_042, 0))}
	if err := b.open(ctx, dsn, nil); err != nil {
		return err
	}
	for _, name := range []string{"aiko", "ben"} {
		_, err := b.people.SignUp(ctx, account.NewAccount{
			Email: name + "@example.test", Password: password, Profile: account.Profile{Name: name},
		})
		if err != nil {
			return err
		}
	}
	return b.database.Close()
}}

func TestMain(m *testing.M) {
	code := m.Run()
	seeded.Remove()
	os.Exit(code)
}

// setup opens the rooms on a copy of the seed. Replacements change the
// fixture group: old, new, …
func setup(t testing.TB, replace ...string) *bundle {
	t.Helper()
	b := &bundle{t: t, issuer: issuer, clock: clocktest.At(time.Unix(1_800_000_042, 0))}
	for i := 0; i+1 < len(replace); i += 2 {
		if replace[i] == issuer {
			b.issuer = replace[i+1]
		}
	}
	if err := b.open(t.Context(), seeded.DSN(t), replace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.database.Close() })
	return b
}

// open builds the rooms from the ground up.
func (b *bundle) open(ctx context.Context, path string, replace []string) (err error) {
	if b.database, err = db.Open(ctx, path); err != nil {
		return err
	}
	b.audit = audit.NewLog(b.database, b.clock.Now)
	keys, err := keyring.Open(ctx, keyring.Config{DB: b.database, KEKs: []secret.KEK{secret.LocalKEK([32]byte{})}, Now: b.clock.Now})
	if err != nil {
		return err
	}
	if b.registry, err = registry.Open(ctx, registry.Config{DB: b.database, Now: b.clock.Now}); err != nil {
		return err
	}
	if b.registry.Group() == nil || len(replace) > 0 {
		if err := b.regroup(ctx, replace...); err != nil {
			return err
		}
	}
	b.people, err = account.Open(ctx, account.Config{
		DB: b.database, Hasher: secret.NewHasher(secret.HasherConfig{}), DeviceKey: keys.Secret("device"), Now: b.clock.Now,
		FactorKey: keys.Secret("factor"), Site: func() (string, string) { return b.issuer, b.registry.Current().Name.String() },
	})
	if err != nil {
		return err
	}
	if b.grants, err = grant.Open(ctx, grant.Config{DB: b.database, People: b.people, Now: b.clock.Now}); err != nil {
		return err
	}
	b.pairwise, err = pairwise.Open(ctx, pairwise.Config{
		DB: b.database, Realm: b.registry.Current().Realm, Secrets: [][]byte{make([]byte, 32)}, People: b.people, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	b.mint, err = mint.New(mint.Config{
		Issuer: b.issuer, Registry: b.registry, Keys: keys, Pairwise: b.pairwise, Grants: b.grants, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	pages, err := web.OpenPages(b.issuer, keys.Secret("csrf"), func(language string) string { return b.registry.Current().Name.In(language) }, func() string { return b.registry.Current().Theme })
	if err != nil {
		return err
	}
	b.post, err = mail.New(mail.Config{
		DB: b.database, Key: keys.Secret("mail"), Now: b.clock.Now, Logger: slog.New(slog.DiscardHandler),
		Send: func(_ context.Context, o mail.Outgoing) error { b.letters = append(b.letters, o); return nil },
	})
	if err != nil {
		return err
	}
	b.door = signin.New(signin.Config{
		Post:   b.post,
		Issuer: b.issuer, DB: b.database, Registry: b.registry, People: b.people, Grants: b.grants, Mint: b.mint,
		Pages: pages, Audit: b.audit, Now: b.clock.Now,
	})
	b.handler = web.Log(slog.New(slog.DiscardHandler), nil, web.Recover(web.Harden(b.routes(pages))))
	return nil
}

func (b *bundle) routes(pages *web.Pages) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth2/authorize", b.door.Authorize)
	mux.HandleFunc("GET /signin/{request}", b.door.SignInPage)
	mux.HandleFunc("POST /signin/{request}", b.door.SignIn)
	mux.HandleFunc("GET /verify/{request}", b.door.VerifyPage)
	mux.HandleFunc("POST /verify/{request}", b.door.Verify)
	mux.HandleFunc("GET /theme/{name}", pages.Theme)
	mux.HandleFunc("GET /recover", b.door.RecoverPage)
	mux.HandleFunc("POST /recover", b.door.Recover)
	mux.HandleFunc("GET /recover/{token}", b.door.ChoosePasswordPage)
	mux.HandleFunc("POST /recover/{token}", b.door.ChoosePassword)
	mux.HandleFunc("GET /confirm-email/{token}", b.door.ConfirmEmailPage)
	mux.HandleFunc("POST /confirm-email/{token}", b.door.ConfirmEmail)
	mux.HandleFunc("POST /account", b.door.ChangeAccount)
	mux.HandleFunc("GET /account/data", b.door.AccountData)
	mux.HandleFunc("GET /account/delete", b.door.DeletePage)
	mux.HandleFunc("POST /account/delete", b.door.Delete)
	mux.HandleFunc("GET /account/security", b.door.SecurityPage)
	mux.HandleFunc("POST /account/security", b.door.Security)
	mux.HandleFunc("GET /signup/{request}", b.door.SignUpPage)
	mux.HandleFunc("POST /signup/{request}", b.door.SignUp)
	mux.HandleFunc("GET /consent/{request}", b.door.ConsentPage)
	mux.HandleFunc("POST /consent/{request}", b.door.Consent)
	mux.HandleFunc("/oauth2/logout", b.door.Logout)
	mux.HandleFunc("GET /account", b.door.AccountPage)
	mux.HandleFunc("POST /account/withdraw", b.door.Withdraw)
	mux.HandleFunc("GET /assets/{name}", pages.Asset)
	mux.HandleFunc("/", b.door.NotFound)
	return mux
}

// regroup applies the fixture group with changes.
func (b *bundle) regroup(ctx context.Context, replace ...string) error {
	data, err := os.ReadFile("testdata/group.yaml")
	if err != nil {
		return err
	}
	text := strings.NewReplacer(replace...).Replace(string(data))
	group, err := registry.Parse("group.yaml", []byte(text), func(name string) ([]byte, error) {
		return []byte("secret-of-" + name + strings.Repeat("-x", 20)), nil
	})
	if err != nil {
		return err
	}
	_, err = b.registry.Apply(ctx, group, "test")
	return err
}

// redeem is what the token endpoint gets for a code.
func (b *bundle) redeem(code, clientID, redirectURI string) *grant.Grant {
	b.t.Helper()
	granted, _, err := b.grants.Redeem(b.t.Context(), grant.Redemption{
		Code: code, ClientID: clientID, RedirectURI: redirectURI, Verifier: verifier,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return granted
}

// idToken is an ID token of a grant.
func (b *bundle) idToken(granted *grant.Grant) string {
	b.t.Helper()
	client, ok := b.registry.Current().Client(granted.ClientID)
	if !ok {
		b.t.Fatal("unknown client")
	}
	issued, err := b.mint.IDToken(mint.IDToken{Client: client, Who: granted.Ref, SignIn: mint.SignIn{
		At: granted.AuthTime, ACR: granted.ACR, AMR: granted.AMR, Session: granted.SessionID,
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.Token
}

// read runs fn in a transaction that reads.
func (b *bundle) read(fn func(context.Context, *db.Tx) error) {
	b.t.Helper()
	if err := b.database.Read(b.t.Context(), func(tx *db.Tx) error { return fn(b.t.Context(), tx) }); err != nil {
		b.t.Fatal(err)
	}
}

// waiting counts the stored requests.
func (b *bundle) waiting() (n int) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) error {
		return tx.Row(ctx, `SELECT count(*) FROM signin_request`).Scan(&n)
	})
	return n
}

// refusals counts the refused authorization requests on record.
func (b *bundle) refusals() (n int) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) error {
		records, err := audit.Find(ctx, tx, audit.Query{Event: audit.AuthorizeRefused, Limit: 1000})
		n = len(records)
		return err
	})
	return n
}

// consents counts the clients that aiko and ben have allowed something.
func (b *bundle) consents() (n int) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) error {
		for _, name := range []string{"aiko", "ben"} {
			who, err := b.people.ByEmail(ctx, tx, name+"@example.test")
			if err != nil {
				return err
			}
			list, err := b.grants.ListConsents(ctx, tx, who.ID)
			if err != nil {
				return err
			}
			n += len(list)
		}
		return nil
	})
	return n
}

// accounts counts everybody.
func (b *bundle) accounts() (n int64) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = b.people.CountActive(ctx, tx)
		return err
	})
	return n
}

func (b *bundle) origin() account.Origin { return account.Origin{By: "test"} }
