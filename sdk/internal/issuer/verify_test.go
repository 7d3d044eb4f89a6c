package issuer_test

import (
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

// Whatever a token looks like, it is either the one that was signed, in other
// letters at most, or it is refused.
func FuzzVerify(f *testing.F) {
	server := issuertest.New()
	defer server.Close()
	keys := issuer.NewKeys(server.URL+path, issuer.Client(nil), server.Clock.Now)
	if err := keys.Load(f.Context()); err != nil {
		f.Fatal(err)
	}
	good := server.AccessToken(map[string]any{"sub": "alice"})
	parts := strings.Split(good, ".")
	f.Add(good)
	f.Add(good + "=")
	f.Add(parts[0] + "." + parts[1] + ".")
	f.Add("." + parts[1] + "." + parts[2])
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		var claims struct{ Sub string }
		err := keys.Verify(t.Context(), token, kind, &claims)
		if err == nil && (claims.Sub != "alice" || !strings.HasPrefix(token, parts[0]+"."+parts[1]+".")) {
			t.Errorf("accepted %q", token)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	server := issuertest.New()
	defer server.Close()
	keys := issuer.NewKeys(server.URL+path, issuer.Client(nil), server.Clock.Now)
	token := server.AccessToken(server.UserClaims("alice", "market-app.web", "https://api.market.example", "items.read"))
	kind := issuer.Kind{Types: []string{"at+jwt"}, Algorithms: []jose.SignatureAlgorithm{jose.ES256}}
	for b.Loop() {
		var claims struct{ Sub string }
		if err := keys.Verify(b.Context(), token, kind, &claims); err != nil {
			b.Fatal(err)
		}
	}
}
