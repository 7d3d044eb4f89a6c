package rs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// holder holds the key that a token is bound to.
type holder struct {
	t     *testing.T
	key   *dpop.Key
	token string
	now   func() time.Time
}

func newKey(t *testing.T) *dpop.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := dpop.NewKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newHolder gets a token of alice bound to a new key.
func newHolder(t *testing.T, issuer *issuertest.Issuer) holder {
	t.Helper()
	key := newKey(t)
	claims := issuertest.With(issuer.UserClaims("alice", "market-app.web", market, "items.read"), map[string]any{"cnf": map[string]any{"jkt": key.Thumbprint}})
	return holder{t, key, issuer.AccessToken(claims), issuer.Clock.Now}
}

// proof makes a proof for the request that call makes.
func (h holder) proof(nonce string, change func(*dpop.Request)) string {
	h.t.Helper()
	request := dpop.Request{Method: http.MethodGet, URL: "http://example.com/items", Token: h.token}
	if change != nil {
		change(&request)
	}
	proof, err := h.key.Proof(request, nonce, h.now())
	if err != nil {
		h.t.Fatal(err)
	}
	return proof
}

func send(handler http.Handler, authorization string, proofs ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/items?page=2", http.NoBody)
	request.Header.Set("Authorization", authorization)
	for _, proof := range proofs {
		request.Header.Add("DPoP", proof)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestBoundTokensComeWithTheirProof(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	h := newHolder(t, issuer)
	other := holder{t, newKey(t), h.token, h.now}
	plain := issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, "items.read"))
	handler := guard.User("items.read", func(http.ResponseWriter, *http.Request, *rs.User) {})
	used := h.proof("", nil)
	for _, c := range []struct {
		name          string
		authorization string
		proofs        []string
		code          oauth.Code // empty: accepted
		scheme        string
	}{
		{"with its proof", "DPoP " + h.token, []string{used}, "", ""},
		{"in another case of the scheme", "dpop " + h.token, []string{h.proof("", nil)}, "", ""},
		{"an address with another query", "DPoP " + h.token, []string{h.proof("", func(r *dpop.Request) { r.URL += "?a=b#c" })}, "", ""},
		{"the same proof again", "DPoP " + h.token, []string{used}, oauth.InvalidDPoPProof, "DPoP"},
		{"as a bearer token", "Bearer " + h.token, []string{h.proof("", nil)}, oauth.InvalidToken, "Bearer"},
		{"without a proof", "DPoP " + h.token, nil, oauth.InvalidDPoPProof, "DPoP"},
		{"with two proofs", "DPoP " + h.token, []string{h.proof("", nil), h.proof("", nil)}, oauth.InvalidDPoPProof, "DPoP"},
		{"with another's proof", "DPoP " + h.token, []string{other.proof("", nil)}, oauth.InvalidToken, "DPoP"},
		{"with a proof of another token", "DPoP " + h.token, []string{h.proof("", func(r *dpop.Request) { r.Token = plain })}, oauth.InvalidDPoPProof, "DPoP"},
		{"with a proof of no token", "DPoP " + h.token, []string{h.proof("", func(r *dpop.Request) { r.Token = "" })}, oauth.InvalidDPoPProof, "DPoP"},
		{"with a proof for another method", "DPoP " + h.token, []string{h.proof("", func(r *dpop.Request) { r.Method = http.MethodPost })}, oauth.InvalidDPoPProof, "DPoP"},
		{"with a proof for another path", "DPoP " + h.token, []string{h.proof("", func(r *dpop.Request) { r.URL += "s" })}, oauth.InvalidDPoPProof, "DPoP"},
		{"with a proof for another host", "DPoP " + h.token, []string{h.proof("", func(r *dpop.Request) { r.URL = "http://evil.example/items" })}, oauth.InvalidDPoPProof, "DPoP"},
		{"a token bound to no key under the scheme", "DPoP " + plain, []string{h.proof("", func(r *dpop.Request) { r.Token = plain })}, oauth.InvalidToken, "DPoP"},
		{"garbage for a proof", "DPoP " + h.token, []string{"garbage"}, oauth.InvalidDPoPProof, "DPoP"},
	} {
		// In order: one of them sends a proof again.
		answer := send(handler, c.authorization, c.proofs...)
		challenge := answer.Header().Get("WWW-Authenticate")
		if c.code == "" {
			if answer.Code != http.StatusOK {
				t.Errorf("%s: %d %s", c.name, answer.Code, challenge)
			}
			continue
		}
		if answer.Code != http.StatusUnauthorized || !strings.HasPrefix(challenge, c.scheme+" ") || !strings.Contains(challenge, `error="`+string(c.code)+`"`) {
			t.Errorf("%s: %d %s", c.name, answer.Code, challenge)
		}
	}
}

func TestProofsAreNewOnes(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	h := newHolder(t, issuer)
	handler := guard.User("items.read", func(http.ResponseWriter, *http.Request, *rs.User) {})
	now := issuer.Clock.Now()
	for apart, accepted := range map[time.Duration]bool{
		-61 * time.Second: false, -60 * time.Second: true, -10 * time.Second: true,
		10 * time.Second: true, 60 * time.Second: true, 61 * time.Second: false,
	} {
		h.now = func() time.Time { return now.Add(apart) }
		if answer := send(handler, "DPoP "+h.token, h.proof("", nil)); (answer.Code == http.StatusOK) != accepted {
			t.Errorf("%v apart: %d", apart, answer.Code)
		}
	}
}

// TestProofIsUsedOnceWhileItIsNew sends a proof whose clock is ahead again and again
// until it is too old.
func TestProofIsUsedOnceWhileItIsNew(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	h := newHolder(t, issuer)
	handler := guard.User("items.read", func(http.ResponseWriter, *http.Request, *rs.User) {})
	made := issuer.Clock.Now().Add(dpop.Window)
	h.now = func() time.Time { return made }
	proof := h.proof("", nil)
	if answer := send(handler, "DPoP "+h.token, proof); answer.Code != http.StatusOK {
		t.Fatal(answer.Code)
	}
	for range 130 {
		issuer.Clock.Advance(time.Second)
		if answer := send(handler, "DPoP "+h.token, proof); answer.Code != http.StatusUnauthorized {
			t.Fatalf("%v after: %d", issuer.Clock.Now().Sub(made), answer.Code)
		}
	}
}

func TestNonceOfTheAPI(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	config := config(t, issuer)
	config.NonceKey = make([]byte, 32)
	first, second := newGuard(t, config), newGuard(t, config)
	h := newHolder(t, issuer)
	ok := func(http.ResponseWriter, *http.Request, *rs.User) {}
	asked := send(first.User("", ok), "DPoP "+h.token, h.proof("", nil))
	nonce := asked.Header().Get("DPoP-Nonce")
	if asked.Code != http.StatusUnauthorized || !strings.Contains(asked.Header().Get("WWW-Authenticate"), "use_dpop_nonce") || nonce == "" {
		t.Fatalf("%d %v", asked.Code, asked.Header())
	}
	if answer := send(second.User("", ok), "DPoP "+h.token, h.proof(nonce, nil)); answer.Code != http.StatusOK {
		t.Errorf("at another replica: %d %v", answer.Code, answer.Header())
	}
	forged := strings.Repeat("A", len(nonce))
	if answer := send(first.User("", ok), "DPoP "+h.token, h.proof(forged, nil)); !strings.Contains(answer.Header().Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Errorf("a forged one: %d %v", answer.Code, answer.Header())
	}
	issuer.Clock.Advance(7 * time.Minute)
	late := newHolder(t, issuer)
	if answer := send(first.User("", ok), "DPoP "+late.token, late.proof(nonce, nil)); answer.Header().Get("DPoP-Nonce") == nonce || answer.Code != http.StatusUnauthorized {
		t.Errorf("an old one: %d %v", answer.Code, answer.Header())
	}
}

// shared is a memory of proofs for two replicas.
type shared map[string]bool

func (s shared) Use(_ context.Context, id string, _ time.Time) (bool, error) {
	first := !s[id]
	s[id] = true
	return first, nil
}

func TestReplicasShareTheirMemoryOfProofs(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	config := config(t, issuer)
	config.Proofs = shared{}
	h := newHolder(t, issuer)
	proof := h.proof("", nil)
	ok := func(http.ResponseWriter, *http.Request, *rs.User) {}
	if answer := send(newGuard(t, config).User("", ok), "DPoP "+h.token, proof); answer.Code != http.StatusOK {
		t.Fatal(answer.Code)
	}
	if answer := send(newGuard(t, config).User("", ok), "DPoP "+h.token, proof); answer.Code != http.StatusUnauthorized {
		t.Errorf("at another replica: %d", answer.Code)
	}
}

func TestBoundOnlyAndBaseURL(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	config := config(t, issuer)
	config.BoundOnly, config.BaseURL = true, "https://api.market.example/v1/"
	guard := newGuard(t, config)
	h := newHolder(t, issuer)
	handler := guard.User("", func(http.ResponseWriter, *http.Request, *rs.User) {})
	plain := issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, "items.read"))
	if answer := send(handler, "Bearer "+plain); answer.Code != http.StatusUnauthorized || !strings.HasPrefix(answer.Header().Get("WWW-Authenticate"), "DPoP ") {
		t.Errorf("a bearer token: %d %v", answer.Code, answer.Header())
	}
	if _, err := guard.CheckUser(t.Context(), plain, ""); err == nil {
		t.Error("a bearer token by another way")
	}
	public := h.proof("", func(r *dpop.Request) { r.URL = "HTTPS://API.market.example:443/v1/items" })
	if answer := send(handler, "DPoP "+h.token, public); answer.Code != http.StatusOK {
		t.Errorf("a proof for the public address: %d %v", answer.Code, answer.Header())
	}
	if answer := send(handler, "DPoP "+h.token, h.proof("", nil)); answer.Code != http.StatusUnauthorized {
		t.Errorf("a proof for the inner address: %d", answer.Code)
	}
}

func TestProofsNameTheWholePath(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	h := newHolder(t, issuer)
	behind := guard.User("", func(w http.ResponseWriter, r *http.Request, _ *rs.User) { w.Header().Set("X-Path", r.URL.Path) })
	answer := send(http.StripPrefix("/items", behind), "DPoP "+h.token, h.proof("", nil))
	if answer.Code != http.StatusOK || answer.Header().Get("X-Path") != "" {
		t.Errorf("behind a prefix: %d %v", answer.Code, answer.Header())
	}
}
