package subjects_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/subjects"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const issuer = "https://id.test"

// bundle is the door with everything below it.
type bundle struct {
	testing.TB
	clock    *clocktest.Clock
	db       *db.DB
	registry *registry.Registry
	people   *account.People
	grants   *grant.Grants
	pairwise *pairwise.Pairwise
	mint     *mint.Mint
	audit    *audit.Log
	log      *lines
	handler  http.Handler
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// seeded is a database with signing keys and the group.
var seeded = dbtest.Seeded{Make: func(ctx context.Context, dsn string) error {
	b := newBundle(nil)
	if err := b.open(ctx, dsn, pairwise.Budget{}); err != nil {
		return err
	}
	return b.db.Close()
}}

func TestMain(m *testing.M) {
	code := m.Run()
	seeded.Remove()
	os.Exit(code)
}

func newBundle(t testing.TB) *bundle {
	return &bundle{TB: t, clock: clocktest.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), log: &lines{}}
}

func setup(t testing.TB) *bundle { return setupBudget(t, pairwise.Budget{}) }

func setupBudget(t testing.TB, budget pairwise.Budget) *bundle {
	t.Helper()
	b := newBundle(t)
	if err := b.open(t.Context(), seeded.DSN(t), budget); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	return b
}

// open builds the rooms from the ground up.
func (b *bundle) open(ctx context.Context, path string, budget pairwise.Budget) (err error) {
	now := b.clock.Now
	if b.db, err = db.Open(ctx, path); err != nil {
		return err
	}
	b.audit = audit.NewLog(b.db, now)
	keys, err := keyring.Open(ctx, keyring.Config{DB: b.db, KEKs: []secret.KEK{secret.LocalKEK([32]byte{})}, Now: now})
	if err != nil {
		return err
	}
	if b.registry, err = registry.Open(ctx, registry.Config{DB: b.db, Now: now}); err != nil {
		return err
	}
	if b.registry.Group() == nil {
		if err := b.apply(ctx); err != nil {
			return err
		}
	}
	b.people, err = account.Open(ctx, account.Config{
		DB: b.db, Hasher: secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}), DeviceKey: keys.Secret("device"), Now: now,
	})
	if err != nil {
		return err
	}
	if b.grants, err = grant.Open(ctx, grant.Config{DB: b.db, People: b.people, Now: now}); err != nil {
		return err
	}
	b.pairwise, err = pairwise.Open(ctx, pairwise.Config{
		DB: b.db, Realm: b.registry.Current().Realm, Secrets: [][]byte{make([]byte, 32)}, People: b.people, Now: now,
	})
	if err != nil {
		return err
	}
	b.mint, err = mint.New(mint.Config{
		Issuer: issuer, Registry: b.registry, Keys: keys, Pairwise: b.pairwise, Grants: b.grants, Now: now,
	})
	if err != nil {
		return err
	}
	door := subjects.New(subjects.Config{
		DB: b.db, Registry: b.registry, Grants: b.grants, Pairwise: b.pairwise, Mint: b.mint,
		Audit: b.audit, Budgets: b.pairwise.NewBudgets(budget, slog.New(slog.NewJSONHandler(b.log, nil))), Now: now,
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/subjects/convert", door.Convert)
	mux.HandleFunc("/subjects/reissue", door.Reissue)
	b.handler = web.Log(slog.New(slog.NewJSONHandler(b.log, nil)), nil, web.Recover(web.Harden(mux)))
	return nil
}

// apply applies the group of the tests, changed by the replacements.
func (b *bundle) apply(ctx context.Context, replace ...string) error {
	data, err := os.ReadFile("testdata/group.yaml")
	if err != nil {
		return err
	}
	text := strings.NewReplacer(replace...).Replace(string(data))
	group, err := registry.Parse("group.yaml", []byte(text), func(name string) ([]byte, error) {
		return []byte(name + strings.Repeat("-secret", 8)), nil
	})
	if err != nil {
		return err
	}
	_, err = b.registry.Apply(ctx, group, "test")
	return err
}

func (b *bundle) subsystem(name string) *registry.Subsystem {
	b.Helper()
	found, ok := b.registry.Current().Subsystem(name)
	if !ok {
		b.Fatalf("no subsystem %s", name)
	}
	return found
}

func (b *bundle) client(id string) *registry.Client {
	b.Helper()
	found, ok := b.registry.Current().Client(id)
	if !ok {
		b.Fatalf("no client %s", id)
	}
	return found
}

// sub is the subject of a person in the sector of a subsystem.
func (b *bundle) sub(subsystem string, who *account.Account) string {
	b.Helper()
	return b.pairwise.Subject(b.subsystem(subsystem).Sector, who.Ref)
}

func (b *bundle) signUp(name string) *account.Account {
	b.Helper()
	a, err := b.people.SignUp(b.Context(), account.NewAccount{Email: name + "@example.com", Password: "three green umbrellas sing"})
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func (b *bundle) update(fn func(ctx context.Context, tx *db.Tx) error) {
	b.Helper()
	if err := b.db.Update(b.Context(), func(tx *db.Tx) error { return fn(b.Context(), tx) }); err != nil {
		b.Fatal(err)
	}
}

// signIn has a person sign in at a client and gives the grant's id.
func (b *bundle) signIn(who *account.Account, clientID string) *grant.Grant {
	b.Helper()
	const redirect = "https://partner.test/callback"
	var code string
	b.update(func(ctx context.Context, tx *db.Tx) error {
		session, _, err := b.grants.StartSession(ctx, tx, who.ID, grant.SignIn{AuthTime: b.clock.Now(), ACR: "aal1", AMR: []string{"pwd"}})
		if err != nil {
			return err
		}
		code, err = b.grants.Authorize(ctx, tx, grant.Authorization{
			Session: session, ClientID: clientID, Scopes: grant.Scopes{"https://api.market.test": {"items.read"}}, RedirectURI: redirect,
		})
		return err
	})
	granted, _, err := b.grants.Redeem(b.Context(), grant.Redemption{Code: code, ClientID: clientID, RedirectURI: redirect})
	if err != nil {
		b.Fatal(err)
	}
	return granted
}

// token is a token in service context for conversion.
func (b *bundle) token(clientID string) string {
	b.Helper()
	return b.serviceToken(mint.ServiceToken{
		Client: b.client(clientID), Audience: oauth.Audience{issuer}, Scopes: oauth.Scopes{oauth.ScopeConvert},
	})
}

func (b *bundle) serviceToken(t mint.ServiceToken) string {
	b.Helper()
	issued, err := b.mint.ServiceToken(t)
	if err != nil {
		b.Fatal(err)
	}
	return issued.Token
}

// answer is what the endpoint answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// post sends a body with a token.
func (b *bundle) post(token, body string) answer {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, issuer+"/subjects/convert", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return b.send(r)
}

func (b *bundle) send(r *http.Request) answer {
	b.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// convert converts subjects as a client; nobody is "".
func (b *bundle) convert(clientID, from, to string, list ...string) []string {
	b.Helper()
	got := b.post(b.token(clientID), body(from, to, list...))
	if got.status != http.StatusOK {
		b.Fatalf("%s from %s to %s: %d %s", clientID, from, to, got.status, got.body)
	}
	var answer struct{ Subjects []*string }
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
		b.Fatalf("%v in %s", err, got.body)
	}
	converted := make([]string, len(answer.Subjects))
	for i, s := range answer.Subjects {
		if s != nil {
			converted[i] = *s
		}
	}
	return converted
}

func body(from, to string, list ...string) string {
	if list == nil {
		list = []string{}
	}
	text, err := json.Marshal(map[string]any{"from": from, "to": to, "subjects": list})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// wantRefusal checks a refusal and what the audit log says of it.
func (b *bundle) wantRefusal(got answer, status int, code oauth.Code, words string) {
	b.Helper()
	var refusal oauth.Error
	if err := json.Unmarshal([]byte(got.body), &refusal); err != nil {
		b.Fatalf("%d %q: %v", got.status, got.body, err)
	}
	if got.status != status || refusal.Code != code || !strings.Contains(refusal.Description, words) {
		b.Errorf("answer %d %s, want %d %s with %q", got.status, got.body, status, code, words)
	}
}

// records are the audit records of an event.
func (b *bundle) records(event audit.Event) []audit.Record {
	b.Helper()
	if err := b.audit.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	var found []audit.Record
	err := b.db.Read(b.Context(), func(tx *db.Tx) (err error) {
		found, err = audit.Find(b.Context(), tx, audit.Query{Event: event})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return found
}

func numbered(format string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}
