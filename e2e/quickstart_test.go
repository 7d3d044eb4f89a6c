package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickstart walks docs/quickstart.md with its own group file.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/examples/quickstart/group.yaml")
	if err != nil {
		t.Fatal(err)
	}
	as := newServer(t, strings.Replace(string(text), "http://localhost:8080", "$ISSUER", 1))
	secrets := map[string]string{}
	for _, name := range []string{"market", "crypto"} {
		out, code := sekisho(t, "", "generate", "client-secret")
		if code != 0 {
			t.Fatal(out)
		}
		_, secret, _ := strings.Cut(strings.SplitN(out, "\n", 2)[0], ": ")
		secrets[name] = secret
		if err := os.WriteFile(filepath.Join(filepath.Dir(as.File), name+".secret"), []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	as.start(t)

	machine := url.Values{"grant_type": {"client_credentials"}, "scope": {"settle"}}
	token := post(t, as.Issuer+"/oauth2/token", "crypto.batch", secrets["crypto"], machine)
	seen, status := send(t, t.Context(), as.Issuer+"/oauth2/introspect", "market.backend", secrets["market"], url.Values{"token": {token.AccessToken}})
	if status != http.StatusOK || seen.Scope != "settle" {
		t.Errorf("introspection: %d %+v", status, seen)
	}
	machine.Set("scope", "items.read")
	refused, status := send(t, t.Context(), as.Issuer+"/oauth2/token", "crypto.batch", secrets["crypto"], machine)
	if status != http.StatusBadRequest || refused.Error != "invalid_scope" || !strings.Contains(refused.Description, "items.read") {
		t.Errorf("items.read for itself: %d %+v", status, refused)
	}
}
