package registry_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// sign makes an assertion.
func sign(t testing.TB, key *ecdsa.PrivateKey, kid, typ string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(key, jose.ES256, kid, typ)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// claims are those of a good assertion, with some of them changed; nil removes.
func claims(jti string, changes ...any) map[string]any {
	c := map[string]any{
		"iss": "shop.jwt", "sub": "shop.jwt", "aud": issuer, "jti": jti,
		"iat": start.Unix(), "exp": start.Add(time.Minute).Unix(),
	}
	for i := 0; i < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if c[name] = changes[i+1]; changes[i+1] == nil {
			delete(c, name)
		}
	}
	return c
}

func assertion(compact string) registry.Credentials {
	return registry.Credentials{
		Method: registry.AuthPrivateKeyJWT, AssertionType: oauth.AssertionJWTBearer, Assertion: compact,
		Audiences: []string{issuer, tokenURL},
	}
}

// TestAssertions is K1, K2 and K4.
func TestAssertions(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	for _, test := range []struct {
		name    string
		changes []any
		good    bool
	}{
		{"issuer", nil, true},
		{"token endpoint", []any{"aud", tokenURL}, true},
		{"issuer in a list", []any{"aud", []string{issuer}}, true},
		{"token endpoint in a list", []any{"aud", []string{tokenURL}}, true},
		{"issuer and another", []any{"aud", []string{issuer, "https://other.example"}}, false},
		{"issuer and token endpoint", []any{"aud", []string{issuer, tokenURL}}, false},
		{"issuer twice", []any{"aud", []string{issuer, issuer}}, false},
		{"issuer with a slash", []any{"aud", issuer + "/"}, false},
		{"issuer in capitals", []any{"aud", strings.ToUpper(issuer)}, false},
		{"another server", []any{"aud", "https://other.example"}, false},
		{"no audience", []any{"aud", nil}, false},
		{"empty audience", []any{"aud", ""}, false},
		{"empty list", []any{"aud", []string{}}, false},
		{"audience is a number", []any{"aud", 5}, false},
		{"iss of another client", []any{"iss", "shop.other"}, false},
		{"no iss", []any{"iss", nil}, false},
		{"no sub", []any{"sub", nil}, false},
		{"empty sub", []any{"sub", ""}, false},
		{"iss is the issuer", []any{"iss", issuer}, false},
		{"no exp", []any{"exp", nil}, false},
		{"exp is text", []any{"exp", "1775044860"}, false},
		{"exp is null", []any{"exp", json.RawMessage("null")}, false},
		{"exp with a fraction", []any{"exp", float64(at(time.Minute)) + 0.5}, true},
		{"exp beyond all time", []any{"exp", json.RawMessage("1e308")}, false},
		{"expires now", []any{"exp", at(0)}, false},
		{"expired", []any{"exp", at(-time.Second)}, false},
		{"expires in a second", []any{"exp", at(time.Second)}, true},
		{"exp five minutes away", []any{"exp", at(5 * time.Minute)}, true},
		{"exp five minutes and a second away", []any{"exp", at(5*time.Minute + time.Second)}, false},
		{"exp an hour away", []any{"exp", at(time.Hour)}, false},
		{"no iat", []any{"iat", nil}, true},
		{"iat ten seconds ahead", []any{"iat", at(10 * time.Second)}, true},
		{"iat sixty seconds ahead", []any{"iat", at(60 * time.Second)}, true},
		{"iat more than sixty seconds ahead", []any{"iat", at(61 * time.Second)}, false},
		{"nbf ten seconds ahead", []any{"nbf", at(10 * time.Second)}, true},
		{"nbf more than sixty seconds ahead", []any{"nbf", at(61 * time.Second)}, false},
		{"no jti", []any{"jti", nil}, false},
		{"empty jti", []any{"jti", ""}, false},
		{"jti of 257 bytes", []any{"jti", strings.Repeat("x", 257)}, false},
		{"more claims", []any{"cnf", map[string]any{"jkt": "x"}}, true},
	} {
		compact := sign(t, k.a, "a", "JWT", claims(test.name, test.changes...))
		client, err := b.Authenticate(t.Context(), assertion(compact))
		var want error
		if !test.good {
			want = registry.ErrAssertion
		}
		checkAnswer(t, test.name, client, err, "shop.jwt", want)
	}
}

// TestAssertionCredentials is K2, K5 and what stands around an assertion.
func TestAssertionCredentials(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	good := func(jti string) registry.Credentials {
		return assertion(sign(t, k.a, "a", "JWT", claims(jti)))
	}
	with := func(c registry.Credentials, change func(*registry.Credentials)) registry.Credentials {
		change(&c)
		return c
	}
	unsigned := func(header string) registry.Credentials {
		payload, _ := json.Marshal(claims("unsigned"))
		encode := base64.RawURLEncoding.EncodeToString
		return assertion(encode([]byte(header)) + "." + encode(payload) + ".")
	}
	for _, test := range []struct {
		name        string
		credentials registry.Credentials
		want        error
	}{
		{"client_id beside it", with(good("1"), func(c *registry.Credentials) { c.ClientID = "shop.jwt" }), nil},
		{"another client_id beside it", with(good("2"), func(c *registry.Credentials) { c.ClientID = "shop.other" }), registry.ErrAssertion},
		{"another assertion type", with(good("3"), func(c *registry.Credentials) {
			c.AssertionType = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"
		}), registry.ErrAssertion},
		{"no assertion type", with(good("4"), func(c *registry.Credentials) { c.AssertionType = "" }), registry.ErrAssertion},
		{"no audiences here", with(good("5"), func(c *registry.Credentials) { c.Audiences = nil }), registry.ErrAssertion},
		{"no kid", assertion(sign(t, k.a, "", "JWT", claims("6"))), nil},
		{"unknown kid", assertion(sign(t, k.a, "z", "JWT", claims("7"))), registry.ErrAssertion},
		{"no typ", assertion(sign(t, k.a, "a", "", claims("8"))), nil},
		{"its own typ", assertion(sign(t, k.a, "a", "client-authentication+jwt", claims("9"))), nil},
		{"an access token", assertion(sign(t, k.a, "a", "at+jwt", claims("10"))), registry.ErrAssertion},
		{"a logout token", assertion(sign(t, k.a, "a", "logout+jwt", claims("11"))), registry.ErrAssertion},
		{"the key of another client", assertion(sign(t, k.b, "b", "JWT", claims("12"))), registry.ErrAssertion},
		{"the key of another client under my kid", assertion(sign(t, k.b, "a", "JWT", claims("13"))), registry.ErrAssertion},
		{"a key for encryption", assertion(sign(t, k.enc, "enc", "JWT", claims("14"))), registry.ErrAssertion},
		{"a key for encryption without kid", assertion(sign(t, k.enc, "", "JWT", claims("15"))), registry.ErrAssertion},
		{"an unknown client", assertion(sign(t, k.a, "a", "JWT", claims("16", "iss", "shop.nobody", "sub", "shop.nobody"))), registry.ErrClientUnknown},
		{"a client with a secret", assertion(sign(t, k.a, "a", "JWT", claims("17", "iss", "shop.basic", "sub", "shop.basic"))), registry.ErrMethod},
		{"a public client", assertion(sign(t, k.a, "a", "JWT", claims("18", "iss", "app.web", "sub", "app.web"))), registry.ErrMethod},
		{"alg none", unsigned(`{"alg":"none"}`), registry.ErrAssertion},
		{"alg None", unsigned(`{"alg":"None"}`), registry.ErrAssertion},
		{"alg ES256 without signature", unsigned(`{"alg":"ES256","kid":"a"}`), registry.ErrAssertion},
		{"nothing", assertion(""), registry.ErrAssertion},
		{"dots", assertion(".."), registry.ErrAssertion},
		{"five parts", assertion("a.b.c.d.e"), registry.ErrAssertion},
		{"too long", assertion(strings.Repeat("A", 20<<10)), registry.ErrAssertion},
		{"cut", with(good("19"), func(c *registry.Credentials) { c.Assertion = c.Assertion[:len(c.Assertion)-4] }), registry.ErrAssertion},
		{"sub twice", assertion(signText(t, k.a, `{"iss":"shop.jwt","sub":"shop.other","sub":"shop.jwt","aud":"https://id.example","jti":"20","exp":1775044860}`)), registry.ErrAssertion},
		{"claims that are no object", assertion(signText(t, k.a, `["shop.jwt"]`)), registry.ErrAssertion},
	} {
		client, err := b.Authenticate(t.Context(), test.credentials)
		checkAnswer(t, test.name, client, err, "shop.jwt", test.want)
	}
}

func signText(t *testing.T, key *ecdsa.PrivateKey, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(key, jose.ES256, "a", "JWT")
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestAssertionIsGoodOnce(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	compact := sign(t, k.a, "a", "JWT", claims("once", "exp", start.Add(5*time.Minute).Unix()))
	if _, err := b.Authenticate(t.Context(), assertion(compact)); err != nil {
		t.Fatal(err)
	}
	// It stays used as long as it would be accepted, to the last second.
	for _, later := range []time.Duration{0, time.Second, time.Minute, 5*time.Minute - time.Second} {
		b.clock.Set(start.Add(later))
		if _, err := b.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, registry.ErrReplayed) {
			t.Errorf("after %s: %v, want ErrReplayed", later, err)
		}
	}
	b.clock.Set(start.Add(5 * time.Minute))
	if _, err := b.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, registry.ErrAssertion) {
		t.Errorf("after five minutes: %v, want ErrAssertion", err)
	}
	// And a clock that goes back does not bring it to life again.
	b.clock.Set(start.Add(10 * time.Minute))
	_, _ = b.Authenticate(t.Context(), assertion(sign(t, k.a, "a", "JWT", claims("later", "exp", start.Add(11*time.Minute).Unix()))))
	b.clock.Set(start)
	if _, err := b.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, registry.ErrClientAuthentication) {
		t.Errorf("after the clock went back: %v, want a refusal", err)
	}
}

func TestSameJTI(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	if _, err := b.Authenticate(t.Context(), assertion(sign(t, k.a, "a", "JWT", claims("same")))); err != nil {
		t.Fatal(err)
	}
	again := sign(t, k.a, "a", "JWT", claims("same", "exp", start.Add(4*time.Minute).Unix()))
	if _, err := b.Authenticate(t.Context(), assertion(again)); !errors.Is(err, registry.ErrReplayed) {
		t.Errorf("the same jti with another exp: %v, want ErrReplayed", err)
	}
	other := sign(t, k.b, "b", "JWT", claims("same", "iss", "shop.other", "sub", "shop.other"))
	if client, err := b.Authenticate(t.Context(), assertion(other)); err != nil || client.ID != "shop.other" {
		t.Errorf("the same jti of another client: %v", err)
	}
}

func TestOneOfManyAtOnce(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	compact := sign(t, k.a, "a", "JWT", claims("race"))
	var wait sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for range 32 {
		wait.Go(func() {
			_, err := b.Authenticate(t.Context(), assertion(compact))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				good++
			} else if !errors.Is(err, registry.ErrReplayed) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if good != 1 {
		t.Errorf("%d of 32 were accepted, want 1", good)
	}
}

// TestAssertionsAreBounded holds that a client fills its own share alone, is
// then refused rather than forgotten, and gets its share back.
func TestAssertionsAreBounded(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	const share = 4 + 300 // of shop.jwt: one a second for five minutes, and a burst of four
	end := start.Add(5 * time.Minute).Unix()
	for i := range share {
		if _, err := b.Authenticate(t.Context(), assertion(sign(t, k.a, "a", "JWT", claims(fmt.Sprint(i), "exp", end)))); err != nil {
			t.Fatalf("assertion %d: %v", i, err)
		}
	}
	more := sign(t, k.a, "a", "JWT", claims("more", "exp", end))
	_, err := b.Authenticate(t.Context(), assertion(more))
	if !errors.Is(err, registry.ErrAssertionsFull) || errors.Is(err, registry.ErrClientAuthentication) {
		t.Errorf("beyond its share: %v, want ErrAssertionsFull", err)
	}
	if _, err := b.Authenticate(t.Context(), assertion(sign(t, k.a, "a", "JWT", claims("0", "exp", end)))); !errors.Is(err, registry.ErrReplayed) {
		t.Errorf("the first again: %v, want ErrReplayed", err)
	}
	if _, err := b.Authenticate(t.Context(), assertion(sign(t, k.b, "b", "JWT", claims("x", "iss", "shop.other", "sub", "shop.other")))); err != nil {
		t.Errorf("another client: %v", err)
	}
	b.clock.Set(start.Add(6 * time.Minute))
	if _, err := b.Authenticate(t.Context(), assertion(sign(t, k.a, "a", "JWT", claims("then", "exp", start.Add(7*time.Minute).Unix())))); err != nil {
		t.Errorf("after its assertions have expired: %v", err)
	}
}

// TestRemovedClientIsUnknown holds that authentication looks at the group as it
// is now.
func TestRemovedClientIsUnknown(t *testing.T) {
	t.Parallel()
	b, _ := setupClients(t)
	credentials := registry.Credentials{Method: registry.AuthSecretBasic, ClientID: "shop.basic", Secret: secretA}
	if _, err := b.Authenticate(t.Context(), credentials); err != nil {
		t.Fatal(err)
	}
	apply(t, b.Registry, example(t))
	if _, err := b.Authenticate(t.Context(), credentials); !errors.Is(err, registry.ErrClientUnknown) {
		t.Errorf("after its removal: %v, want ErrClientUnknown", err)
	}
}

// TestAssertionIsGoodOnceForAllReplicas holds that another process, and one that was
// started after the use, refuse what was used.
func TestAssertionIsGoodOnceForAllReplicas(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	other, err := registry.Open(t.Context(), registry.Config{DB: b.db, Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	both := []*registry.Registry{b.Registry, other}
	compact := sign(t, k.a, "a", "JWT", claims("for all"))
	var group sync.WaitGroup
	var taken atomic.Int32
	for i := range 16 {
		group.Go(func() {
			_, err := both[i%2].Authenticate(t.Context(), assertion(compact))
			switch {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, registry.ErrReplayed):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if taken.Load() != 1 {
		t.Errorf("taken %d times, want once", taken.Load())
	}
	restarted, err := registry.Open(t.Context(), registry.Config{DB: b.db, Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restarted.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, registry.ErrReplayed) {
		t.Errorf("after a restart: %v", err)
	}
}

// TestManyProofsAtOnce holds that those which are noted together are told one by one
// whether they were used before.
func TestManyProofsAtOnce(t *testing.T) {
	t.Parallel()
	b, _ := setupClients(t)
	other, err := registry.Open(t.Context(), registry.Config{DB: b.db, Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	client, _ := b.Current().Client("shop.basic")
	proof := func(i int) *dpop.Proof {
		return &dpop.Proof{ID: fmt.Sprint("proof ", i), Thumbprint: "key", Expires: b.clock.Now().Add(time.Minute)}
	}
	const many, used = 147, 7
	for i := range used {
		if err := other.UseProof(t.Context(), client, proof(i*many/used)); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	var refused atomic.Int32
	for i := range many {
		group.Go(func() {
			switch err := b.UseProof(t.Context(), client, proof(i)); {
			case errors.Is(err, registry.ErrReplayed) && i%(many/used) == 0 || err == nil:
				if err != nil {
					refused.Add(1)
				}
			default:
				t.Errorf("proof %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if refused.Load() != used {
		t.Errorf("%d refused, want %d", refused.Load(), used)
	}
	for i := range many { // and all of them have been noted
		if err := other.UseProof(t.Context(), client, proof(i)); !errors.Is(err, registry.ErrReplayed) {
			t.Errorf("proof %d at another replica: %v", i, err)
		}
	}
}

// TestAssertionOncePerReplica is the choice to write nothing down.
func TestAssertionOncePerReplica(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	compact := sign(t, k.a, "a", "JWT", claims("by each", "iss", "shop.each", "sub", "shop.each"))
	other, err := registry.Open(t.Context(), registry.Config{DB: b.db, Now: b.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, replica := range []*registry.Registry{b.Registry, other} {
		if _, err := replica.Authenticate(t.Context(), assertion(compact)); err != nil {
			t.Error(err)
		}
		if _, err := replica.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, registry.ErrReplayed) {
			t.Errorf("again: %v", err)
		}
	}
	if n := countUsed(t, b.db); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// TestAssertionWithoutADatabase holds that an assertion which could not be written
// down is not used up.
func TestAssertionWithoutADatabase(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	compact := sign(t, k.a, "a", "JWT", claims("twice sent"))
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := b.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("without a database: %v", err)
		}
	}
}

func TestSweepRemovesExpiredAssertions(t *testing.T) {
	t.Parallel()
	b, k := setupClients(t)
	for i, life := range []time.Duration{time.Minute, 5 * time.Minute} {
		compact := sign(t, k.a, "a", "JWT", claims(fmt.Sprint(i), "exp", start.Add(life).Unix()))
		if _, err := b.Authenticate(t.Context(), assertion(compact)); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		at   time.Duration
		left int
	}{{time.Minute, 2}, {2 * time.Minute, 1}, {6 * time.Minute, 0}} {
		b.clock.Set(start.Add(step.at))
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := countUsed(t, b.db); n != step.left {
			t.Errorf("after %s: %d rows, want %d", step.at, n, step.left)
		}
	}
}

func countUsed(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(t.Context(), "SELECT count(*) FROM used_assertion").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
