package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/rp"
)

// TestWorkloadsShowTheTokenOfTheirPlatform: a program without a secret of its own
// authenticates by what its platform says of it, again and again until that ends.
func TestWorkloadsShowTheTokenOfTheirPlatform(t *testing.T) {
	t.Parallel()
	w := setup(t)
	f := w.fapi("market.workload")
	f.prover = nil
	now := w.clock.Now().Unix()
	platform := func(c map[string]any) {
		c["iss"], c["sub"], c["aud"] = "https://cluster.test", "system:serviceaccount:market:gateway", []string{issuer}
		c["exp"] = now + 3600
		delete(c, "jti")
	}
	ask := []string{"client_id", f.id, "grant_type", "client_credentials", "scope", "charge"}
	token := w.assertion(platform)
	for range 2 {
		f.wantTokens(f.assertBy("/oauth2/token", token, ask...))
	}
	for name, change := range map[string]func(map[string]any){
		"another workload":          func(c map[string]any) { c["sub"] = "system:serviceaccount:pay:backend" },
		"the client itself":         func(c map[string]any) { c["iss"], c["sub"] = f.id, f.id },
		"another platform":          func(c map[string]any) { c["iss"] = "https://other.test" },
		"for another server":        func(c map[string]any) { c["aud"] = []string{"https://other.test"} },
		"for another server, too":   func(c map[string]any) { c["aud"] = []string{issuer, "https://other.test"} },
		"for the token endpoint":    func(c map[string]any) { c["aud"] = []string{issuer + "/oauth2/token"} },
		"expired":                   func(c map[string]any) { c["exp"] = w.clock.Now().Unix() - 1 },
		"more than a day":           func(c map[string]any) { c["exp"] = w.clock.Now().Unix() + 86_401 },
		"without an end":            func(c map[string]any) { delete(c, "exp") },
		"nbf more than a minute on": func(c map[string]any) { c["nbf"] = w.clock.Now().Unix() + 61 },
	} {
		w.clock.Advance(time.Minute) // for failures are few
		a := f.assertBy("/oauth2/token", w.assertion(func(c map[string]any) { platform(c); change(c) }), ask...)
		if a.status != http.StatusUnauthorized || !strings.Contains(a.body, `"invalid_client"`) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	// Whose client it is cannot be seen from the token, so it must be said; and no
	// token of the platform speaks for another client with the same keys.
	f.wantRefused(f.assertBy("/oauth2/token", token, ask[2:]...), "invalid_client")
	w.clock.Advance(time.Minute)
	f.wantRefused(f.assertBy("/oauth2/token", token, append([]string{"client_id", "market.signer"}, ask[2:]...)...), "invalid_client")

	// The SDK reads the token from a file, which the platform renews.
	file := filepath.Join(t.TempDir(), "token")
	renew := func() {
		now = w.clock.Now().Unix()
		if err := os.WriteFile(file, []byte(w.assertion(platform)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	client, err := rp.Discover(t.Context(), rp.Config{Issuer: issuer, ClientID: f.id, AssertionFile: file, HTTPClient: &http.Client{Transport: w}, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.ServiceToken("https://api.pay.test", "charge").Token(); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(2 * time.Hour)
		renew()
	}
}
