package rs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

func TestMetadataOfTheAPI(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	config := config(t, issuer)
	config.Metadata = &rs.Metadata{Name: "Market", Scopes: []string{"items.read"}}
	guard := newGuard(t, config)
	if guard.MetadataPath() != "/.well-known/oauth-protected-resource" {
		t.Errorf("path %q", guard.MetadataPath())
	}
	recorder := httptest.NewRecorder()
	guard.ServeMetadata(recorder, httptest.NewRequest(http.MethodGet, guard.MetadataPath(), http.NoBody))
	var got map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["resource"] != market || got["authorization_servers"].([]any)[0] != issuer.URL || got["scopes_supported"].([]any)[0] != "items.read" ||
		got["dpop_bound_access_tokens_required"] != false || recorder.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v %v", recorder.Header(), got)
	}
	refused := call(guard.User("", nil), "")
	if challenge := refused.Header().Get("WWW-Authenticate"); !strings.Contains(challenge, `resource_metadata="https://api.market.example/.well-known/oauth-protected-resource"`) {
		t.Errorf("challenge %s", challenge)
	}
	config.Audience = "urn:market"
	if _, err := rs.New(t.Context(), config); err == nil {
		t.Error("an audience that is no address was taken")
	}
	config.Audience = "https://api.market.example/v1"
	if path := newGuard(t, config).MetadataPath(); path != "/.well-known/oauth-protected-resource/v1" {
		t.Errorf("path %q", path)
	}
}

// TestStepUp: a person whose sign-in is too old or too weak is sent to sign in again,
// with what the API needs (RFC 9470).
func TestStepUp(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	now := issuer.Clock.Now()
	handler := guard.UserWith(rs.Need{Scope: "items.read", ACR: []string{"aal2", "aal3"}, MaxAge: 5 * time.Minute},
		func(http.ResponseWriter, *http.Request, *rs.User) {})
	for name, c := range map[string]struct {
		acr  string
		ago  time.Duration
		good bool
	}{
		"lately and strong": {"aal2", 5 * time.Minute, true},
		"too long ago":      {"aal2", 5*time.Minute + time.Second, false},
		"too weak":          {"aal1", time.Minute, false},
		"nobody knows how":  {"", time.Minute, false},
	} {
		claims := issuertest.With(issuer.UserClaims("alice", "market-app.web", market, "items.read"), map[string]any{"acr": c.acr, "auth_time": now.Add(-c.ago).Unix()})
		recorder := call(handler, "Bearer "+issuer.AccessToken(claims))
		ask, needed := rp.StepUp(recorder.Result())
		switch {
		case c.good && recorder.Code != http.StatusOK:
			t.Errorf("%s: %d", name, recorder.Code)
		case !c.good && (!needed || ask.ACRValues != "aal2 aal3" || ask.MaxAge != 5*time.Minute):
			t.Errorf("%s: %d %v %+v", name, recorder.Code, recorder.Header(), ask)
		}
	}
	if _, needed := rp.StepUp(call(handler, "").Result()); needed {
		t.Error("a request without a token is asked for another sign-in")
	}
}
