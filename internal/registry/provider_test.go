package registry_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// newcomers is a group with a provider and with tokens of a system of before.
const newcomers = `
issuer: https://id.test
subsystems:
  app: { scenario: app, clients: { web: { type: spa, redirect_uris: [https://app.test/cb] } } }
  pay:
    scenario: service
    resource: { audience: https://pay.test, scopes: { charge: Pay } }
calls:
  - { from: app, to: pay, user: [charge] }
providers:
  google: { name: Google, issuer: https://google.test, client_id: us }
  apple: { name: Apple, issuer: https://apple.test, client_id: us, apple: { team: T, key: K } }
legacy_tokens:
  old:
    issuer: https://old.test
    audience: old-pay
    from: app.web
    to: pay
    scopes: { x: [charge] }
    until: 2027-03-31
    jwks: { keys: [{ kty: EC, crv: P-256, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM }] }
`

func TestPlanOfProvidersAndLegacyTokens(t *testing.T) {
	t.Parallel()
	parse := func(edits ...string) *registry.Group {
		t.Helper()
		group, err := registry.Parse("group.yaml", []byte(strings.NewReplacer(edits...).Replace(newcomers)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return group
	}
	base := parse()
	for name, test := range map[string]struct {
		edits []string
		want  []string
	}{
		"nothing": {nil, nil},
		"a provider goes": {
			[]string{"  google: { name: Google, issuer: https://google.test, client_id: us }\n", ""},
			[]string{"loss: People may no longer sign in with google (issuer https://google.test). What they connected is kept."},
		},
		"a provider is trusted": {
			[]string{"client_id: us }", "client_id: us, trust_email: true }"},
			[]string{"gain: Addresses that google calls verified are taken for verified."},
		},
		"a provider is another": {
			[]string{"name: Google, issuer: https://google.test, client_id: us", "name: G, issuer: https://g.test, client_id: we, scopes: [email], response_mode: form_post"},
			[]string{
				"change: google is the issuer https://g.test (was https://google.test): who signed in with the old one must sign in in another way.",
				`change: google is called "G" (was "Google").`, "change: google calls this server we (was us).",
				"change: google is asked for email (was email and profile).", "change: How google is spoken with changes.",
			},
		},
		"tokens of before for longer":  {[]string{"2027-03-31", "2027-04-30"}, []string{"gain: Legacy tokens old are taken until the end of 2027-04-30 (was 2027-03-31)."}},
		"tokens of before for shorter": {[]string{"2027-03-31", "2027-02-28"}, []string{"loss: Legacy tokens old are taken only until the end of 2027-02-28 (was 2027-03-31)."}},
		"tokens of before are others":  {[]string{"audience: old-pay", "audience: older"}, []string{"change: What legacy tokens old are, or stand for, changes: issuer https://old.test, audience older, as if app.web had come to pay."}},
		"tokens of before no more": {
			[]string{newcomers[strings.Index(newcomers, "legacy_tokens:"):], ""},
			[]string{"loss: pay may no longer exchange tokens of https://old.test for old-pay (old)."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, change := range registry.Diff(base, parse(test.edits...)).Changes {
				got = append(got, string(change.Kind)+": "+change.Sentence)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the plan is\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
	whole := registry.Diff(nil, base)
	for _, want := range []string{
		`People may sign in with google, "Google" (issuer https://google.test).`,
		"pay may exchange tokens of https://old.test for old-pay, as if app.web had come, until the end of 2027-03-31 (old).",
	} {
		if !slices.ContainsFunc(whole.Changes, func(c registry.Change) bool { return c.Sentence == want && c.Kind == registry.Gain }) {
			t.Errorf("the first plan does not say %q", want)
		}
	}
}
