package walk_test

import (
	"slices"
	"strings"
	"time"
)

const (
	issuer     = "https://id.walk.test"
	goods      = "https://goods.walk.test"
	pay        = "https://pay.walk.test"
	payBackend = "pay.backend"
)

// client is what the model knows of a client of the fixture group.
type client struct {
	subsystem  string
	redirect   string // empty for clients that sign nobody in
	secret     string // empty for public clients
	thirdParty bool
	resource   string   // of its service
	asks       []string // the scopes that it asks for, in some combination
}

var clients = map[string]client{
	"shop.web":      {subsystem: "shop", redirect: "https://shop.walk.test/cb", secret: secretOf("shop"), asks: []string{"openid", "profile", "read", "write", "view"}},
	"phone.ios":     {subsystem: "phone", redirect: "com.example.phone:/cb", asks: []string{"openid", "read"}},
	"blog.spa":      {subsystem: "blog", redirect: "https://blog.walk.test/cb", thirdParty: true, asks: []string{"openid", "read"}},
	"goods.backend": {subsystem: "goods", secret: secretOf("goods"), resource: goods},
	"pay.backend":   {subsystem: "pay", secret: secretOf("pay"), resource: pay},
}

var clientNames = []string{"shop.web", "phone.ios", "blog.spa", "goods.backend", "pay.backend"}

func secretOf(name string) string { return "secret-of-" + name + strings.Repeat("-x", 20) }

// resourceOf says where a scope belongs, serviceOf which client is a resource.
var (
	resourceOf = map[string]string{
		"openid": issuer, "profile": issuer, "offline_access": issuer,
		"read": goods, "write": goods, "charge": pay, "view": pay,
	}
	serviceOf = map[string]string{goods: "goods.backend", pay: payBackend}
)

// options are the parts of the group that come and go; phone and blog are whole
// subsystems.
var options = []string{"write", "blog edge", "pay edge", "chains", "phone", "blog"}

// groupFile is the group without some of its options.
func groupFile(off map[string]bool) string {
	file := `
name: Walk
issuer: ` + issuer + `
subsystems:
  shop:
    scenario: app
    identity: [profile]
    clients:
      web: { secret_file: shop, redirect_uris: ["https://shop.walk.test/cb"] }
  phone: # phone
    scenario: app # phone
    clients: # phone
      ios: { type: native, redirect_uris: ["com.example.phone:/cb"] } # phone
  blog: # blog
    scenario: third_party # blog
    clients: # blog
      spa: { type: spa, redirect_uris: ["https://blog.walk.test/cb"] } # blog
  goods:
    scenario: service
    resource: { audience: ` + goods + `, scopes: { read: Read, write: Write } }
    clients:
      backend: { secret_file: goods }
  pay:
    scenario: service
    resource: { audience: ` + pay + `, opaque: true, scopes: { charge: Pay, view: Look } }
    clients:
      backend: { secret_file: pay }
calls:
  - { from: shop, to: goods, user: [read, write] } # write
  - { from: shop, to: goods, user: [read] } # not write
  - { from: shop, to: pay, user: [view] }
  - { from: phone, to: goods, user: [read] } # phone
  - { from: blog, to: goods, user: [read] } # blog, blog edge
  - { from: goods, to: pay, user: [{ scope: charge, when: [write] }, view], service: [charge], third_party_chains: true } # pay edge, chains
  - { from: goods, to: pay, user: [{ scope: charge, when: [write] }, view], service: [charge] } # pay edge, not chains
  - { from: pay, to: goods, user: [read], third_party_chains: true }
`
	var kept strings.Builder
	for line := range strings.Lines(file) {
		text, needs, _ := strings.Cut(line, " # ")
		keep := true
		for need := range strings.SplitSeq(strings.TrimSpace(needs), ", ") {
			without, negated := strings.CutPrefix(need, "not ")
			keep = keep && off[without] == negated
		}
		if keep {
			kept.WriteString(strings.TrimRight(text, "\n") + "\n")
		}
	}
	return kept.String()
}

func (m *model) declared(name string) bool { return !m.off[clients[name].subsystem] }

// mayAsk is what the token endpoint says to a client before anything else.
func (m *model) mayAsk(name, grantType string) string {
	c := clients[name]
	switch {
	case !m.declared(name):
		return "invalid_client"
	case grantType == "authorization_code" || grantType == "refresh_token":
		if c.redirect == "" {
			return "unauthorized_client"
		}
	case c.resource == "" || c.secret == "":
		return "unauthorized_client"
	}
	return ""
}

// edge is a call that the group allows for people: scopes, each with the one
// that it needs.
type edge struct {
	user   map[string]string
	chains bool
}

// edge is the call from the subsystem of one client to that of another.
func (m *model) edge(from, to string) *edge {
	switch clients[from].subsystem + " to " + clients[to].subsystem {
	case "shop to goods":
		if m.off["write"] {
			return &edge{user: map[string]string{"read": ""}}
		}
		return &edge{user: map[string]string{"read": "", "write": ""}}
	case "shop to pay":
		return &edge{user: map[string]string{"view": ""}}
	case "phone to goods":
		if !m.off["phone"] {
			return &edge{user: map[string]string{"read": ""}}
		}
	case "blog to goods":
		if !m.off["blog edge"] && !m.off["blog"] {
			return &edge{user: map[string]string{"read": ""}}
		}
	case "goods to pay":
		if !m.off["pay edge"] {
			return &edge{user: map[string]string{"charge": "write", "view": ""}, chains: !m.off["chains"]}
		}
	case "pay to goods":
		return &edge{user: map[string]string{"read": ""}, chains: true}
	}
	return nil
}

// maySignInFor reports whether a client may have a scope of people it signs in.
func (m *model) maySignInFor(name, scope string) bool {
	switch scope {
	case "openid", "offline_access":
		return true
	case "profile":
		return name == "shop.web"
	}
	edge := m.edge(name, serviceOf[resourceOf[scope]])
	if edge == nil {
		return false
	}
	needs, ok := edge.user[scope]
	return ok && needs == ""
}

func hasAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(have, s) })
}

func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
