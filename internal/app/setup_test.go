package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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

	"github.com/sekisho-id/sekisho/internal/secret"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/jose"
)

const (
	issuer    = "https://id.test"
	market    = "https://api.market.test"
	pay       = "https://api.pay.test"
	vault     = "https://api.vault.test"
	email     = "aiko@example.test"
	password  = "marble lantern orbit teacup"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// secrets of the fixture group's clients, by client id. One has every
// character that the form encoding of RFC 6749 §2.3.1 changes.
var secrets = map[string]string{
	"suite.basic":    "a-secret-of-suite-basic-of-more-than-32-characters",
	"suite.bound":    "the secret of the client whose tokens are bound",
	"bank.backend":   "a-secret-of-bank-backend-of-more-than-32-characters",
	"suite.pushing":  "the secret of the client that pushes its requests",
	"suite.second":   `100% of: a+b c/d=e&f;g,"h" and more than 32 of them`,
	"suite.post":     "a-secret-of-suite-post-of-more-than-32-characters",
	"market.gateway": "a-secret-of-market-gateway-of-more-than-32-characters",
	"pay.backend":    "a-secret-of-pay-backend-of-more-than-32-characters",
	"vault.backend":  "a-secret-of-vault-backend-of-more-than-32-characters",
	"partner.web":    "a-secret-of-partner-web-of-more-than-32-characters",
	"crypto.worker":  "a-secret-of-crypto-worker-of-more-than-32-characters",
	"market.batch":   "a-secret-of-market-batch-of-more-than-32-characters",
}

// signerKey signs the assertions of market.signer.
var signerKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// rsaKey is the other key of the same clients.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// world is a whole server in this process, a clock that tests move, and what
// the server has logged.
type world struct {
	t       testing.TB
	app     *app.App
	handler http.Handler
	clock   *clocktest.Clock
	log     *logBuffer
	path    string // of the database
	person  *account.Account
	watch   func(r *http.Request, form url.Values, a *httptest.ResponseRecorder) // sees every request, if set
	adjust  func(*app.Config)                                                    // changes the configuration, if set
}

func newClock() *clocktest.Clock { return clocktest.At(time.Unix(1_800_000_042, 0)) }

// logBuffer keeps the log as it would be written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// seeded is a database with keys, group and one person.
var seeded = dbtest.Seeded{Make: func(ctx context.Context, dsn string) error {
	dir, err := os.MkdirTemp("", "app-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	group, err := writeGroup(dir)
	if err != nil {
		return err
	}
	w := &world{path: dsn, clock: newClock(), log: &logBuffer{}}
	if err := w.open(ctx, group); err != nil {
		return err
	}
	_, err = w.app.People.SignUp(ctx, account.NewAccount{
		Email: email, EmailVerified: true, Password: password, Profile: wholeProfile(),
	})
	if err != nil {
		return err
	}
	return w.app.Close(ctx)
}}

func TestMain(m *testing.M) {
	code := m.Run()
	seeded.Remove()
	os.Exit(code)
}

// wholeProfile has a value for every claim there is.
func wholeProfile() account.Profile {
	return account.Profile{
		Name: "Aiko Mori", FamilyName: "Mori", GivenName: "Aiko", MiddleName: "Hana", Nickname: "Ai",
		PreferredUsername: "aiko", ProfileURL: "https://example.test/aiko", Picture: "https://example.test/aiko.png",
		Website: "https://aiko.example.test", Gender: "female", Birthdate: "1990-02-03", ZoneInfo: "Asia/Tokyo", Locale: "ja",
		PhoneNumber: "+81 3 1234 5678", PhoneNumberVerified: true,
		Address: &account.Address{Country: "JP", Locality: "Tokyo"},
	}
}

// writeGroup writes the fixture group with the files it names, and gives its
// path.
func writeGroup(dir string) (string, error) {
	text, err := os.ReadFile("testdata/group.yaml")
	if err != nil {
		return "", err
	}
	jwk, err := jose.PublicJWK(signerKey().Public(), "k1", jose.ES256)
	if err != nil {
		return "", err
	}
	wide, err := jose.PublicJWK(rsaKey().Public(), "rsa", jose.PS256)
	if err != nil {
		return "", err
	}
	wide.Alg = "" // for whatever the profile lets it sign with
	set, err := jose.MarshalSet([]jose.JWK{jwk, wide})
	if err != nil {
		return "", err
	}
	files := map[string][]byte{"group.yaml": text, "market.jwks.json": set}
	for client, secret := range secrets {
		files[client] = []byte(secret)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "group.yaml"), nil
}

// setup opens a server on a copy of the seed.
func setup(t testing.TB) *world {
	t.Helper()
	return start(t, seeded.DSN(t), newClock())
}

// start opens a server on a database that has a group and a person.
func start(t testing.TB, path string, clock *clocktest.Clock) *world {
	t.Helper()
	return startWith(t, &world{t: t, path: path, clock: clock, log: &logBuffer{}})
}

func startWith(t testing.TB, w *world) *world {
	t.Helper()
	if err := w.open(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.app.Close(context.Background()) })
	err := w.app.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		w.person, err = w.app.People.ByEmail(t.Context(), tx, email)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open(ctx context.Context, group string) (err error) {
	config := app.Config{
		Database: w.path, GroupFile: group, Now: w.clock.Now,
		PPIDSecrets:       [][]byte{[]byte("a-ppid-secret-of-just-32-bytes--")},
		KeyEncryptionKeys: []secret.KEK{secret.LocalKEK([32]byte([]byte("a-key-encryption-key-of-32-bytes")))},
		Logger:            slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if w.adjust != nil {
		w.adjust(&config)
	}
	if w.app, err = app.Open(ctx, config); err == nil {
		w.handler = w.app.Handler()
	}
	return err
}

// signedIn is a browser in which the person is signed in, without the work of
// a password.
func (w *world) signedIn() *browser {
	w.t.Helper()
	b := w.browser()
	var cookie string
	err := w.app.DB.Update(w.t.Context(), func(tx *db.Tx) (err error) {
		_, cookie, err = w.app.Grants.StartSession(w.t.Context(), tx, w.person.ID, grant.SignIn{
			AuthTime: w.clock.Now(), ACR: "aal1", AMR: []string{"pwd"},
		})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	b.setCookie(sessionCookie, cookie)
	return b
}

const sessionCookie = "__Host-sekisho_session"

// plain reports whether a text has only the characters of an
// error_description (RFC 6749 §5.2), and no line breaks.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' })
}
