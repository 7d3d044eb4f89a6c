package token_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// FuzzTokenRequest holds that no form makes the endpoint fail, and that every
// refusal keeps to the characters of RFC 6749 §5.2.
func FuzzTokenRequest(f *testing.F) {
	b := setup(f)
	good := b.appTokens(marketScopes)
	for _, seed := range []string{
		"grant_type=client_credentials&scope=settle",
		"grant_type=client_credentials&resource=%22%5C%0d%0a&resource=https://api.market.test",
		"grant_type=authorization_code&code=x&redirect_uri=y&code_verifier=z",
		"grant_type=refresh_token&refresh_token=" + good.RefreshToken[:30],
		"grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=urn:ietf:params:oauth:token-type:access_token&subject_token=" + good.AccessToken,
		"client_assertion=a.b.c&client_assertion_type=x&grant_type=%00",
		"&&=&%zz", "scope=%e3%81%82", strings.Repeat("resource=a&", 70),
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, body string, authenticated bool) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, issuer+token.PathToken, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authenticated {
			r.SetBasicAuth("pay.backend", secretOf("pay.backend"))
		}
		w := httptest.NewRecorder()
		b.clock.Advance(10 * time.Millisecond) // for the rate of the client
		b.handler.ServeHTTP(w, r)
		if err := b.audit.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code == http.StatusOK {
			return
		}
		var refusal oauth.Error
		if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil || refusal.Code == "" {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		if strings.ContainsFunc(refusal.Description, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
			t.Fatalf("description %q", refusal.Description)
		}
	})
}
