package registry_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// events are a part of a group file that is not in testdata/group.yaml.
const events = `
events:
  - { publisher: market, types: [item.sold, item.withdrawn], receivers: [crypto] }
  - { publisher: market, types: [item.sold], receivers: [pay] }
  - { publisher: platform, types: [account-disabled, session-revoked], receivers: [pay, crypto] }
`

// eventPlanTests change the group with events.
var eventPlanTests = []struct {
	name  string
	edits []string
}{
	{"a receiver is added", []string{
		"receivers: [crypto] }", "receivers: [crypto, blog-partner] }",
		"    name: Blog of a partner\n    clients:\n", "    name: Blog of a partner\n    clients:\n      hooks: { secret_file: pay.secret }\n",
	}},
	{"a type of event goes", []string{"types: [item.sold, item.withdrawn]", "types: [item.sold]"}},
	{"the platform tells no more", []string{"  - { publisher: platform, types: [account-disabled, session-revoked], receivers: [pay, crypto] }\n", ""}},
	{"events are about users of the receiver alone", []string{"receivers: [crypto] }", "receivers: [crypto], require_grant: true }"}},
}

// payments are authorization details of pay, which is not in testdata/group.yaml.
const payments = `      authorization_details:
        payment:
          name: { en: Make a payment, ja: 支払い }
          scope: charge
          schema: { required: [amount], properties: { amount: { type: number, minimum: 0.01 }, shops: { type: array, items: { type: string } } } }
          members:
            - { path: amount, name: Amount, narrow: at_most }
            - { path: shops, name: Shops, narrow: subset }
`

// detailPlanTests change the group with payments.
var detailPlanTests = []struct {
	name  string
	edits []string
}{
	{"authorization details change", []string{
		"minimum: 0.01", "minimum: 1", "name: { en: Make a payment, ja: 支払い }", "name: Pay", "scope: charge", "scope: ledger",
		"            - { path: shops, name: Shops, narrow: subset }\n", "",
	}},
	{"authorization details are shown by their bare names", []string{payments[strings.Index(payments, "          members"):], ""}},
	{"authorization details go", []string{payments, ""}},
}

// planTests change testdata/group.yaml; what is said of each is in
// testdata/plans.golden.txt.
var planTests = []struct {
	name  string
	edits []string // old, new, old, new ...
}{
	{"nothing changes", nil},
	{"comments and order change", []string{
		"user: [items.read, items.write]", "user: [items.write, items.read]",
		"scopes: { charge: Pay, ledger: Read the ledger }", "scopes: { ledger: Read the ledger, charge: Pay } # as before",
	}},
	{"a sector is written down", []string{"    scenario: backend\n", "    scenario: backend\n    sector: crypto\n"}},
	{"an API takes authorization details", []string{
		"      scopes: { charge: Pay, ledger: Read the ledger }", "      scopes: { charge: Pay, ledger: Read the ledger }\n" + payments,
	}},
	{"people sign in more strongly to a client", []string{
		"      web: { redirect_uris: [https://market.example/callback]", "      web: { acr: aal2, redirect_uris: [https://market.example/callback]",
	}},
	{"the pages get colours", []string{
		"issuer: https://id.market.example\n", "issuer: https://id.market.example\ntheme: { accent: \"#8c2f39\", accent_dark: \"#f2a3ab\" }\n",
		"    scenario: backend\n", "    scenario: backend\n    theme: { accent: \"#1d6b4f\", accent_dark: \"#7fd1b0\" }\n",
	}},
	{"the issuer moves", []string{"https://id.market.example", "https://login.market.example"}},
	{"the group is renamed", []string{"name: { en: Market Group, ja: マーケットグループ }", "name: The group"}},
	{"a client is added", []string{
		"      web: { redirect_uris: [https://market.example/callback]",
		"      tv: { type: native, redirect_uris: [\"com.example.market.tv:/callback\"] }\n      web: { redirect_uris: [https://market.example/callback]",
	}},
	{"a client is removed", []string{"      ios: { type: native, redirect_uris: [https://market.example/ios/callback, \"com.example.market:/callback\", \"http://127.0.0.1/callback\"] }\n", ""}},
	{"a subsystem leaves", []string{
		"  crypto:\n    scenario: backend\n    identity: [email]\n    clients:\n      web: { secret_file: crypto.secret, redirect_uris: [https://crypto.example/callback] }\n", "",
		"  - { from: crypto, to: market, user: [items.read], service: [settle] }\n", "",
	}},
	{"a subsystem is renamed and keeps its sector", []string{
		"  crypto:\n    scenario: backend\n", "  coins:\n    scenario: backend\n    sector: crypto\n", "from: crypto", "from: coins",
	}},
	{"a subsystem is renamed and loses its sector", []string{"  crypto:\n", "  coins:\n", "from: crypto", "from: coins"}},
	{"a sector is changed", []string{"    scenario: backend\n", "    scenario: backend\n    sector: coins\n"}},
	{"a partner becomes an app", []string{"scenario: third_party", "scenario: app"}},
	{"an app becomes a partner", []string{"scenario: app", "scenario: third_party"}},
	{"a resource changes", []string{
		"https://api.pay.example", "https://pay.example/api",
		"scopes: { charge: Pay, ledger: Read the ledger }", "scopes: { charge: Charge, refund: Refund }",
		"opaque: true", "opaque: false",
	}},
	{"a resource goes", []string{
		"    resource:\n      audience: https://api.pay.example\n      scopes: { charge: Pay, ledger: Read the ledger }\n      opaque: true\n", "",
		"  - { from: market-app, to: pay, user: [charge] }\n", "",
		"    user: [{ scope: items.read, when: [charge] }]   # only in exchange for a token that holds pay's \"charge\"\n", "    user: [items.read]\n",
	}},
	{"a client proves itself in another way", []string{
		"      backend: { secret_file: pay.secret }", "      backend: { jwks_file: market.jwks.json }",
		"      backend: { auth: private_key_jwt, jwks_file: market.jwks.json }", "      backend: { secret_file: pay.secret }",
	}},
	{"a secret is replaced", []string{
		"          - 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n", "          - 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752\n",
	}},
	{"a key is replaced", []string{
		"jwks_file: market.jwks.json", "jwks: { keys: [{ kty: OKP, crv: Ed25519, kid: market-2, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }] }",
	}},
	{"addresses of clients change", []string{
		"post_logout_redirect_uris: [https://market.example/]", "post_logout_redirect_uris: [https://market.example/bye]",
		"redirect_uris: [https://blog.partner.example/callback]", "redirect_uris: [https://blog.partner.example/cb]\n        cors_origins: [https://www.partner.example]",
		"        logo_uri: https://blog.partner.example/logo.png\n", "",
		"        tos_uri: https://blog.partner.example/terms\n", "        tos_uri: https://blog.partner.example/tos\n        initiate_login_uri: https://blog.partner.example/start\n",
	}},
	{"traits of clients change", []string{
		"        pkce: optional\n        id_token_alg: ES256\n        rate: 500\n", "        name: { en: Pay pages, ja: 支払い }\n        par: required\n        rate: 20000\n",
		"        type: spa\n", "        type: web\n        rate: 5\n",
	}},
	{"a client that pushes comes", []string{"    clients:\n      backend: { secret_file: pay.secret }", "    clients:\n      shop: { secret_file: pay.secret, par: required, redirect_uris: [https://pay.example/back] }\n      backend: { secret_file: pay.secret }"}},
	{"a client that signs comes", []string{
		"      backend: { auth: private_key_jwt, jwks_file: market.jwks.json }",
		"      backend: { auth: private_key_jwt, jwks_file: market.jwks.json }\n      pages: { jwks_file: market.jwks.json, jar: required, redirect_uris: [https://market.example/back] }",
	}},
	{"signing becomes a must", []string{
		"backend: { auth: private_key_jwt, jwks_file: market.jwks.json }",
		"backend: { auth: private_key_jwt, jwks_file: market.jwks.json, type: web, jar: required, redirect_uris: [https://market.example/back] }",
	}},
	{"a client becomes strict", []string{
		"backend: { auth: private_key_jwt, jwks_file: market.jwks.json }",
		"backend: { auth: private_key_jwt, jwks_file: market.jwks.json, profile: fapi2, sender_constraint: dpop_with_nonce }",
	}},
	{"a strict client comes", []string{
		"      backend: { auth: private_key_jwt, jwks_file: market.jwks.json }",
		"      backend: { auth: private_key_jwt, jwks_file: market.jwks.json }\n      strict: { jwks_file: market.jwks.json, profile: fapi2-message-signing, redirect_uris: [https://market.example/back] }",
	}},
	{"a client is known by a certificate", []string{
		"      backend: { secret_file: pay.secret }", "      backend: { auth: tls_client_auth, tls_client_auth_san_uri: spiffe://market.example/pay, sender_constraint: mtls }",
	}},
	{"a client is known by its own certificate", []string{
		"      backend: { secret_file: pay.secret }", "      backend: { auth: self_signed_tls_client_auth, certificate_sha256: [9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08] }",
	}},
	{"a client becomes a workload", []string{
		"backend: { auth: private_key_jwt, jwks_file: market.jwks.json }",
		"backend: { jwks_file: market.jwks.json, workload: { issuer: https://cluster.example, subject: system:serviceaccount:market:backend } }",
	}},
	{"a resource becomes strict", []string{
		"      opaque: true\n", "      opaque: true\n      profile: fapi2\n",
		"  - { from: market-app, to: pay, user: [charge] }\n", "",
	}},
	{"an edge demands bound tokens", []string{"{ from: market-app, to: pay, user: [charge] }", "{ from: market-app, to: pay, user: [charge], bound: true }"}},
	{"names and identity scopes change", []string{"name: Market app", "name: The market", "identity: [profile]", "identity: [email]"}},
	{"an edge is added", []string{"  - { from: crypto,", "  - { from: blog-partner, to: pay, user: [charge] }\n  - { from: crypto,"}},
	{"an edge is removed", []string{"  - { from: market-app, to: market, user: [items.read, items.write] }\n", ""}},
	{"an edge loses a scope and gains one", []string{"user: [items.read, items.write] }", "user: [items.read, settle] }", "service: [settle]\n", "service: [settle, items.write]\n"}},
	{"a condition comes", []string{"user: [{ scope: items.read, when: [charge] }]", "user: [{ scope: items.read, when: [charge] }, { scope: items.write, when: [charge, ledger] }]"}},
	{"a condition changes", []string{"when: [charge]", "when: [charge, ledger]"}},
	{"a condition goes", []string{"user: [{ scope: items.read, when: [charge] }]", "user: [items.read]"}},
	{"chains end", []string{"    third_party_chains: true\n", ""}},
	{"a pair is never to be linked", []string{
		"  - { from: blog-partner, to: market, user: [items.read] }\n", "never_link:\n  - [crypto, blog-partner]\n",
	}},
	{"events begin", []string{"user: [items.read] }\n", "user: [items.read] }\n" + events}},
	{"a back channel comes", []string{"redirect_uris: [https://market.example/callback], post", "backchannel_logout_uri: https://market.example/gone, redirect_uris: [https://market.example/callback], post"}},
	{"conversion is limited", []string{"{ from: market-app, to: pay, user: [charge] }", "{ from: market-app, to: pay, user: [charge], require_grant: true }"}},
}

func TestPlans(t *testing.T) {
	t.Parallel()
	text := string(read(t, "group.yaml"))
	before := example(t)
	var got strings.Builder
	fmt.Fprintf(&got, "# the first group\n%s", registry.Diff(nil, before))
	for i, test := range planTests {
		after := parse(t, []byte(edit(t, text, test.edits)))
		there := registry.Diff(before, after)
		if there.Empty() != (i < 3) { // the first three change nothing
			t.Errorf("%s: the plan is empty: %t", test.name, there.Empty())
		}
		fmt.Fprintf(&got, "\n# %s\n%s", test.name, there)
		if back := registry.Diff(after, before); !back.Empty() {
			fmt.Fprintf(&got, "# and back\n%s", back)
		}
	}
	text = strings.TrimSuffix(text, "\n") + "\n" + events
	before = parse(t, []byte(text))
	for _, test := range eventPlanTests {
		after := parse(t, []byte(edit(t, text, test.edits)))
		fmt.Fprintf(&got, "\n# %s\n%s# and back\n%s", test.name, registry.Diff(before, after), registry.Diff(after, before))
	}
	text = edit(t, text, []string{"ledger: Read the ledger }\n", "ledger: Read the ledger }\n" + payments})
	before = parse(t, []byte(text))
	for _, test := range detailPlanTests {
		after := parse(t, []byte(edit(t, text, test.edits)))
		fmt.Fprintf(&got, "\n# %s\n%s# and back\n%s", test.name, registry.Diff(before, after), registry.Diff(after, before))
	}
	golden(t, "plans.golden.txt", got.String())
}

// edit replaces parts of a file, each of which must be there.
func edit(t *testing.T, text string, edits []string) string {
	t.Helper()
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("the example has no %q", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return text
}

func TestPlanAsJSON(t *testing.T) {
	t.Parallel()
	none, err := json.Marshal(registry.Diff(example(t), example(t)))
	if err != nil || string(none) != `{"changes":[]}` {
		t.Errorf("empty plan = %s, %v", none, err)
	}
	after := parse(t, []byte(edit(t, string(read(t, "group.yaml")), []string{"    third_party_chains: true\n", ""})))
	some, err := json.Marshal(registry.Diff(example(t), after))
	const want = `{"changes":[{"kind":"loss","about":"pay -\u003e market","sentence":"Chains that a third party began end before market: pay may no longer carry them on."}]}`
	if err != nil || string(some) != want {
		t.Errorf("plan = %s, %v, want %s", some, err, want)
	}
}

func TestPlanListsRemovedClients(t *testing.T) {
	t.Parallel()
	text := string(read(t, "group.yaml"))
	for _, test := range planTests {
		after := parse(t, []byte(edit(t, text, test.edits)))
		want := ""
		switch test.name {
		case "a client is removed":
			want = "market-app.ios"
		case "a subsystem leaves", "a subsystem is renamed and keeps its sector", "a subsystem is renamed and loses its sector":
			want = "crypto.web"
		}
		if got := strings.Join(registry.Diff(example(t), after).RemovedClients(), " "); got != want {
			t.Errorf("%s: removed clients %q, want %q", test.name, got, want)
		}
	}
}

// TestPlanTellsEveryChange changes each leaf of the example in turn: no change
// may go without a word.
func TestPlanTellsEveryChange(t *testing.T) {
	t.Parallel()
	text := strings.TrimSuffix(string(read(t, "group.yaml")), "\n") + "\n" + events
	before := parse(t, []byte(text))
	leaves := 0
	for n := 0; ; n++ {
		after := parse(t, []byte(text))
		left := n
		path := ""
		if !mutate(reflect.ValueOf(after).Elem(), "group", &left, &path) {
			break
		}
		leaves++
		if registry.Diff(before, after).Empty() {
			t.Errorf("%s changes, and the plan is empty", path)
		}
		if registry.Diff(after, before).Empty() {
			t.Errorf("%s changes back, and the plan is empty", path)
		}
	}
	if leaves < 100 {
		t.Errorf("%d leaves, fewer than expected", leaves)
	}
}

// mutate changes the leaf that comes after left others.
func mutate(v reflect.Value, path string, left *int, changed *string) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && mutate(v.Elem(), path, left, changed)
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name == "SecretFile" || name == "JWKSFile" {
				continue // of the file alone
			}
			if mutate(v.Field(i), path+"."+v.Type().Field(i).Name, left, changed) {
				return true
			}
		}
		return false
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			if mutate(value, path+"."+key.String(), left, changed) {
				v.SetMapIndex(key, value)
				return true
			}
		}
		return false
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				if mutate(v.Index(i), fmt.Sprintf("%s[%d]", path, i), left, changed) {
					return true
				}
			}
			return false
		}
	}
	if *left > 0 {
		*left--
		return false
	}
	*changed = path
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	default: // raw JSON
		v.SetBytes([]byte(`{"keys":[]}`))
	}
	return true
}
