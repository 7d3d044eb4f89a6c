package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/registry"
)

const (
	issuer   = "https://id.example"
	tokenURL = "https://id.example/oauth2/token"
	secretA  = "a-secret-of-pay-with-more-than-32-characters"
	secretB  = "a-secret-of-crypto-with-more-than-32-characters"
)

// keys are the keys of two clients, and one that is for encryption.
type keys struct{ a, b, enc *ecdsa.PrivateKey }

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// jwk writes a public key for a group file.
func jwk(t testing.TB, key *ecdsa.PrivateKey, kid, use string) string {
	t.Helper()
	public, err := jose.PublicJWK(key.Public(), kid, jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public.Use = use
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// setupClients makes a group with one client for each way of authentication.
func setupClients(t testing.TB) (*bundle, keys) {
	t.Helper()
	k := keys{newKey(t), newKey(t), newKey(t)}
	b := setup(t)
	apply(t, b.Registry, parse(t, []byte(fmt.Sprintf(`
issuer: %s
subsystems:
  shop:
    scenario: service
    clients:
      basic: { secret_file: pay.secret }
      post: { auth: client_secret_post, secret_file: pay.secret }
      two: { secret_file: pay.secret, secret_sha256: [e82a4a8bb9d722257297f8fbe15e03c3a8f55fbfcd28ef9ac9e9b3059b8070f4] }
      jwt: { jwks: { keys: [%s, %s] }, rate: 1 }
      other: { jwks: { keys: [%s] } }
      each: { jwks: { keys: [%s] }, assertions: once_per_replica }
  app:
    scenario: app
    clients:
      web: { redirect_uris: [https://app.example/cb] }
`, issuer, jwk(t, k.a, "a", "sig"), jwk(t, k.enc, "enc", "enc"), jwk(t, k.b, "b", "sig"), jwk(t, k.a, "a", "sig")))))
	return b, k
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	b, _ := setupClients(t)
	for _, test := range []struct {
		name   string
		client string
		method registry.AuthMethod
		secret string
		want   error
	}{
		{"basic", "shop.basic", registry.AuthSecretBasic, secretA, nil},
		{"post", "shop.post", registry.AuthSecretPost, secretA, nil},
		{"first of two", "shop.two", registry.AuthSecretBasic, secretA, nil},
		{"second of two", "shop.two", registry.AuthSecretBasic, secretB, nil},
		{"wrong secret", "shop.basic", registry.AuthSecretBasic, secretB, registry.ErrSecret},
		{"empty secret", "shop.basic", registry.AuthSecretBasic, "", registry.ErrSecret},
		{"secret with a tail", "shop.basic", registry.AuthSecretBasic, secretA + "\n", registry.ErrSecret},
		{"hash as a secret", "shop.two", registry.AuthSecretBasic, "e82a4a8bb9d722257297f8fbe15e03c3a8f55fbfcd28ef9ac9e9b3059b8070f4", registry.ErrSecret},
		{"post at a basic client", "shop.basic", registry.AuthSecretPost, secretA, registry.ErrMethod},
		{"basic at a post client", "shop.post", registry.AuthSecretBasic, secretA, registry.ErrMethod},
		{"none at a basic client", "shop.basic", registry.AuthNone, "", registry.ErrMethod},
		{"basic at a jwt client", "shop.jwt", registry.AuthSecretBasic, secretA, registry.ErrMethod},
		{"empty secret at a jwt client", "shop.jwt", registry.AuthSecretBasic, "", registry.ErrMethod},
		{"public", "app.web", registry.AuthNone, "", nil},
		{"basic at a public client", "app.web", registry.AuthSecretBasic, "", registry.ErrMethod},
		{"unknown client", "shop.nobody", registry.AuthSecretBasic, secretA, registry.ErrClientUnknown},
		{"unknown public client", "shop.nobody", registry.AuthNone, "", registry.ErrClientUnknown},
		{"no client", "", registry.AuthSecretBasic, "", registry.ErrClientUnknown},
		{"client in capitals", "SHOP.BASIC", registry.AuthSecretBasic, secretA, registry.ErrClientUnknown},
		{"no method", "shop.basic", "", secretA, registry.ErrMethod},
		{"unknown method", "shop.basic", "client_secret_jwt", secretA, registry.ErrMethod},
	} {
		client, err := b.Authenticate(t.Context(), registry.Credentials{Method: test.method, ClientID: test.client, Secret: test.secret})
		checkAnswer(t, test.name, client, err, test.client, test.want)
	}
}

func checkAnswer(t *testing.T, name string, client *registry.Client, err error, wantClient string, want error) {
	t.Helper()
	switch {
	case want == nil && err != nil:
		t.Errorf("%s: %v", name, err)
	case want == nil && client.ID != wantClient:
		t.Errorf("%s: client %s, want %s", name, client.ID, wantClient)
	case want != nil && (!errors.Is(err, want) || client != nil):
		t.Errorf("%s: %v, %v, want %v", name, client, err, want)
	case want != nil && !errors.Is(err, registry.ErrClientAuthentication):
		t.Errorf("%s: %v is not ErrClientAuthentication", name, err)
	}
}
