package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
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
	clock    *clock
	person   *account.Account
}

// clock is the time as the server sees it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// marketKey signs the assertions of market.backend.
var marketKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// template is a database with keys, group and one person, made once: making
// an RSA key and hashing a password for each test would take most of its time.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "token-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "template.db")
	ctx := context.Background()
	b := &bundle{clock: &clock{now: time.Unix(1_800_000_042, 0)}}
	if err := b.open(ctx, path); err != nil {
		return "", err
	}
	_, err = b.people.SignUp(ctx, account.NewAccount{
		Email: "aiko@example.test", EmailVerified: true, Password: password, Profile: wholeProfile(),
	})
	if err != nil {
		return "", err
	}
	return path, b.db.Close()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := template(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
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

// setup opens the rooms on a copy of the template.
func setup(t testing.TB) *bundle {
	t.Helper()
	source, err := template()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sekisho.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, clock: &clock{now: time.Unix(1_800_000_042, 0)}}
	if err := b.open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	err = b.db.Read(t.Context(), func(tx *db.Tx) (err error) {
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
	if b.keys, err = keyring.Open(ctx, keyring.Config{DB: b.db, KEK: make([]byte, 32), Now: b.clock.Now}); err != nil {
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
		DB: b.db, Hasher: secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}), DeviceKey: b.keys.Secret("device"), Generation: 1, Now: b.clock.Now,
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
	b.door = token.New(token.Config{
		Issuer: issuer, DB: b.db, Registry: b.registry, People: b.people, Grants: b.grants, Pairwise: b.pairwise,
		Mint: b.mint, Keys: b.keys, Audit: b.audit, Now: b.clock.Now,
	})
	mux := http.NewServeMux()
	mux.HandleFunc(token.PathToken, b.door.Token)
	mux.HandleFunc(token.PathIntrospection, b.door.Introspect)
	mux.HandleFunc(token.PathRevocation, b.door.Revoke)
	mux.HandleFunc(token.PathUserinfo, b.door.Userinfo)
	mux.HandleFunc("GET "+token.PathJWKS, b.door.JWKS)
	mux.HandleFunc("GET /.well-known/openid-configuration", b.door.Metadata)
	b.handler = web.Log(slog.New(slog.DiscardHandler), nil, web.Recover(web.Harden(mux)))
	return nil
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

// answer is what an endpoint answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// into reads the body as JSON.
func into[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return v
}

// as says which client a request is from.
type as func(*http.Request, url.Values)

// basic authenticates with client_secret_basic.
func basic(clientID string) as {
	return func(r *http.Request, _ url.Values) { r.SetBasicAuth(clientID, secretOf(clientID)) }
}

// public names a public client.
func public(clientID string) as {
	return func(_ *http.Request, form url.Values) { form.Set("client_id", clientID) }
}

// post sends a form. Values come in pairs.
func (b *bundle) post(path string, who as, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+path, http.NoBody)
	if who != nil {
		who(r, form)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = io.NopCloser(strings.NewReader(form.Encode()))
	return b.send(r)
}

func (b *bundle) send(r *http.Request) answer {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// tokens sends a token request that must succeed.
func (b *bundle) tokens(who as, pairs ...string) oauth.TokenResponse {
	b.t.Helper()
	a := b.post(token.PathToken, who, pairs...)
	if a.status != http.StatusOK {
		b.t.Fatalf("token request %v: %d %s", pairs, a.status, a.body)
	}
	return into[oauth.TokenResponse](b.t, a)
}

// wantRefusal checks that a request was refused with the code, and that the
// description has the words and keeps to the characters of RFC 6749 §5.2.
func (b *bundle) wantRefusal(a answer, status int, code oauth.Code, words string) {
	b.t.Helper()
	refusal := into[oauth.Error](b.t, a)
	if a.status != status || refusal.Code != code || !strings.Contains(refusal.Description, words) {
		b.t.Errorf("answer %d %s, want %d %s with %q", a.status, a.body, status, code, words)
	}
	for _, c := range refusal.Description {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			b.t.Errorf("description %q has the character %q", refusal.Description, c)
		}
	}
	if a.header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("a refusal may be cached: %q", a.header.Get("Cache-Control"))
	}
}

// signIn is what a person allowed a client in a browser.
type signIn struct {
	client      string
	redirectURI string
	scopes      grant.Scopes
	claims      string
	exact       bool
	noPKCE      bool
	offline     bool
}

// code signs the person in and gives the code that the client gets.
func (b *bundle) code(s signIn) string {
	b.t.Helper()
	ctx := b.t.Context()
	var code string
	err := b.db.Update(ctx, func(tx *db.Tx) error {
		session, _, err := b.grants.StartSession(ctx, tx, b.person.ID, grant.SignIn{
			AuthTime: b.clock.Now(), ACR: "aal1", AMR: []string{"pwd"},
		})
		if err != nil {
			return err
		}
		challenge := sha256.Sum256([]byte(verifier))
		a := grant.Authorization{
			Session: session, ClientID: s.client, Scopes: s.scopes, RedirectURI: s.redirectURI, Nonce: "n-1",
			Challenge: base64.RawURLEncoding.EncodeToString(challenge[:]), Claims: s.claims, ExactAuthTime: s.exact, Offline: s.offline,
		}
		if s.noPKCE {
			a.Challenge = ""
		}
		code, err = b.grants.Authorize(ctx, tx, a)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return code
}

// redemption are the parameters of a token request with a code.
func redemption(code, redirectURI string, more ...string) []string {
	return append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier}, more...)
}

const (
	webRedirect     = "https://market.test/callback"
	partnerRedirect = "https://partner.test/callback"
)

// appTokens are the tokens of the app in the browser, with the scopes given.
func (b *bundle) appTokens(scopes grant.Scopes, more ...string) oauth.TokenResponse {
	b.t.Helper()
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: scopes})
	return b.tokens(public("market-app.web"), redemption(code, webRedirect, more...)...)
}

// exchange are the parameters of a token exchange.
func exchange(subject, resource string, more ...string) []string {
	pairs := []string{
		"grant_type", string(oauth.GrantTokenExchange),
		"subject_token", subject, "subject_token_type", string(oauth.TokenTypeAccess),
	}
	if resource != "" {
		pairs = append(pairs, "resource", resource)
	}
	return append(pairs, more...)
}

// claims reads an access token that must be alive.
func (b *bundle) claims(accessToken string) *oauth.AccessTokenClaims {
	b.t.Helper()
	checked, err := b.mint.Check(b.t.Context(), accessToken)
	if err != nil {
		b.t.Fatalf("token is not alive: %v", err)
	}
	return checked.Claims()
}

// subject is the person's pairwise subject in a subsystem's sector.
func (b *bundle) subject(subsystem string) string {
	b.t.Helper()
	s, ok := b.registry.Current().Subsystem(subsystem)
	if !ok {
		b.t.Fatalf("no subsystem %s", subsystem)
	}
	return b.pairwise.Subject(s.Sector, b.person.Ref)
}

// introspect asks for a token and gives the body of the answer.
func (b *bundle) introspect(who as, accessToken string) oauth.Introspection {
	b.t.Helper()
	a := b.post(token.PathIntrospection, who, "token", accessToken)
	if a.status != http.StatusOK {
		b.t.Fatalf("introspection: %d %s", a.status, a.body)
	}
	return into[oauth.Introspection](b.t, a)
}

// bearer asks userinfo with a token in the header.
func (b *bundle) bearer(method, accessToken string) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, issuer+token.PathUserinfo, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	return b.send(r)
}

// headerOf reads the header of a JWT.
func headerOf(t testing.TB, jwt string) map[string]any { return segmentOf(t, jwt, 0) }

// payloadOf reads the claims of a JWT.
func payloadOf(t testing.TB, jwt string) map[string]any { return segmentOf(t, jwt, 1) }

func segmentOf(t testing.TB, jwt string, i int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	return members
}
