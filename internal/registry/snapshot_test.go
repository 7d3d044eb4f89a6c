package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

func snapshotOf(t testing.TB, group *registry.Group) *registry.Snapshot {
	t.Helper()
	b := setup(t)
	apply(t, b.Registry, group)
	return b.Current()
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := snapshotOf(t, example(t))
	var names []string
	for _, subsystem := range s.Subsystems() {
		names = append(names, subsystem.Name)
	}
	if diff := cmp.Diff([]string{"blog-partner", "crypto", "market", "market-app", "pay"}, names); diff != "" {
		t.Errorf("subsystems (-want +got):\n%s", diff)
	}
	market, _ := s.Subsystem("market")
	pay, _ := s.Subsystem("pay")
	app, _ := s.Subsystem("market-app")
	if market.DisplayName.In("ja") != "マーケット" || market.DisplayName.In("en") != "Market" || app.DisplayName.In("ja") != "Market app" {
		t.Errorf("display names %+v and %+v", market.DisplayName, app.DisplayName)
	}
	if r, ok := s.ResourceByAudience("https://api.market.example"); !ok || r != market.Resource || r.Subsystem != market || r.Opaque {
		t.Errorf("resource of market = %+v", r)
	}
	if !pay.Resource.Opaque || !pay.Resource.HasScope("charge") || pay.Resource.HasScope("settle") {
		t.Errorf("resource of pay = %+v", pay.Resource)
	}
	if diff := cmp.Diff(oauth.Scopes{"items.read", "items.write", "settle"}, market.Resource.ScopeNames()); diff != "" {
		t.Errorf("scopes of market (-want +got):\n%s", diff)
	}
	if list := s.ResourcesWithScope("charge"); len(list) != 1 || list[0] != pay.Resource {
		t.Errorf("resources with charge = %v", list)
	}
	if list := s.ResourcesWithScope("nothing"); len(list) != 0 {
		t.Errorf("resources with an unknown scope = %v", list)
	}
	if pay.Resource == app.Resource {
		t.Error("an app has a resource")
	}
}

func TestSnapshotEdges(t *testing.T) {
	t.Parallel()
	s := snapshotOf(t, example(t))
	market, _ := s.Subsystem("market")
	pay, _ := s.Subsystem("pay")
	app, _ := s.Subsystem("market-app")
	partner, _ := s.Subsystem("blog-partner")
	edge, ok := s.Edge(pay, market)
	if !ok || edge.From != pay || edge.To != market || !edge.ThirdPartyChains || edge.RequireGrant {
		t.Fatalf("edge = %+v, %t", edge, ok)
	}
	scope, ok := edge.UserScope("items.read")
	if !ok || !scope.ExchangeOnly() || !scope.Met(oauth.Scopes{"ledger", "charge"}) || scope.Met(oauth.Scopes{"ledger"}) || scope.Met(nil) {
		t.Errorf("scope = %+v, %t", scope, ok)
	}
	if _, ok := edge.UserScope("settle"); ok || !edge.ServiceScope("settle") || edge.ServiceScope("items.read") {
		t.Error("user and service scopes are mixed up")
	}
	if _, ok := s.Edge(market, pay); ok {
		t.Error("the edge goes both ways")
	}
	if _, ok := s.Edge(app, app); ok {
		t.Error("an edge goes to itself")
	}
	if edge, _ := s.Edge(partner, market); edge == nil || !edge.RequireGrant {
		t.Errorf("the edge of a third party = %+v, want RequireGrant", edge)
	}
	var from, to []string
	for _, edge := range s.EdgesFrom(app) {
		from = append(from, edge.To.Name)
	}
	for _, edge := range s.EdgesTo(market) {
		to = append(to, edge.From.Name)
	}
	if diff := cmp.Diff([]string{"market", "pay"}, from); diff != "" {
		t.Errorf("edges from market-app (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"blog-partner", "crypto", "market-app", "pay"}, to); diff != "" {
		t.Errorf("edges to market (-want +got):\n%s", diff)
	}
}

func TestSnapshotOfServer(t *testing.T) {
	t.Parallel()
	s := snapshotOf(t, example(t))
	self, ok := s.ResourceByAudience(s.Issuer)
	if !ok || self != s.Self() || self.Subsystem != nil {
		t.Fatalf("the server's own resource = %+v, %t", self, ok)
	}
	want := oauth.Scopes{"address", "email", "events:publish", "offline_access", "openid", "phone", "profile", "ssf.manage", "ssf.read", "subjects:convert", "subjects:reissue"}
	if diff := cmp.Diff(want, self.ScopeNames()); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		client, scope string
		want          bool
	}{
		{"crypto.web", "openid", true},
		{"crypto.web", "offline_access", true},
		{"crypto.web", "email", true},
		{"crypto.web", "profile", false},
		{"crypto.web", "subjects:convert", false},
		{"market-app.ios", "profile", true},
		{"market-app.ios", "address", false},
		{"blog-partner.web", "openid", true},
		{"blog-partner.web", "email", false},
		{"market.backend", "openid", false},
		{"pay.pages", "openid", true},
	} {
		client, ok := s.Client(test.client)
		if !ok {
			t.Fatalf("no client %s", test.client)
		}
		if got := s.MaySignIn(client, test.scope); got != test.want {
			t.Errorf("MaySignIn(%s, %s) = %t, want %t", test.client, test.scope, got, test.want)
		}
	}
	for client, want := range map[string]bool{"market.backend": true, "pay.pages": true, "crypto.web": false, "market-app.web": false, "blog-partner.web": false} {
		c, _ := s.Client(client)
		if got := s.MayConvert(c); got != want {
			t.Errorf("MayConvert(%s) = %t, want %t", client, got, want)
		}
	}
}

func TestSnapshotClients(t *testing.T) {
	t.Parallel()
	s := snapshotOf(t, example(t))
	pages, _ := s.Client("pay.pages")
	if pages.Public() || !pages.FirstParty() || !pages.PKCEOptional || pages.IDTokenAlg != "ES256" || pages.Rate != 500 || len(pages.SecretHashes) != 2 {
		t.Errorf("pay.pages = %+v", pages)
	}
	backend, _ := s.Client("market.backend")
	if backend.JWKS == nil || backend.Auth != registry.AuthPrivateKeyJWT || backend.Name.In("ja") != "マーケット" || backend.Rate != 2000 {
		t.Errorf("market.backend = %+v", backend)
	}
	partner, _ := s.Client("blog-partner.web")
	if !partner.Public() || partner.FirstParty() || partner.PKCEOptional || partner.IDTokenAlg != "RS256" || partner.Rate != 50 || partner.Burst != 200 {
		t.Errorf("blog-partner.web = %+v", partner)
	}
	if diff := cmp.Diff([]string{"https://blog.partner.example"}, partner.CORSOrigins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	// A9: a client id is never what a pairwise subject looks like.
	for _, subsystem := range s.Subsystems() {
		for _, client := range subsystem.Clients {
			if !strings.Contains(client.ID, ".") || client.Subsystem != subsystem {
				t.Errorf("client id %s of %s", client.ID, subsystem.Name)
			}
		}
	}
}

func TestLookUpsDoNotAllocate(t *testing.T) {
	s := snapshotOf(t, example(t))
	pay, _ := s.Subsystem("pay")
	market, _ := s.Subsystem("market")
	device, _ := s.Client("market-app.ios")
	subject := oauth.Scopes{"charge"}
	allocations := testing.AllocsPerRun(100, func() {
		client, _ := s.Client("pay.backend")
		_, _ = s.ResourceByAudience("https://api.market.example")
		edge, _ := s.Edge(pay, market)
		scope, _ := edge.UserScope("items.read")
		_ = scope.Met(subject)
		_ = edge.ServiceScope("settle")
		_ = s.EdgesTo(market)
		_ = s.MaySignIn(client, "openid")
		_ = client.AllowsGrant(oauth.GrantTokenExchange)
		_ = device.MatchRedirectURI("http://127.0.0.1:5123/callback")
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text   registry.Text
		en, ja string
	}{
		{registry.Text{En: "Shop", Ja: "店"}, "Shop", "店"},
		{registry.Text{En: "Shop"}, "Shop", "Shop"},
		{registry.Text{Ja: "店"}, "店", "店"},
		{registry.Text{}, "", ""},
	} {
		if test.text.In("en") != test.en || test.text.In("ja") != test.ja || test.text.String() != test.en || test.text.In("fr") != test.en {
			t.Errorf("%+v: %q, %q, %q", test.text, test.text.In("en"), test.text.In("ja"), test.text.In("fr"))
		}
	}
}

func TestSnapshotEvents(t *testing.T) {
	t.Parallel()
	text := strings.TrimSuffix(string(read(t, "group.yaml")), "\n") + "\n" + edit(t, events, []string{
		"receivers: [crypto] }", "receivers: [crypto, blog-partner] }",
	})
	text = edit(t, text, []string{"    name: Blog of a partner\n    clients:\n", "    name: Blog of a partner\n    clients:\n      hooks: { secret_file: pay.secret }\n"})
	s := snapshotOf(t, parse(t, []byte(text)))
	market, _ := s.Subsystem("market")
	pay, _ := s.Subsystem("pay")
	crypto, _ := s.Subsystem("crypto")
	sold, ok := s.Event("https://api.market.example/events/item.sold")
	if !ok || sold.Publisher != market || sold.Name != "item.sold" || len(sold.Receivers) != 3 {
		t.Fatalf("item.sold = %+v, %t", sold, ok)
	}
	for name, want := range map[string]struct{ receives, requireGrant bool }{
		"blog-partner": {true, true}, "crypto": {true, false}, "pay": {true, false}, "market": {false, false}, "market-app": {false, false},
	} {
		if r, ok := sold.Receiver(name); ok != want.receives || ok && (r.Name != name || r.RequireGrant != want.requireGrant) {
			t.Errorf("%s receives item.sold: %t, %+v", name, ok, r)
		}
	}
	if events := s.EventsOf(market); len(events) != 2 || events[0] != sold {
		t.Errorf("market publishes %v", events)
	}
	if events := s.EventsOf(nil); len(events) != 2 || events[0].URI != oauth.EventSessionRevoked || events[0].Publisher != nil {
		t.Errorf("the platform publishes %v", events)
	}
	if len(s.EventsOf(pay)) != 0 || len(s.EventsTo(market)) != 0 || len(s.EventsTo(pay)) != 3 || len(s.EventsTo(crypto)) != 4 {
		t.Error("events go to others than declared")
	}
	for id, want := range map[string]struct{ publish, receive bool }{
		"market.backend": {true, false}, "pay.backend": {false, true}, "crypto.web": {false, true}, "market-app.web": {},
		"blog-partner.hooks": {false, true}, "blog-partner.web": {}, // the second is public
	} {
		client, _ := s.Client(id)
		if s.MayPublish(client) != want.publish || s.MayReceive(client) != want.receive {
			t.Errorf("%s may publish: %t, receive: %t", id, s.MayPublish(client), s.MayReceive(client))
		}
	}
	if ids := strings.Join(pay.ClientIDs(), " "); ids != "pay.backend pay.pages" {
		t.Errorf("clients of pay: %s", ids)
	}
}
