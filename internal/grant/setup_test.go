package grant_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Clients, resources and the PKCE pair of RFC 7636 appendix B.
const (
	web     = "market-app.web"
	ios     = "market-app.ios"
	partner = "blog-partner.web"

	issuer   = "https://id.market.example"
	market   = "https://api.market.example"
	callback = "https://market.example/callback"

	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// world is a database with the rooms a grant needs.
type world struct {
	*testing.T
	ctx    context.Context
	path   string
	clock  *clocktest.Clock
	db     *db.DB
	people *account.People
	grants *grant.Grants
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{
		T:     t,
		ctx:   t.Context(),
		path:  dbtest.DSN(t),
		clock: clocktest.At(time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)),
	}
	w.open()
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

func (w *world) open() {
	w.Helper()
	var err error
	if w.db, err = db.Open(w.ctx, w.path); err != nil {
		w.Fatal(err)
	}
	w.people, err = account.Open(w.ctx, account.Config{
		DB:        w.db,
		Hasher:    secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}),
		DeviceKey: bytes.Repeat([]byte{7}, secret.KeySize),
		Now:       w.clock.Now,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.grants, err = grant.Open(w.ctx, grant.Config{DB: w.db, People: w.people, Now: w.clock.Now})
	if err != nil {
		w.Fatal(err)
	}
}

// restart is a process that ends and comes back.
func (w *world) restart() {
	w.Helper()
	if err := w.db.Close(); err != nil {
		w.Fatal(err)
	}
	w.open()
}

// update runs fn in a transaction that must succeed.
func (w *world) update(fn func(*db.Tx) error) {
	w.Helper()
	if err := w.db.Update(w.ctx, fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(query string, args ...any) {
	w.Helper()
	w.update(func(tx *db.Tx) error {
		_, err := tx.Exec(w.ctx, query, args...)
		return err
	})
}

func (w *world) count(query string, args ...any) (n int) {
	w.Helper()
	err := w.db.Read(w.ctx, func(tx *db.Tx) error {
		return tx.Row(w.ctx, query, args...).Scan(&n)
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) signUp(email string) *account.Account {
	w.Helper()
	a, err := w.people.SignUp(w.ctx, account.NewAccount{Email: email, Password: "correct horse battery staple 42"})
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) signIn(a *account.Account) (s *grant.Session, cookie string) {
	w.Helper()
	w.update(func(tx *db.Tx) (err error) {
		s, cookie, err = w.grants.StartSession(w.ctx, tx, a.ID, w.password())
		return err
	})
	return s, cookie
}

// password is a sign-in that happens now.
func (w *world) password() grant.SignIn {
	return grant.SignIn{AuthTime: w.clock.Now(), ACR: "aal1", AMR: []string{"pwd"}}
}

func (w *world) load(cookie string) (s *grant.Session, err error) {
	err = w.db.Read(w.ctx, func(tx *db.Tx) (err error) {
		s, err = w.grants.LoadSession(w.ctx, tx, cookie)
		return err
	})
	return s, err
}

// ask is an authorization by market-app.web, changed by the options.
func ask(s *grant.Session, options ...func(*grant.Authorization)) grant.Authorization {
	a := grant.Authorization{
		Session:     s,
		ClientID:    web,
		Scopes:      grant.Scopes{issuer: {"openid", "profile"}, market: {"items.read"}},
		RedirectURI: callback,
		Challenge:   challenge,
		Nonce:       "n-0S6_WzA2Mj",
	}
	for _, option := range options {
		option(&a)
	}
	return a
}

func offline(a *grant.Authorization) { a.Offline = true }

func by(client string) func(*grant.Authorization) {
	return func(a *grant.Authorization) { a.ClientID = client }
}

func (w *world) authorize(a grant.Authorization) (code string) {
	w.Helper()
	w.update(func(tx *db.Tx) (err error) {
		code, err = w.grants.Authorize(w.ctx, tx, a)
		return err
	})
	return code
}

func right(code string) grant.Redemption {
	return grant.Redemption{Code: code, ClientID: web, RedirectURI: callback, Verifier: verifier, Refresh: true}
}

func (w *world) redeem(r grant.Redemption) (*grant.Grant, string) {
	w.Helper()
	g, token, err := w.grants.Redeem(w.ctx, r)
	if err != nil {
		w.Fatal(err)
	}
	return g, token
}

// granted goes the whole way to a grant with its first refresh token.
func (w *world) granted(s *grant.Session, options ...func(*grant.Authorization)) (*grant.Grant, string) {
	w.Helper()
	a := ask(s, options...)
	r := right(w.authorize(a))
	r.ClientID = a.ClientID
	return w.redeem(r)
}

// rotate refreshes as a public client does.
func rotate(token string) grant.RefreshRequest {
	return grant.RefreshRequest{Token: token, ClientID: web, Rotate: true}
}

func (w *world) refresh(r grant.RefreshRequest) (successor string) {
	w.Helper()
	_, successor, err := w.grants.Refresh(w.ctx, r)
	if err != nil {
		w.Fatal(err)
	}
	return successor
}

func (w *world) refreshFails(r grant.RefreshRequest, want error) {
	w.Helper()
	g, successor, err := w.grants.Refresh(w.ctx, r)
	if !errors.Is(err, want) || g != nil || successor != "" {
		w.Fatalf("refresh gave %v, %q, %v; want %v", g, successor, err, want)
	}
}

func (w *world) redeemFails(r grant.Redemption, want error) {
	w.Helper()
	g, token, err := w.grants.Redeem(w.ctx, r)
	if !errors.Is(err, want) || g != nil || token != "" {
		w.Fatalf("redeem gave %v, %q, %v; want %v", g, token, err, want)
	}
}

// alive says whether access tokens of the grant are good.
func (w *world) alive(g *grant.Grant) bool { return !w.grants.Revoked(grant.GrantKey(g.ID)) }

// records are the audit records of an event.
func (w *world) records(event audit.Event) (records []audit.Record) {
	w.Helper()
	err := w.db.Read(w.ctx, func(tx *db.Tx) (err error) {
		records, err = audit.Find(w.ctx, tx, audit.Query{Event: event, Limit: 1000})
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return records
}

func (w *world) wantRecords(event audit.Event, n int) {
	w.Helper()
	if got := len(w.records(event)); got != n {
		w.Errorf("%d records of %s; want %d", got, event, n)
	}
}

func s256(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
