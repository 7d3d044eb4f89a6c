package app_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// initialToken is what an operator gives a third party.
func (w *world) initialToken(subsystem string) string {
	w.t.Helper()
	_, token, err := w.app.Registry.MakeRegistrationToken(w.t.Context(), subsystem, 24*time.Hour, registry.Origin{By: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// source makes requests come from everywhere, so that no test meets the limit of
// one source by chance.
var source atomic.Int64

// ask sends a body, which may be a text or anything to be written as JSON, with a
// bearer token.
func (w *world) ask(method, path, token string, body any) answer {
	w.t.Helper()
	text, raw := body.(string)
	if !raw && body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		text = string(data)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, issuer+strings.TrimPrefix(path, issuer), strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	n := source.Add(1)
	r.RemoteAddr = fmt.Sprintf("10.%d.%d.9:4711", n>>8&255, n&255)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.do(r)
}

// registered is what a client is told of itself.
type registered struct {
	ID                  string   `json:"client_id"`
	Secret              string   `json:"client_secret"`
	SecretExpiresAt     *int64   `json:"client_secret_expires_at"`
	IssuedAt            int64    `json:"client_id_issued_at"`
	Token               string   `json:"registration_access_token"`
	URI                 string   `json:"registration_client_uri"`
	RedirectURIs        []string `json:"redirect_uris"`
	GrantTypes          []string `json:"grant_types"`
	ResponseTypes       []string `json:"response_types"`
	AuthMethod          string   `json:"token_endpoint_auth_method"`
	ApplicationType     string   `json:"application_type"`
	SubjectType         string   `json:"subject_type"`
	IDTokenAlg          string   `json:"id_token_signed_response_alg"`
	InitiateLoginURI    string   `json:"initiate_login_uri"`
	Name                string   `json:"client_name"`
	JWKS                any      `json:"jwks"`
	PostLogoutRedirects []string `json:"post_logout_redirect_uris"`
}

// reader is the metadata of a site, with members changed by pairs; nil leaves
// one out.
func reader(pairs ...any) map[string]any {
	metadata := map[string]any{"redirect_uris": []string{readerCallback}, "client_name": "Reader"}
	for i := 0; i < len(pairs); i += 2 {
		name, _ := pairs[i].(string)
		metadata[name] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(metadata, name)
		}
	}
	return metadata
}

// suiteRequest is what the certification suite sends: keys beside a secret, and
// members that nobody needs.
func suiteRequest(t *testing.T) map[string]any {
	t.Helper()
	return map[string]any{
		"client_name": "OIDF Conformance Test", "grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
		"redirect_uris": []string{suiteCallback}, "contacts": []string{"certification@oidf.org"}, "token_endpoint_auth_method": "client_secret_basic",
		"jwks": publicKeys(t), "initiate_login_uri": "https://suite.test/test/a/sekisho/initiate_login",
	}
}

func publicKeys(t *testing.T) any {
	t.Helper()
	jwk, err := jose.PublicJWK(signerKey().Public(), "k1", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.MarshalSet([]jose.JWK{jwk})
	if err != nil {
		t.Fatal(err)
	}
	return decode[any](t, string(set))
}

// wantRegistered checks an answer that tells of a client.
func (w *world) wantRegistered(a answer, status int) registered {
	w.t.Helper()
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != status || media != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		w.t.Fatalf("%d %v %s, want %d", a.status, a.header, a.body, status)
	}
	got := decode[registered](w.t, a.body)
	if got.Token == "" || got.URI != issuer+registerPath+"/"+got.ID || !strings.HasPrefix(got.ID, "partner.") {
		w.t.Errorf("answer %s", a.body)
	}
	if (got.Secret == "") != (got.SecretExpiresAt == nil) || got.SecretExpiresAt != nil && *got.SecretExpiresAt != 0 {
		w.t.Errorf("secret %q with client_secret_expires_at %v", got.Secret, got.SecretExpiresAt)
	}
	return got
}

func (w *world) register(token string, metadata any) registered {
	w.t.Helper()
	return w.wantRegistered(w.ask(http.MethodPost, registerPath, token, metadata), http.StatusCreated)
}

// wantNotRegistered checks a refusal as JSON.
func wantNotRegistered(t *testing.T, name string, a answer, status int, code string) {
	t.Helper()
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != status || media != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %v %s, want %d %s", name, a.status, a.header, a.body, status, code)
		return
	}
	got := decode[map[string]string](t, a.body)
	if got["error"] != code || got["error_description"] == "" || !plain(got["error_description"]) || len(got) != 2 {
		t.Errorf("%s: %s, want %s", name, a.body, code)
	}
}
