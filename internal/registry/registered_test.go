package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// partnerGroup has a third party without declared clients, and one with.
const partnerGroup = `
issuer: https://id.example
subsystems:
  api:
    scenario: service
    resource: { audience: https://api.example, scopes: { read: Read } }
    clients:
      backend: { secret_file: pay.secret }
  partner: { scenario: third_party, name: { en: Partner, ja: 取引先 }, identity: [email] }
  other:
    scenario: third_party
    clients:
      web: { redirect_uris: [https://other.example/cb] }
calls:
  - { from: partner, to: api, user: [read], service: [read] }
`

// opened is a registry with the group above and a token for its partner.
func opened(t testing.TB) (*bundle, string) {
	t.Helper()
	b := setup(t)
	apply(t, b.Registry, parse(t, []byte(partnerGroup)))
	return b, b.open(t, "partner", time.Hour)
}

func (b *bundle) open(t testing.TB, subsystem string, life time.Duration) string {
	t.Helper()
	_, token, err := b.MakeRegistrationToken(t.Context(), subsystem, life, registry.Origin{By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// site is a client as most are.
func site() *registry.GroupClient {
	return &registry.GroupClient{
		Type: registry.TypeWeb, Auth: registry.AuthSecretBasic, Name: registry.Text{En: "Reader", Ja: "リーダー"},
		RedirectURIs: []string{"https://partner.example/cb"},
	}
}

func (b *bundle) register(t testing.TB, token string, client *registry.GroupClient) registry.Registration {
	t.Helper()
	made, err := b.Register(t.Context(), token, client, registry.Origin{Source: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// events lists what the audit has of an event.
func (b *bundle) events(t testing.TB, event audit.Event) []audit.Record {
	t.Helper()
	var records []audit.Record
	err := b.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		records, err = audit.Find(t.Context(), tx, audit.Query{Event: event, Limit: 1000})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestRegisteredClientIsOneOfItsSubsystem(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	made := b.register(t, token, site())
	if !strings.HasPrefix(made.ID, "partner.0") || len(made.ID) != len("partner.0")+32 {
		t.Errorf("client id %q", made.ID)
	}
	client, ok := b.Current().Client(made.ID)
	if !ok {
		t.Fatal("the snapshot does not have it")
	}
	partner, _ := b.Current().Subsystem("partner")
	if client.Subsystem != partner || !slices.Contains(partner.Clients, client) || client.Subsystem.Sector.Name != "partner" {
		t.Errorf("it is of %+v", client.Subsystem)
	}
	if client.FirstParty() || client.PKCEOptional || client.Rate != 50 || client.IDTokenAlg != "RS256" {
		t.Errorf("client %+v", client)
	}
	if client.Name.En != "Reader (Partner)" || client.Name.Ja != "リーダー (取引先)" {
		t.Errorf("people read %+v, which does not tell whose it is", client.Name)
	}
	got, err := b.Authenticate(t.Context(), registry.Credentials{Method: registry.AuthSecretBasic, ClientID: made.ID, Secret: made.Secret})
	if err != nil || got.ID != made.ID {
		t.Errorf("authentication: %v", err)
	}
	if !slices.Equal(made.Grants(), []oauth.GrantType{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken, oauth.GrantClientCredentials}) {
		t.Errorf("grants %v", made.Grants())
	}
	if group, _ := json.Marshal(b.Group()); strings.Contains(string(group), made.ID) || !mustPlan(t, b, partnerGroup).Empty() {
		t.Error("it has become part of the declared group")
	}

	again := open(t, b.config()) // a restart
	if restarted, ok := again.Current().Client(made.ID); !ok || restarted.RedirectURIs[0] != "https://partner.example/cb" {
		t.Error("it is gone after a restart")
	}
	held, err := again.Registered(t.Context(), made.ID, made.AccessToken)
	if err != nil || held.ID != made.ID || !held.CreatedAt.Equal(start) || !held.HasSecret(made.Secret) {
		t.Errorf("held %+v, %v", held, err)
	}
}

func mustPlan(t testing.TB, b *bundle, file string) registry.Plan {
	t.Helper()
	plan, err := b.Plan(parse(t, []byte(file)))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Check Q5: a hundred for each subsystem, and room again when one goes.
func TestRegisteredClientsAreBounded(t *testing.T) {
	t.Parallel()
	b, _ := opened(t)
	var last registry.Registration
	for i := range 100 {
		if i%5 == 0 {
			b.clock.Set(start.Add(time.Duration(i) * time.Minute))
		}
		last = b.register(t, b.open(t, "partner", time.Minute), site())
	}
	token := b.open(t, "partner", time.Hour)
	if _, err := b.Register(t.Context(), token, site(), registry.Origin{}); !errors.Is(err, registry.ErrRegistrationsFull) {
		t.Fatalf("the 101st: %v", err)
	}
	b.register(t, b.open(t, "other", time.Hour), site())
	if err := b.Unregister(t.Context(), last.ID, last.AccessToken, registry.Origin{}); err != nil {
		t.Fatal(err)
	}
	b.register(t, token, site())
	if partner, _ := b.Current().Subsystem("partner"); len(partner.Clients) != 100 {
		t.Errorf("%d clients", len(partner.Clients))
	}
}

func TestReplaceKeepsIDAndSecret(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	made := b.register(t, token, site())
	replace := func(change func(*registry.GroupClient)) registry.Registration {
		t.Helper()
		next := site()
		change(next)
		next.Secrets = []string{strings.Repeat("a", 64)} // of the asker's choice: never taken
		got, err := b.Replace(t.Context(), made.ID, made.AccessToken, next, registry.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	secretWorks := func(method registry.AuthMethod, secret string) bool {
		_, err := b.Authenticate(t.Context(), registry.Credentials{Method: method, ClientID: made.ID, Secret: secret})
		return err == nil
	}
	got := replace(func(c *registry.GroupClient) {
		c.Auth, c.RedirectURIs, c.Name = registry.AuthSecretPost, []string{"https://partner.example/new"}, registry.Text{}
	})
	if got.ID != made.ID || got.Secret != "" || !got.CreatedAt.Equal(made.CreatedAt) || !secretWorks(registry.AuthSecretPost, made.Secret) {
		t.Errorf("replaced: %+v", got)
	}
	client, _ := b.Current().Client(made.ID)
	if !client.MatchRedirectURI("https://partner.example/new") || client.MatchRedirectURI("https://partner.example/cb") || client.Name.En != "Partner" {
		t.Errorf("client %+v", client)
	}
	// Public: the secret is gone for good. Confidential again: there is a new one.
	if replace(func(c *registry.GroupClient) { c.Type, c.Auth = registry.TypeSPA, registry.AuthNone }); secretWorks(registry.AuthSecretPost, made.Secret) {
		t.Error("a public client has a secret")
	}
	back := replace(func(*registry.GroupClient) {})
	if back.Secret == "" || back.Secret == made.Secret || !secretWorks(registry.AuthSecretBasic, back.Secret) || secretWorks(registry.AuthSecretBasic, made.Secret) {
		t.Errorf("back: %+v", back)
	}
	if n := len(b.events(t, audit.ClientChanged)); n != 3 {
		t.Errorf("%d records of 3 changes", n)
	}

	var faults registry.Faults
	bad := site()
	bad.RedirectURIs = []string{"javascript:alert(1)"}
	if _, err := b.Replace(t.Context(), made.ID, made.AccessToken, bad, registry.Origin{}); !errors.As(err, &faults) || faults[0].Path != "redirect_uris[0]" {
		t.Errorf("a bad one: %v", err)
	}
	if client, _ = b.Current().Client(made.ID); !client.MatchRedirectURI("https://partner.example/cb") {
		t.Error("a refused replacement has changed the client")
	}
}

func TestOnlyItsOwnTokenOpensAClient(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	one, two := b.register(t, token, site()), b.register(t, token, site())
	for name, c := range map[string][2]string{
		"of another":         {one.ID, two.AccessToken},
		"initial":            {one.ID, token},
		"secret":             {one.ID, one.Secret},
		"none":               {one.ID, ""},
		"unknown client":     {"partner.0" + strings.Repeat("a", 32), one.AccessToken},
		"declared client":    {"other.web", one.AccessToken},
		"id in capitals":     {strings.ToUpper(one.ID), one.AccessToken},
		"no client":          {"", one.AccessToken},
		"token in capitals":  {one.ID, strings.ToUpper(one.AccessToken)},
		"token with a space": {one.ID, one.AccessToken + " "},
	} {
		if _, err := b.Registered(t.Context(), c[0], c[1]); !errors.Is(err, registry.ErrRegistrationAccess) {
			t.Errorf("%s, read: %v", name, err)
		}
		if _, err := b.Replace(t.Context(), c[0], c[1], site(), registry.Origin{}); !errors.Is(err, registry.ErrRegistrationAccess) {
			t.Errorf("%s, replace: %v", name, err)
		}
		if err := b.Unregister(t.Context(), c[0], c[1], registry.Origin{}); !errors.Is(err, registry.ErrRegistrationAccess) {
			t.Errorf("%s, delete: %v", name, err)
		}
	}
}

func TestUnregisterEndsWhatTheClientHolds(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	made := b.register(t, token, site())
	b.mu.Lock()
	b.refuse = errors.New("grants cannot be ended")
	b.mu.Unlock()
	if err := b.Unregister(t.Context(), made.ID, made.AccessToken, registry.Origin{}); err == nil {
		t.Fatal("removed without ending its grants")
	}
	if _, ok := b.Current().Client(made.ID); !ok {
		t.Fatal("half removed")
	}
	b.mu.Lock()
	b.refuse = nil
	b.mu.Unlock()
	if err := b.Unregister(t.Context(), made.ID, made.AccessToken, registry.Origin{}); err != nil || !slices.Equal(b.removed, []string{made.ID}) {
		t.Fatalf("%v, removed %v", err, b.removed)
	}
	if _, ok := b.Current().Client(made.ID); ok {
		t.Error("it is still there")
	}
	if _, err := b.Registered(t.Context(), made.ID, made.AccessToken); !errors.Is(err, registry.ErrRegistrationAccess) {
		t.Errorf("its token: %v", err)
	}
	two := b.register(t, token, site())
	if err := b.RemoveRegistered(t.Context(), two.ID, registry.Origin{By: "test"}); err != nil || !slices.Equal(b.removed, []string{two.ID}) {
		t.Errorf("by the operator: %v, removed %v", err, b.removed)
	}
	if err := b.RemoveRegistered(t.Context(), "other.web", registry.Origin{By: "test"}); !errors.Is(err, registry.ErrNotRegistered) {
		t.Errorf("a declared client: %v", err)
	}
	if n := len(b.events(t, audit.ClientRemoved)); n != 2 {
		t.Errorf("%d records of 2 removals", n)
	}
}

// TestWhatNoClientMayRegister is check R4 at registration: what no client may
// declare, and plain http even on loopback where somebody else opens it.
func TestWhatNoClientMayRegister(t *testing.T) {
	t.Parallel()
	b, _ := opened(t)
	for _, key := range []string{
		"redirect_uris", "post_logout_redirect_uris", "client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri", "backchannel_logout_uri",
	} {
		for _, uri := range []string{
			"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
			"http://partner.example/x", "https://partner.example/x#fragment", "https://*.partner.example/x", "https://partner.example/*",
			"com.example.partner:/x", "/x", "https://user@partner.example/x", "https://partner.example\\@evil.test/", "http://127.0.0.1:8080/x",
		} {
			loopback := strings.HasPrefix(uri, "http://127.0.0.1")
			if loopback && key != "initiate_login_uri" && key != "backchannel_logout_uri" {
				continue // for development, as in the group file
			}
			err := b.try(t, key, uri)
			var faults registry.Faults
			if !errors.As(err, &faults) || !strings.HasPrefix(faults[0].Path, key) {
				t.Errorf("%s may be %q: %v", key, uri, err)
			}
		}
	}
}

// try registers a site with one URI more.
func (b *bundle) try(t testing.TB, key, uri string) error {
	t.Helper()
	value := any(uri)
	if strings.HasSuffix(key, "_uris") {
		value = []string{uri}
	}
	text, err := json.Marshal(map[string]any{
		"type": "web", "auth": "client_secret_basic", "redirect_uris": []string{"https://partner.example/cb"}, key: value,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := new(registry.GroupClient)
	if err := json.Unmarshal(text, client); err != nil {
		t.Fatal(err)
	}
	_, err = b.Register(context.WithoutCancel(t.Context()), b.open(t, "partner", time.Minute), client, registry.Origin{})
	return err
}

// What a client says of itself cannot make its audit record too long to be
// written.
func TestLongDeclarationsAreWrittenDown(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	client := site()
	client.Name = registry.Text{En: strings.Repeat("<", 200), Ja: strings.Repeat("&", 200)}
	client.RedirectURIs = nil
	for i := range 20 {
		client.RedirectURIs = append(client.RedirectURIs, fmt.Sprintf("https://partner.example/%d?%s", i, strings.Repeat("&", 2000)))
	}
	b.register(t, token, client)
	if records := b.events(t, audit.ClientRegistered); len(records) != 1 || records[0].Source != "192.0.2.1" {
		t.Errorf("records %+v", records)
	}
}
