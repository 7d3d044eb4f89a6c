package issuer_test

import (
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

// Whatever a token looks like, it is refused unless it is the one that was
// signed. In the input {h}, {p} and {s} stand for the parts of that one.
func FuzzVerify(f *testing.F) {
	server := issuertest.New()
	defer server.Close()
	keys := issuer.NewKeys(server.URL+path, issuer.Client(nil), server.Clock.Now)
	if err := keys.Load(f.Context()); err != nil {
		f.Fatal(err)
	}
	good := server.AccessToken(map[string]any{"sub": "alice"})
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		"{h}.{p}.{s}", "{h}.{p}.{s}=", "{h}.{p}.", ".{p}.{s}", "..", "{h}.{p}.{s}.{s}", "{p}.{h}.{s}", "{h}.{p}{p}.{s}",
		"{h} .{p}.{s}", "{h}.{p}.{s}\n", "{h}.\r\n{p}.{s}", "{h}\n.{p}.{s}",
		"eyJhbGciOiJub25lIn0.{p}.", "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoia2V5LTEifQ.{p}.{s}",
	} {
		f.Add(seed)
	}
	f.Add("{h}.{p}." + unusedBit(parts[2]))
	f.Fuzz(func(t *testing.T, input string) {
		token := strings.NewReplacer("{h}", parts[0], "{p}", parts[1], "{s}", parts[2]).Replace(input)
		var claims struct {
			Subject string `json:"sub"`
		}
		if err := keys.Verify(t.Context(), token, kind, &claims); (err == nil) != (token == good) {
			t.Errorf("%q: %v, claims %+v", input, err, claims)
		}
	})
}

// unusedBit sets a bit of the last base64 character that decodes to nothing.
func unusedBit(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(segment) - 1
	return segment[:last] + string(alphabet[strings.IndexByte(alphabet, segment[last])|1])
}

func BenchmarkVerify(b *testing.B) {
	server := issuertest.New()
	defer server.Close()
	keys := issuer.NewKeys(server.URL+path, issuer.Client(nil), server.Clock.Now)
	token := server.AccessToken(server.UserClaims("alice", "market-app.web", "https://api.market.example", "items.read"))
	kind := issuer.Kind{Types: []string{"at+jwt"}, Algorithms: []jose.SignatureAlgorithm{jose.ES256}}
	for b.Loop() {
		var claims map[string]any
		if err := keys.Verify(b.Context(), token, kind, &claims); err != nil {
			b.Fatal(err)
		}
	}
}
