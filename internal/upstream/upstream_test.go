package upstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/upstream"
)

const issuer = "http://localhost:8080"

// hostile is a provider whose every answer a test may change.
type hostile struct {
	*httptest.Server
	t        *testing.T
	key      *ecdsa.PrivateKey
	clock    *clocktest.Clock
	claims   map[string]any // changes of the ID token; nil values are left out
	userinfo map[string]any
	metadata map[string]any
	signed   func(claims []byte) string // nil: as it should be
	form     url.Values                 // of the last token request
	secret   string                     // of the last token request
	asked    int                        // how many requests there were
	nonce    string
}

func newHostile(t *testing.T) *hostile {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{t: t, key: key, clock: clocktest.At(time.Unix(1_800_000_042, 0)), claims: map[string]any{}, metadata: map[string]any{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked++
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]any{}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": h.URL, "authorization_endpoint": h.URL + "/authorize", "token_endpoint": h.URL + "/token",
			"userinfo_endpoint": h.URL + "/userinfo", "jwks_uri": h.URL + "/jwks",
			"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
		}
		maps.Copy(answer, h.metadata)
	case "/jwks":
		answer["keys"] = []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "x": coordinate(h.key.X), "y": coordinate(h.key.Y),
		}}
	case "/token":
		_ = r.ParseForm()
		h.form = r.Form
		_, h.secret, _ = r.BasicAuth()
		answer = map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": h.idToken()}
	case "/userinfo":
		answer = h.userinfo
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func coordinate(n *big.Int) string {
	return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, 32)))
}

func (h *hostile) idToken() string {
	claims := map[string]any{
		"iss": h.URL, "sub": "248289761001", "aud": "us", "iat": h.clock.Now().Unix(), "exp": h.clock.Now().Add(time.Minute).Unix(),
		"nonce": h.nonce, "email": "mei@example.test", "email_verified": true, "name": "Mei",
	}
	for name, value := range h.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		h.t.Error(err)
	}
	if h.signed != nil {
		return h.signed(text)
	}
	return sign(h.t, h.key, text)
}

func sign(t *testing.T, key *ecdsa.PrivateKey, claims []byte) string {
	signer, err := jose.NewSigner(key, jose.ES256, "one", "")
	if err != nil {
		t.Error(err)
		return ""
	}
	text, err := signer.Sign(claims)
	if err != nil {
		t.Error(err)
	}
	return text
}

// room is an Upstream that knows the provider, and the trip to it.
func (h *hostile) room() (*upstream.Upstream, upstream.Trip) {
	dir := h.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "elsewhere"), []byte("the secret\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	u := upstream.New(upstream.Config{
		Issuer: issuer, Key: make([]byte, 32), Secrets: dir, Policy: outgoing.PolicyFor(issuer, nil, nil), Now: h.clock.Now,
	})
	return u, upstream.Trip{
		Provider: &registry.Provider{Name: "elsewhere", Issuer: h.URL, ClientID: "us", Scopes: []string{"openid", "email"}, TrustEmail: true},
		Page:     "page", Purpose: "this browser",
	}
}

// begin goes to the provider, and gives the answer that it would send back.
func (h *hostile) begin(u *upstream.Upstream, trip upstream.Trip) url.Values {
	h.t.Helper()
	location, err := u.Begin(h.t.Context(), trip)
	if err != nil {
		h.t.Fatal(err)
	}
	to, err := url.Parse(location)
	if err != nil {
		h.t.Fatal(err)
	}
	asked := to.Query()
	h.nonce = asked.Get("nonce")
	if to.Path != "/authorize" || asked.Get("code_challenge_method") != "S256" || asked.Get("redirect_uri") != issuer+"/upstream/elsewhere" || len(h.nonce) < 43 {
		h.t.Fatalf("the provider is asked by %s", location)
	}
	return url.Values{"state": {asked.Get("state")}, "code": {"a code"}, "challenge": {asked.Get("code_challenge")}}
}

func TestWhoComesBack(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	u, trip := h.room()
	answer := h.begin(u, trip)
	challenge := answer.Get("challenge")
	answer.Del("challenge")
	id, err := u.Finish(t.Context(), trip, answer)
	if err != nil {
		t.Fatal(err)
	}
	want := account.Identity{Issuer: h.URL, Subject: "248289761001", Email: "mei@example.test", EmailVerified: true, Name: "Mei"}
	if *id != want {
		t.Errorf("it is %+v, not %+v", *id, want)
	}
	sum := sha256.Sum256([]byte(h.form.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != challenge || h.form.Get("code") != "a code" || h.secret != "the+secret" {
		t.Errorf("the token endpoint was asked with %v and the secret %q", h.form, h.secret)
	}
}

// TestAnswersThatProveNobody changes one thing at a time (OIDC Core §3.1.3.7, RFC 9700 §4.4,
// RFC 9207).
func TestAnswersThatProveNobody(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) func(*hostile, *upstream.Trip, url.Values) {
		return func(h *hostile, _ *upstream.Trip, _ url.Values) { h.claims[name] = value }
	}
	tests := map[string]struct {
		change func(*hostile, *upstream.Trip, url.Values)
		want   error
	}{
		"another nonce":           {set("nonce", "another"), upstream.ErrRefused},
		"no nonce":                {set("nonce", nil), upstream.ErrRefused},
		"another issuer":          {set("iss", "https://accounts.google.com"), upstream.ErrRefused},
		"another audience":        {set("aud", "them"), upstream.ErrRefused},
		"two audiences, no azp":   {set("aud", []string{"us", "them"}), upstream.ErrRefused},
		"made for another client": {set("azp", "them"), upstream.ErrRefused},
		"expired":                 {set("exp", 1_800_000_041), upstream.ErrRefused},
		"nobody":                  {set("sub", ""), upstream.ErrRefused},
		"a long subject":          {set("sub", strings.Repeat("x", 256)), upstream.ErrRefused},
		"another access token":    {set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), upstream.ErrRefused},
		"somebody else's userinfo": {func(h *hostile, _ *upstream.Trip, _ url.Values) {
			h.claims["email"], h.userinfo = nil, map[string]any{"sub": "9", "email": "victim@example.test"}
		}, upstream.ErrRefused},
		"another key": {func(h *hostile, _ *upstream.Trip, _ url.Values) {
			h.signed = func(claims []byte) string { return sign(h.t, other, claims) }
		}, upstream.ErrRefused},
		"no signature": {func(h *hostile, _ *upstream.Trip, _ url.Values) {
			h.signed = func(claims []byte) string {
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims) + "."
			}
		}, upstream.ErrRefused},
		"another page":    {func(_ *hostile, trip *upstream.Trip, _ url.Values) { trip.Page = "other" }, upstream.ErrRefused},
		"another browser": {func(_ *hostile, trip *upstream.Trip, _ url.Values) { trip.Purpose = "another browser" }, upstream.ErrRefused},
		"another provider": {func(_ *hostile, trip *upstream.Trip, _ url.Values) {
			p := *trip.Provider
			p.Name = "other"
			trip.Provider = &p
		}, upstream.ErrRefused},
		"begun when it was lazy": {func(_ *hostile, trip *upstream.Trip, _ url.Values) { trip.Fresh = true }, upstream.ErrRefused},
		"no state":               {func(_ *hostile, _ *upstream.Trip, a url.Values) { a.Del("state") }, upstream.ErrRefused},
		"an edited state":        {func(_ *hostile, _ *upstream.Trip, a url.Values) { a.Set("state", a.Get("state")+"A") }, upstream.ErrRefused},
		"two codes":              {func(_ *hostile, _ *upstream.Trip, a url.Values) { a.Add("code", "b") }, upstream.ErrRefused},
		"no code":                {func(_ *hostile, _ *upstream.Trip, a url.Values) { a.Del("code") }, upstream.ErrRefused},
		"from another issuer":    {func(_ *hostile, _ *upstream.Trip, a url.Values) { a.Set("iss", "https://mixed-up.example") }, upstream.ErrRefused},
		"too late":               {func(h *hostile, _ *upstream.Trip, _ url.Values) { h.clock.Advance(11 * time.Minute) }, upstream.ErrRefused},
		"the person declined":    {func(_ *hostile, _ *upstream.Trip, a url.Values) { a.Set("error", "access_denied") }, upstream.ErrDeclined},
		"the provider is gone":   {func(h *hostile, _ *upstream.Trip, _ url.Values) { h.Close() }, upstream.ErrUnavailable},
		"a body without an end": {func(h *hostile, _ *upstream.Trip, _ url.Values) {
			h.signed = func([]byte) string { return strings.Repeat("x", 1<<20) }
		}, upstream.ErrUnavailable},
		"a declined state of others": {func(_ *hostile, trip *upstream.Trip, a url.Values) {
			a.Set("error", "access_denied")
			trip.Purpose = "another browser"
		}, upstream.ErrRefused},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t)
			u, trip := h.room()
			answer := h.begin(u, trip)
			answer.Del("challenge")
			test.change(h, &trip, answer)
			if id, err := u.Finish(t.Context(), trip, answer); !errors.Is(err, test.want) || id != nil {
				t.Errorf("it is %v, with the error %v, not %v", id, err, test.want)
			}
		})
	}
}

func TestFreshSignIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		authTime any
		want     error
	}{
		"just now":                {int64(1_800_000_042), nil},
		"an hour ago":             {int64(1_800_000_042 - 3600), upstream.ErrStale},
		"the provider is silent":  {nil, upstream.ErrStale},
		"the provider's nonsense": {int64(9_000_000_000), upstream.ErrStale},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t)
			u, trip := h.room()
			trip.Fresh = true
			h.claims["auth_time"] = test.authTime
			answer := h.begin(u, trip)
			answer.Del("challenge")
			if _, err := u.Finish(t.Context(), trip, answer); !errors.Is(err, test.want) {
				t.Errorf("the error is %v, not %v", err, test.want)
			}
		})
	}
}

func TestAddressesThatNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verified any
		trusted  bool
		want     bool
	}{
		"verified": {true, true, true}, "as Apple writes it": {"true", true, true}, "not verified": {false, true, false},
		"unsaid": {nil, true, false}, "a provider that is not trusted": {true, false, false}, "a number": {1, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHostile(t)
			u, trip := h.room()
			trip.Provider.TrustEmail = test.trusted
			h.claims["email_verified"] = test.verified
			answer := h.begin(u, trip)
			answer.Del("challenge")
			id, err := u.Finish(t.Context(), trip, answer)
			if err != nil || id.EmailVerified != test.want {
				t.Errorf("%+v, %v; verified should be %v", id, err, test.want)
			}
		})
	}
}

// TestWhereProvidersMayBe holds that metadata leads to no address of this network (S1, S3).
func TestWhereProvidersMayBe(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	u, trip := h.room()
	public := upstream.New(upstream.Config{Issuer: "https://id.example", Key: make([]byte, 32), Secrets: u.Secrets, Now: h.clock.Now})
	if _, err := public.Begin(t.Context(), trip); !errors.Is(err, upstream.ErrUnavailable) || h.asked > 0 {
		t.Errorf("a provider on this machine: %v, and it had %d requests", err, h.asked)
	}
	networks := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	named := upstream.New(upstream.Config{Issuer: "https://id.example", Key: make([]byte, 32), Secrets: u.Secrets, Now: h.clock.Now, Policy: outgoing.PolicyFor("https://id.example", networks, nil)})
	if _, err := named.Begin(t.Context(), trip); !errors.Is(err, upstream.ErrUnavailable) || h.asked > 0 {
		t.Errorf("plain http in production: %v, and it had %d requests", err, h.asked)
	}
	h.metadata["issuer"] = "https://accounts.google.com"
	if _, err := u.Begin(t.Context(), trip); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("metadata of another issuer: %v", err)
	}
}

// TestAProviderThatFails holds that metadata is read anew each hour, that what was read
// before is used for a day where that fails, and that a provider which does not answer is
// not asked by everybody.
func TestAProviderThatFails(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	u, trip := h.room()
	h.begin(u, trip)
	h.begin(u, trip)
	if h.asked != 1 {
		t.Errorf("the metadata was read %d times", h.asked)
	}
	h.clock.Advance(61 * time.Minute)
	h.metadata["issuer"] = "https://broken.example"
	h.begin(u, trip)
	h.begin(u, trip)
	if h.asked != 2 {
		t.Errorf("there were %d requests, and 2 were due", h.asked)
	}
	h.clock.Advance(25 * time.Hour)
	if _, err := u.Begin(t.Context(), trip); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("metadata of yesterday: %v", err)
	}
	before := h.asked
	if _, err := u.Begin(t.Context(), trip); !errors.Is(err, upstream.ErrUnavailable) || h.asked != before {
		t.Errorf("asked again at once: %v", err)
	}
	h.clock.Advance(6 * time.Second)
	delete(h.metadata, "issuer")
	h.begin(u, trip)
}

// TestAppleSecret holds that the key of a team signs a secret of five minutes.
func TestAppleSecret(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	u, trip := h.room()
	h.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	trip.Provider.Apple, trip.Provider.FormPost = &registry.GroupApple{Team: "TEAM", Key: "KEY"}, true
	file := filepath.Join(u.Secrets, "elsewhere")
	write := func(key any) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if u.Offered(trip.Provider) {
		t.Error("a secret that is no key is offered")
	}
	write(must(rsa.GenerateKey(rand.Reader, 2048)))
	if u.Offered(trip.Provider) {
		t.Error("a key that Apple does not take is offered")
	}
	write(h.key)
	answer := h.begin(u, trip)
	answer.Del("challenge")
	if _, err := u.Finish(context.Background(), trip, answer); err != nil {
		t.Fatal(err)
	}
	shown := h.secret
	if shown == "" {
		shown = h.form.Get("client_secret")
	}
	parts := strings.Split(shown, ".")
	if len(parts) != 3 {
		t.Fatalf("the secret is %q", shown)
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if got, want := string(header), `{"alg":"ES256","kid":"KEY"}`; got != want {
		t.Errorf("its header is %s, not %s", got, want)
	}
	if got, want := string(claims), `{"aud":"https://appleid.apple.com","exp":1800000342,"iat":1800000042,"iss":"TEAM","sub":"us"}`; got != want {
		t.Errorf("it says %s, not %s", got, want)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSealedIdentity(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	u, _ := h.room()
	id := &account.Identity{Issuer: h.URL, Subject: "1", Email: "mei@example.test", EmailVerified: true}
	sealed, err := u.Seal(id, "session")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := u.Unseal(sealed, "session"); err != nil || *got != *id {
		t.Errorf("%+v, %v", got, err)
	}
	for name, try := range map[string][2]string{"of another session": {sealed, "other"}, "changed": {"A" + sealed[1:], "session"}, "none": {"", "session"}} {
		if _, err := u.Unseal(try[0], try[1]); !errors.Is(err, upstream.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.clock.Advance(11 * time.Minute)
	if _, err := u.Unseal(sealed, "session"); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("after 11 minutes: %v", err)
	}
}
