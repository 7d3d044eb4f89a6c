package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// The table of scenarios, as the design has it (R3).
var scenarioTable = []struct {
	scenario          registry.Scenario
	public            bool // clients without authentication
	code              bool // user context by authorization code
	clientCredentials bool // service context
	exchange          bool // user context by exchange of the token it was called with
	resource          bool // is called
	converts          bool
	consent           bool
	registers         bool // its clients may register themselves
}{
	{scenario: registry.App, public: true, code: true},
	{scenario: registry.Backend, code: true, clientCredentials: true},
	{scenario: registry.Service, code: true, clientCredentials: true, exchange: true, resource: true, converts: true},
	{scenario: registry.ThirdParty, public: true, code: true, clientCredentials: true, consent: true, registers: true},
}

func TestScenarioTable(t *testing.T) {
	t.Parallel()
	for _, row := range scenarioTable {
		s := row.scenario
		for what, pair := range map[string][2]bool{
			"public clients":     {s.AllowsPublicClients(), row.public},
			"authorization code": {s.AllowsCodeFlow(), row.code},
			"client credentials": {s.AllowsClientCredentials(), row.clientCredentials},
			"token exchange":     {s.AllowsExchange(), row.exchange},
			"a resource":         {s.AllowsResource(), row.resource},
			"conversion":         {s.AllowsConversion(), row.converts},
			"consent":            {s.NeedsConsent(), row.consent},
			"first party":        {s.FirstParty(), !row.consent},
			"registration":       {s.AllowsRegistration(), row.registers},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %s is %t, want %t", s, what, pair[0], pair[1])
			}
		}
	}
	unknown := registry.Scenario("")
	if unknown.Valid() || unknown.AllowsCodeFlow() || unknown.AllowsPublicClients() || unknown.AllowsClientCredentials() ||
		unknown.AllowsExchange() || unknown.AllowsResource() || unknown.AllowsConversion() || unknown.FirstParty() ||
		unknown.AllowsRegistration() {
		t.Error("no scenario allows something")
	}
}

// TestScenarioTableInFiles holds that a file can say what the table allows, and
// cannot say the rest.
func TestScenarioTableInFiles(t *testing.T) {
	t.Parallel()
	const (
		secret   = "secret_file: pay.secret"
		redirect = "redirect_uris: [https://x.example/cb]"
		resource = "    resource: { audience: https://x.example, scopes: { trade: Trade } }\n"
	)
	for _, row := range scenarioTable {
		for _, test := range []struct {
			what   string
			client string // of the subsystem x
			extra  string // more of the subsystem
			call   string
			want   bool
			word   string // of the fault
		}{
			{what: "public client", client: redirect, want: row.public, word: "confidential"},
			{what: "device", client: "type: native, " + redirect, want: row.public, word: "confidential"},
			{what: "confidential site", client: redirect + ", " + secret, want: row.code},
			{what: "code for a person", client: redirect + ", " + secret, call: "{ from: x, to: api, user: [read] }", want: row.code},
			{what: "service context", client: redirect + ", " + secret, call: "{ from: x, to: api, service: [read] }", want: row.clientCredentials, word: "cannot call for itself"},
			{what: "service context of a public client", client: redirect, call: "{ from: x, to: api, service: [read] }", want: false},
			{what: "resource", client: redirect + ", " + secret, extra: resource, want: row.resource, word: "cannot have a resource"},
			{what: "being called", client: redirect + ", " + secret, extra: resource, call: "{ from: app, to: x, user: [trade] }", want: row.resource, word: "cannot have a resource"},
			{what: "exchange under a condition", client: redirect + ", " + secret, extra: resource, call: "{ from: x, to: api, user: [{ scope: read, when: [trade] }] }", want: row.exchange, word: "is never called"},
			{what: "chains of third parties", client: redirect + ", " + secret, call: "{ from: x, to: api, user: [read], third_party_chains: true }", want: row.exchange, word: "exchange"},
			{what: "sparing itself the consent", client: redirect + ", " + secret, extra: "    first_party: true\n", want: false, word: "the scenario decides"},
		} {
			file := "issuer: https://id.example\nsubsystems:\n" +
				"  api: { scenario: service, resource: { audience: https://api.example, scopes: { read: Read } } }\n" +
				"  app: { scenario: app, clients: { web: { redirect_uris: [https://app.example/cb] } } }\n" +
				fmt.Sprintf("  x:\n    scenario: %s\n%s    clients:\n      web: { %s }\n", row.scenario, test.extra, test.client)
			if test.call != "" {
				file += "calls:\n  - " + test.call + "\n"
			}
			_, err := registry.Parse("group.yaml", []byte(file), files)
			if (err == nil) != test.want {
				t.Errorf("%s: %s: allowed is %t, want %t: %v", row.scenario, test.what, err == nil, test.want, err)
			}
			if err != nil && !strings.Contains(err.Error(), test.word) {
				t.Errorf("%s: %s: %q is not in: %v", row.scenario, test.what, test.word, err)
			}
		}
	}
}

// TestAllowsGrant holds the table at the endpoint.
func TestAllowsGrant(t *testing.T) {
	t.Parallel()
	signIn := []string{"https://x.example/cb"}
	for _, row := range scenarioTable {
		for _, test := range []struct {
			grant        oauth.GrantType
			public       bool
			redirectURIs []string
			want         bool
		}{
			{grant: oauth.GrantAuthorizationCode, redirectURIs: signIn, want: row.code},
			{grant: oauth.GrantAuthorizationCode, want: false},
			{grant: oauth.GrantRefreshToken, redirectURIs: signIn, want: row.code},
			{grant: oauth.GrantRefreshToken, want: false},
			{grant: oauth.GrantClientCredentials, want: row.clientCredentials},
			{grant: oauth.GrantClientCredentials, public: true, redirectURIs: signIn, want: false},
			{grant: oauth.GrantTokenExchange, want: row.exchange},
			{grant: oauth.GrantTokenExchange, public: true, redirectURIs: signIn, want: false},
			{grant: "password", redirectURIs: signIn, want: false},
			{grant: "", redirectURIs: signIn, want: false},
		} {
			client := &registry.Client{
				ID: "x.web", RedirectURIs: test.redirectURIs, Auth: registry.AuthPrivateKeyJWT,
				Subsystem: &registry.Subsystem{Name: "x", Scenario: row.scenario},
			}
			if test.public {
				client.Auth = registry.AuthNone
			}
			err := client.AllowsGrant(test.grant)
			if (err == nil) != test.want {
				t.Errorf("%s, public %t: %q is allowed: %t, want %t: %v", row.scenario, test.public, test.grant, err == nil, test.want, err)
			}
			if err == nil {
				continue
			}
			if !errors.Is(err, registry.ErrGrantRefused) {
				t.Errorf("%v is not ErrGrantRefused", err)
			}
			for _, c := range err.Error() {
				if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
					t.Errorf("%q has the character %q (RFC 6749 §5.2)", err, c)
				}
			}
		}
	}
}
