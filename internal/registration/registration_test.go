package registration_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/registration"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// The whole server is tested in internal/app; here stands what needs the door
// alone.

const (
	issuer = "https://id.example"
	group  = `
issuer: https://id.example
subsystems:
  partner: { scenario: third_party }
`
)

// bundle is a door on a database of its own.
type bundle struct {
	handler http.Handler
	groups  *registry.Registry
	audit   *audit.Log
	db      *db.DB
	clock   *clocktest.Clock
}

func setup(t testing.TB) *bundle {
	t.Helper()
	database, err := db.Open(t.Context(), dbtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	b := &bundle{db: database, clock: clocktest.At(time.Unix(1_800_000_000, 0))}
	b.audit = audit.NewLog(database, b.clock.Now)
	if b.groups, err = registry.Open(t.Context(), registry.Config{DB: database, Now: b.clock.Now}); err != nil {
		t.Fatal(err)
	}
	parsed, err := registry.Parse("group.yaml", []byte(group), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.groups.Apply(t.Context(), parsed, "test"); err != nil {
		t.Fatal(err)
	}
	door := registration.New(registration.Config{Issuer: issuer, Registry: b.groups, Audit: b.audit, Now: b.clock.Now})
	mux := http.NewServeMux()
	mux.HandleFunc(registration.Path, door.Register)
	mux.HandleFunc(registration.Path+"/{client}", door.Client)
	b.handler = web.Recover(mux)
	return b
}

func (b *bundle) token(t testing.TB) string {
	t.Helper()
	_, token, err := b.groups.MakeRegistrationToken(t.Context(), "partner", time.Hour, registry.Origin{By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (b *bundle) send(t testing.TB, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, issuer+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	b.clock.Advance(time.Second) // for the limit of one source
	b.handler.ServeHTTP(w, r)
	return w
}

// records lists what the audit has of an event.
func (b *bundle) records(t testing.TB, event audit.Event) []audit.Record {
	t.Helper()
	if err := b.audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var records []audit.Record
	err := b.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		records, err = audit.Find(t.Context(), tx, audit.Query{Event: event, Limit: 100})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestRefusalsAreWrittenDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	token := b.token(t)
	made := b.send(t, http.MethodPost, registration.Path, token, `{"redirect_uris":["https://partner.example/cb"]}`)
	if made.Code != http.StatusCreated {
		t.Fatalf("%d %s", made.Code, made.Body)
	}
	var client struct {
		ID    string `json:"client_id"`
		Token string `json:"registration_access_token"`
	}
	if err := json.Unmarshal(made.Body.Bytes(), &client); err != nil {
		t.Fatal(err)
	}
	b.send(t, http.MethodPost, registration.Path, "nobody's", `{}`)
	b.send(t, http.MethodPost, registration.Path, token, `{}`)
	b.send(t, http.MethodPut, registration.Path+"/"+client.ID, client.Token, `{}`)
	b.send(t, http.MethodPatch, registration.Path, token, `{}`) // decides nothing
	want := map[[2]string]bool{
		{"", "invalid_token"}: true, {"", "invalid_redirect_uri"}: true, {client.ID, "invalid_client_metadata"}: true,
	}
	records := b.records(t, audit.RegistrationRefused)
	for _, record := range records {
		if !want[[2]string{record.Client, record.Reason}] || record.Outcome != audit.Refused || record.Source == "" {
			t.Errorf("record %+v", record)
		}
	}
	if len(records) != len(want) {
		t.Errorf("%d records, want %d", len(records), len(want))
	}
	if len(b.records(t, audit.ClientRegistered)) != 1 {
		t.Error("the registration is not written down")
	}
}

// FuzzMetadata holds that no body makes the endpoints fail, that every refusal
// keeps to the characters of RFC 6749 §5.2, and that what is in force after a
// registration can be registered again, to the same.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{"redirect_uris":["https://a.example/cb"]}`,
		`{"redirect_uris":["com.example.a:/cb","http://127.0.0.1/cb"],"application_type":"native","token_endpoint_auth_method":"none"}`,
		`{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"none","client_name":"A","client_name#ja":"あ","post_logout_redirect_uris":["https://a.example/"]}`,
		`{"grant_types":["client_credentials"],"response_types":[],"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}}`,
		`{"redirect_uris":["https://a.example/cb"],"backchannel_logout_uri":"https://a.example/out","backchannel_logout_session_required":true,"initiate_login_uri":"https://a.example/in"}`,
		`{"redirect_uris":["javascript:alert(1)"],"jwks_uri":"https://a.example"}`,
		`{"redirect_uris":[],"Redirect_uris":[]}`, `{"client_name":"\u202e\u0000\"\\"}`, `[]`, `{"jwks":null,"redirect_uris":null}`, "{\"a\":\"\xff\"}",
	} {
		f.Add(seed)
	}
	b := setup(f)
	token, used := b.token(f), 0
	f.Fuzz(func(t *testing.T, body string) {
		b.clock.Advance(15 * time.Minute) // five an hour are never too many
		if used++; used%3 == 0 {
			token = b.token(t)
		}
		made := b.send(t, http.MethodPost, registration.Path, token, body)
		if err := b.audit.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if made.Code != http.StatusCreated {
			wantRefusal(t, made)
			return
		}
		var client map[string]any
		if err := json.Unmarshal(made.Body.Bytes(), &client); err != nil {
			t.Fatal(err)
		}
		path, access := registration.Path+"/"+text(client["client_id"]), text(client["registration_access_token"])
		held := b.send(t, http.MethodGet, path, access, "")
		for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
			delete(client, name)
		}
		again, err := json.Marshal(client)
		if err != nil {
			t.Fatal(err)
		}
		if put := b.send(t, http.MethodPut, path, access, string(again)); put.Code != http.StatusOK || put.Body.String() != held.Body.String() {
			t.Fatalf("what is in force: %s\nregistered again: %d %s", held.Body, put.Code, put.Body)
		}
		if gone := b.send(t, http.MethodDelete, path, access, ""); gone.Code != http.StatusNoContent {
			t.Fatalf("%d %s", gone.Code, gone.Body)
		}
	})
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func wantRefusal(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var refusal oauth.Error
	if err := json.Unmarshal(w.Body.Bytes(), &refusal); err != nil || refusal.Code == "" || w.Code < 400 || w.Code > 499 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if strings.ContainsFunc(refusal.Description, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
		t.Fatalf("description %q", refusal.Description)
	}
}
