package issuer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/oauth2/jwks"

var kind = issuer.Kind{Types: []string{"at+jwt"}, Algorithms: []jose.SignatureAlgorithm{jose.ES256}}

type fixture struct {
	server *issuertest.Issuer
	keys   *issuer.Keys
	second *ecdsa.PrivateKey // "key-2", not published yet
}

func setup(t *testing.T) *fixture {
	t.Helper()
	server := issuertest.New()
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	keys := issuer.NewKeys(server.URL+path, issuer.Client(&http.Client{Transport: transport}), server.Clock.Now)
	if err := keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{server, keys, second}
}

// verify checks a token of the first or second key.
func (f *fixture) verify(t *testing.T, kid string) error {
	t.Helper()
	key := f.server.Key
	if kid == "key-2" {
		key = f.second
	}
	token := issuertest.Sign(jose.ES256, key, map[string]any{"kid": kid, "typ": "at+jwt"}, map[string]any{"sub": "alice"})
	var claims struct {
		Subject string `json:"sub"`
	}
	err := f.keys.Verify(t.Context(), token, kind, &claims)
	if err == nil && claims.Subject != "alice" {
		t.Errorf("read the claims as %+v", claims)
	}
	return err
}

func (f *fixture) wantFetches(t *testing.T, want int) {
	t.Helper()
	if got := f.server.Count(path); got != want {
		t.Errorf("%d requests for keys, want %d", got, want)
	}
}

func TestUnknownKeysCauseOneFetchPerHalfMinute(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for round := range 4 {
		var wait sync.WaitGroup
		for n := range 100 {
			wait.Go(func() {
				if err := f.verify(t, fmt.Sprintf("invented-%d-%d", round, n)); !errors.Is(err, issuer.ErrUnknownKey) {
					t.Errorf("got %v", err)
				}
			})
		}
		wait.Wait()
		f.wantFetches(t, 1+round/2)
		f.server.Clock.Advance(15 * time.Second)
	}
}

func TestANewKeyIsFound(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.server.Publish(issuertest.PublicKey(f.server.Key, "key-1"), issuertest.PublicKey(f.second, "key-2"))
	f.server.Clock.Advance(31 * time.Second)
	for _, kid := range []string{"key-2", "key-1"} {
		if err := f.verify(t, kid); err != nil {
			t.Errorf("%s: %v", kid, err)
		}
	}
	f.wantFetches(t, 2)
}

func TestAWithdrawnKeyIsForgotten(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.server.Publish(issuertest.PublicKey(f.second, "key-2"))
	f.server.Clock.Advance(10 * time.Minute)
	if err := f.verify(t, "key-1"); !errors.Is(err, issuer.ErrUnknownKey) {
		t.Errorf("after the keys' life: got %v", err)
	}
}

func TestKeysAreKeptThroughAnOutage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.server.Away(true)
	f.server.Clock.Advance(23*time.Hour + 59*time.Minute)
	if err := f.verify(t, "key-1"); err != nil {
		t.Errorf("a known key: %v", err)
	}
	if err := f.verify(t, "key-2"); !errors.Is(err, issuer.ErrUnknownKey) {
		t.Errorf("a new key: got %v", err)
	}
	f.wantFetches(t, 2)
	f.server.Clock.Advance(time.Minute)
	if err := f.verify(t, "key-1"); err == nil || errors.Is(err, issuer.ErrUnknownKey) {
		t.Errorf("after 24 hours: got %v", err)
	}
	f.server.Away(false)
	f.server.Clock.Advance(time.Minute)
	if err := f.verify(t, "key-1"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestKeysAreRefreshedBehind(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.server.CacheControl = "public, max-age=100"
	f.server.Clock.Advance(10 * time.Minute)
	if err := f.verify(t, "key-1"); err != nil {
		t.Fatal(err)
	}
	f.wantFetches(t, 2)
	f.server.Clock.Advance(79 * time.Second)
	if err := f.verify(t, "key-1"); err != nil {
		t.Fatal(err)
	}
	f.wantFetches(t, 2)

	// From here on the known keys are used while new ones are fetched; who
	// needs a new one joins that fetch.
	f.server.Publish(issuertest.PublicKey(f.second, "key-2"))
	f.server.Clock.Advance(2 * time.Second)
	if err := f.verify(t, "key-1"); err != nil {
		t.Fatal(err)
	}
	if err := f.keys.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.verify(t, "key-2"); err != nil {
		t.Error(err)
	}
	f.wantFetches(t, 3)
}

func TestKeyLifeHasLimits(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"no-store":                 time.Minute,
		"max-age=1":                time.Minute,
		"max-age=99999999":         24 * time.Hour,
		"max-age=-1":               10 * time.Minute,
		"max-age=x":                10 * time.Minute,
		`MAX-AGE="120", immutable`: 2 * time.Minute,
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.server.CacheControl = header
			f.server.Clock.Advance(24 * time.Hour)
			if err := f.verify(t, "key-1"); err != nil {
				t.Fatal(err)
			}
			f.server.Publish(issuertest.PublicKey(f.second, "key-2"))
			f.server.Clock.Advance(want)
			if err := f.verify(t, "key-1"); !errors.Is(err, issuer.ErrUnknownKey) {
				t.Errorf("used beyond %v: %v", want, err)
			}
		})
	}
}

func TestBadSetsAreRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := func(kid string) string {
		json, err := issuertest.PublicKey(key, kid).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(json)
	}
	private, err := jose.JSONWebKey{Key: key, KeyID: "private", Algorithm: "ES256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	symmetric := `{"kty":"oct","kid":"oct","alg":"HS256","k":"AAAA"}`
	many := make([]string, 21)
	for i := range many {
		many[i] = public(fmt.Sprint(i))
	}
	cases := map[string]struct {
		body string
		good bool
	}{
		"one key":               {`{"keys":[` + public("a") + `]}`, true},
		"one among the unknown": {`{"keys":[{"kty":"new"},` + symmetric + `,` + public("a") + `]}`, true},
		"no key":                {`{"keys":[]}`, false},
		"only a secret one":     {`{"keys":[` + symmetric + `]}`, false},
		"only a private one":    {`{"keys":[` + string(private) + `]}`, false},
		"no key id":             {`{"keys":[` + public("") + `]}`, false},
		"for encryption":        {`{"keys":[` + strings.Replace(public("a"), `"sig"`, `"enc"`, 1) + `]}`, false},
		"one id twice":          {`{"keys":[` + public("a") + `,` + public("a") + `]}`, false},
		"too many":              {`{"keys":[` + strings.Join(many, ",") + `]}`, false},
		"too large":             {`{"keys":[` + public("a") + `]}` + strings.Repeat(" ", 64<<10), false},
		"no JSON":               {`<html>`, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if _, err := w.Write([]byte(c.body)); err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(server.Close)
			keys := issuer.NewKeys(server.URL, issuer.Client(server.Client()), time.Now)
			if err := keys.Load(t.Context()); (err == nil) != c.good {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A broken answer must not throw good keys away.
func TestABadSetReplacesNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.server.Publish()
	f.server.Clock.Advance(time.Hour)
	if err := f.verify(t, "key-1"); err != nil {
		t.Error(err)
	}
}

// Only an issuer that was asked just now can say that a key is none of its own.
func TestAnUnknownKeyMayBeNew(t *testing.T) {
	t.Parallel()
	f := setup(t)
	notAsked := func(name string, want bool) {
		t.Helper()
		err := f.verify(t, "key-2")
		if !errors.Is(err, issuer.ErrUnknownKey) || errors.Is(err, issuer.ErrNotAsked) != want {
			t.Errorf("%s: got %v", name, err)
		}
	}
	notAsked("the keys were loaded just before", true)
	f.server.Clock.Advance(30 * time.Second)
	notAsked("asked now", false)
	notAsked("asked before", true)
	f.server.Clock.Advance(30 * time.Second)
	f.server.Away(true)
	notAsked("away", true)
}

func TestATokenMayBeAsLongAsItsKindAllows(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.server.AccessToken(map[string]any{"text": strings.Repeat("x", 17<<10)})
	var claims map[string]any
	if err := f.keys.Verify(t.Context(), token, kind, &claims); !errors.Is(err, issuer.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	longer := kind
	longer.MaxBytes = 64 << 10
	if err := f.keys.Verify(t.Context(), token, longer, &claims); err != nil {
		t.Error(err)
	}
}

func TestFurtherDocumentsStandBeforeTheIssuersPath(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for path, want := range map[string]string{
		"": "/.well-known/name", "/": "/.well-known/name", "/group": "/.well-known/name/group",
	} {
		var got struct{ Path string }
		err := issuer.Read(t.Context(), issuer.Client(&http.Client{Transport: transport}), server.URL+path, "name", &got)
		if err != nil || got.Path != want {
			t.Errorf("%s: got %q, %v", path, got.Path, err)
		}
	}
	if err := issuer.Read(t.Context(), issuer.Client(nil), "http://id.market.example", "name", new(any)); err == nil {
		t.Error("read in the clear")
	}
}

// Who comes while the first fetch is under way waits for it, whatever became of
// the pause between two.
func TestAFetchUnderWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := setup(t)
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-answer
		f.server.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	f.keys = issuer.NewKeys(slow.URL+path, issuer.Client(&http.Client{Transport: transport}), f.server.Clock.Now)
	var wait sync.WaitGroup
	verify := func() {
		if err := f.verify(t, "key-1"); err != nil {
			t.Error(err)
		}
	}
	wait.Go(verify)
	<-asked
	for range 10 {
		wait.Go(verify)
	}
	close(answer)
	wait.Wait()
}
