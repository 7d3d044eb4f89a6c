package rp_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

func TestDiscoverRefuses(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name     string
		config   rp.Config
		describe func(*oauth.Metadata)
		want     string
	}{
		{"another issuer", rp.Config{ClientID: "pay.backend"}, func(m *oauth.Metadata) { m.Issuer += "/" }, "calls itself"},
		{"no token endpoint", rp.Config{ClientID: "pay.backend"}, func(m *oauth.Metadata) { m.TokenEndpoint = "" }, "token_endpoint"},
		{"an endpoint in the clear", rp.Config{ClientID: "pay.backend"}, func(m *oauth.Metadata) {
			m.RevocationEndpoint = "http://id.market.example/revoke"
		}, "must be https"},
		{"an issuer in the clear", rp.Config{Issuer: "http://id.market.example", ClientID: "pay.backend"}, nil, "must be https"},
		{"an issuer that is no URL", rp.Config{Issuer: "id.market.example", ClientID: "pay.backend"}, nil, "absolute"},
		{"no client id", rp.Config{}, nil, "ClientID"},
		{"two credentials", rp.Config{ClientID: "pay.backend", Secret: "s", Key: edwards, KeyID: "k"}, nil, "one way"},
		{"a key without an id", rp.Config{ClientID: "pay.backend", Key: edwards}, nil, "KeyID"},
		{"a key of a curve that is not used", rp.Config{ClientID: "pay.backend", Key: key, KeyID: "k"}, nil, "P-256"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			issuer := issuertest.New()
			t.Cleanup(issuer.Close)
			issuer.Describe = c.describe
			if c.config.Issuer == "" {
				c.config.Issuer = issuer.URL
			}
			_, err := rp.Discover(t.Context(), c.config)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error about %q", err, c.want)
			}
		})
	}
}

// An answer with a redirect could carry credentials elsewhere.
func TestDiscoverFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	issuer, _ := setup(t, "pay.backend")
	_, err := rp.Discover(t.Context(), rp.Config{
		Issuer: issuer.URL, ClientID: "pay.backend",
		HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusFound, Status: "302 Found", Request: r, Body: http.NoBody,
				Header: http.Header{"Location": {issuer.URL + "/elsewhere"}},
			}, nil
		})},
	})
	if err == nil || !strings.Contains(err.Error(), "302") {
		t.Fatalf("got %v, want the redirect as a fault", err)
	}
	if n := issuer.Count("/elsewhere"); n != 0 {
		t.Fatalf("the redirect was followed %d times", n)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		config rp.Config
		sends  string
	}{
		{"client_secret_basic with a secret that needs encoding", rp.Config{Secret: issuertest.Secret}, ""},
		{"private_key_jwt", rp.Config{Key: key, KeyID: "2026-01"}, "client_assertion"},
		{"none", rp.Config{}, "client_id"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			issuer := issuertest.New()
			t.Cleanup(issuer.Close)
			issuer.ClientKeys["pay.backend"] = &key.PublicKey
			c.config.ClientID = "pay.backend"
			client := discover(t, issuer, c.config)
			if _, err := client.ServiceToken(market).Token(); err != nil {
				t.Fatal(err)
			}
			form := issuer.Forms()[0]
			for _, name := range []string{"client_assertion", "client_id"} {
				if _, sent := form[name]; sent != (name == c.sends) {
					t.Errorf("%s sent: %v", name, sent)
				}
			}
		})
	}
}

func TestRefusalsAreOAuthErrors(t *testing.T) {
	t.Parallel()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	client := discover(t, issuer, rp.Config{ClientID: "pay.backend", Secret: "wrong"})

	var refusal *oauth.Error
	if _, err := client.ServiceToken(market).Token(); !errors.As(err, &refusal) {
		t.Fatalf("got %v, want an *oauth.Error", err)
	}
	if refusal.Code != oauth.InvalidClient || refusal.HTTPStatus() != http.StatusUnauthorized {
		t.Errorf("got %v, status %d", refusal, refusal.HTTPStatus())
	}

	refusal = nil
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ServiceClient(market).Do(request); !errors.As(err, &refusal) {
		t.Fatalf("under an HTTP client: got %v, want an *oauth.Error", err)
	}

	issuer.Away(true)
	_, err = client.ServiceToken(market).Token()
	if err == nil || errors.As(err, &refusal) && refusal.Code != oauth.InvalidClient || !strings.Contains(err.Error(), "502") {
		t.Fatalf("got %v, want the status of what is no OAuth answer", err)
	}
}

func TestSubsystem(t *testing.T) {
	t.Parallel()
	_, client := setup(t, "market-app.web")
	if got := client.Subsystem(); got != "market-app" {
		t.Errorf("got %q", got)
	}
}
