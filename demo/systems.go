package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// systems are the running systems of the group, and the page that shows them.
type systems struct {
	app     *app
	market  *market
	pay     *pay
	batch   *batch
	crypto  *crypto
	partner *partner
	page    *page

	followers []*follower // of the platform's own events
}

// handlers are what is served, by party.
func (s systems) handlers() (map[string]http.Handler, error) {
	handlers := map[string]http.Handler{
		partyMarket: s.market.handler(),
		partyPay:    s.pay.handler(),
		partyPage:   s.page.handler(),
	}
	for _, one := range []struct {
		site   *site
		routes map[string]http.Handler
	}{{s.app.site, s.app.routes()}, {s.crypto.site, s.crypto.routes()}, {s.partner.site, s.partner.routes()}} {
		handler, err := one.site.handler(one.routes)
		if err != nil {
			return nil, err
		}
		handlers[one.site.party] = handler
	}
	return handlers, nil
}

// build makes every system with its own clients and its own database.
func (g *Group) build(ctx context.Context) error {
	for _, one := range []struct {
		party string
		build func(context.Context) error
	}{
		{partyMarket, g.buildMarket},
		{partyPay, g.buildPay},
		{partyBatch, g.buildBatch},
		{partyApp, g.buildApp},
		{partyCrypto, g.buildCrypto},
		{partyPartner, g.buildPartner},
		{partyPage, g.buildPage},
	} {
		if err := one.build(ctx); err != nil {
			return fmt.Errorf("start %s: %w", one.party, err)
		}
	}
	return nil
}

// http is how a system speaks to others; the trace sees what it asks of the
// authorization server.
func (g *Group) http(party string) *http.Client {
	transport := &tap{trace: g.trace, party: party, issuer: g.Issuer(), next: http.DefaultTransport}
	return &http.Client{Timeout: 10 * time.Second, Transport: carrying{transport}}
}

// relyingParty makes the OAuth client of a system, with the credential it has. Those
// that move money bind their tokens to a key, made anew at each start.
func (g *Group) relyingParty(ctx context.Context, party, clientID string) (*rp.Client, error) {
	config := rp.Config{Issuer: g.Issuer(), ClientID: clientID, Secret: g.credentials.secrets[clientID], HTTPClient: g.http(party)}
	if key, ok := g.credentials.keys[clientID]; ok {
		config.Key, config.KeyID = key, clientID
	}
	if slices.Contains([]string{clientWeb, clientPartner, clientPay, clientNightly}, clientID) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		config.DPoPKey = key
	}
	return rp.Discover(ctx, config)
}

// signIn makes the sign-in of a site. Its cookies need not outlive the process.
func (g *Group) signIn(client *rp.Client, callback string, scopes []string, resources ...string) (*rp.SignIn, error) {
	key := make([]byte, 32)
	rand.Read(key)
	return rp.NewSignIn(rp.SignInConfig{
		Client: client, RedirectURL: callback, Scopes: scopes, Resources: resources, CookieKey: key,
		Push: client.ID != clientPhone,
	})
}

func (g *Group) site(ctx context.Context, party, title, tagline string) (*site, error) {
	spans, err := g.traces(ctx, party)
	return &site{
		party: party, title: title, tagline: tagline, issuer: g.Issuer(), pageURL: g.PageURL(),
		trace: g.trace, logger: g.logger, spans: spans,
	}, err
}

// service makes what market and pay have alike: the guard of their API and the
// mapping between their own ids and their own subjects.
func (g *Group) service(ctx context.Context, party string, client *rp.Client, store *rs.SQLStore) (*rs.Guard, *rs.Mapping, error) {
	spans, err := g.traces(ctx, party)
	if err != nil {
		return nil, nil, err
	}
	guard, err := rs.New(ctx, rs.Config{Issuer: g.Issuer(), Audience: g.urls[party], TracerProvider: spans})
	if err != nil {
		return nil, nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, nil, err
	}
	return guard, &rs.Mapping{Client: client, Store: store}, nil
}

func (g *Group) buildMarket(ctx context.Context) (err error) {
	if g.databases[partyMarket], err = openDatabase(ctx, g.dir, partyMarket, marketSchema); err != nil {
		return err
	}
	client, err := g.relyingParty(ctx, partyMarket, clientMarket)
	if err != nil {
		return err
	}
	store := &rs.SQLStore{DB: g.databases[partyMarket], Dialect: rs.SQLite, NewUser: newMember}
	guard, mapping, err := g.service(ctx, partyMarket, client, store)
	if err != nil {
		return err
	}
	outbox := &event.SQLOutbox{DB: g.databases[partyMarket], Dialect: event.SQLite}
	if err := outbox.Migrate(ctx); err != nil {
		return err
	}
	publisher := &event.Publisher{
		Client: client, Mapping: mapping, Outbox: outbox, Audience: g.urls[partyMarket], Types: map[string]any{eventSold: Sale{}},
		Key: g.credentials.events, Networks: loopback, InsecureHTTP: true, Log: g.logger,
	}
	g.systems.market = &market{
		client: client, guard: guard, mapping: mapping, publisher: publisher, db: g.databases[partyMarket], trace: g.trace, logger: g.logger,
	}
	return g.follow(ctx, partyMarket, client, guard, mapping)
}

// loopback is where the webhooks of the example are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// follow has a service hear of the platform's own events.
func (g *Group) follow(ctx context.Context, party string, client *rp.Client, guard *rs.Guard, mapping *rs.Mapping) error {
	following, err := g.follower(ctx, party, client, guard, mapping)
	if err != nil {
		return fmt.Errorf("follow the platform's events: %w", err)
	}
	g.systems.followers = append(g.systems.followers, following)
	return nil
}

// subscribers are the systems that hear of market's events.
func (s systems) subscribers() []*subscriber {
	return []*subscriber{s.pay.hears, s.crypto.hears, s.partner.hears}
}

func (g *Group) buildPay(ctx context.Context) (err error) {
	if g.databases[partyPay], err = openDatabase(ctx, g.dir, partyPay, paySchema); err != nil {
		return err
	}
	client, err := g.relyingParty(ctx, partyPay, clientPay)
	if err != nil {
		return err
	}
	store := &rs.SQLStore{DB: g.databases[partyPay], Dialect: rs.SQLite, NewUser: newWallet}
	guard, mapping, err := g.service(ctx, partyPay, client, store)
	if err != nil {
		return err
	}
	hears, err := g.subscriber(ctx, partyPay, client, event.Config{Mapping: mapping})
	if err != nil {
		return err
	}
	g.systems.pay = &pay{
		hears: hears, guard: guard, mapping: mapping, client: client, asker: client.OnBehalf(g.urls[partyMarket], "items.read"),
		db: g.databases[partyPay], marketURL: g.urls[partyMarket], trace: g.trace, logger: g.logger,
	}
	return g.follow(ctx, partyPay, client, guard, mapping)
}

func (g *Group) buildBatch(ctx context.Context) error {
	client, err := g.relyingParty(ctx, partyBatch, clientNightly)
	if err != nil {
		return err
	}
	g.systems.batch = &batch{
		client: client, settling: client.ServiceClient(g.urls[partyMarket], "settle"), mapping: g.systems.pay.mapping,
		db: g.databases[partyPay], marketURL: g.urls[partyMarket],
	}
	return nil
}

// visitors makes what market-app and partner have alike: their sign-in, and
// their own ids for the people who use it.
func (g *Group) visitors(ctx context.Context, site *site, clientID, idFormat string, scopes []string) (*visitors, error) {
	db, err := openDatabase(ctx, g.dir, site.party, visitorSchema)
	if err != nil {
		return nil, err
	}
	g.databases[site.party] = db
	client, err := g.relyingParty(ctx, site.party, clientID)
	if err != nil {
		return nil, err
	}
	signIn, err := g.signIn(client, g.urls[site.party]+"/callback", scopes, g.urls[partyMarket], g.urls[partyPay])
	if err != nil {
		return nil, err
	}
	return &visitors{
		site: site, client: client, signIn: signIn, sessions: newSessions[*session](site.party + "-session"),
		people: db, idFormat: idFormat, firstAPI: g.urls[partyMarket],
	}, nil
}

func (g *Group) buildApp(ctx context.Context) error {
	site, err := g.site(ctx, partyApp, "Market", "The group's own app (scenario 1).")
	if err != nil {
		return err
	}
	visitors, err := g.visitors(ctx, site,
		clientWeb, "user-70%02d", []string{"items.read", "items.write", "charge", "balance.read"})
	if err != nil {
		return err
	}
	thief, err := g.relyingParty(ctx, partyApp, clientWeb)
	g.systems.app = &app{
		visitors: visitors, bare: g.http(partyApp), thief: thief,
		marketURL: g.urls[partyMarket], payURL: g.urls[partyPay], ownURL: g.urls[partyApp],
	}
	return err
}

func (g *Group) buildCrypto(ctx context.Context) (err error) {
	if g.databases[partyCrypto], err = openDatabase(ctx, g.dir, partyCrypto, cryptoSchema); err != nil {
		return err
	}
	client, err := g.relyingParty(ctx, partyCrypto, clientCrypto)
	if err != nil {
		return err
	}
	linking, err := g.signIn(client, g.urls[partyCrypto]+"/linked", cryptoScopes, g.urls[partyMarket])
	if err != nil {
		return err
	}
	site, err := g.site(ctx, partyCrypto, "Crypto Exchange", "Outside the protected area, with users of its own (scenario 2).")
	if err != nil {
		return err
	}
	g.systems.crypto = &crypto{
		site:   site,
		client: client, linking: linking, sessions: newSessions[int64]("crypto-session"), users: g.databases[partyCrypto],
		api: g.http(partyCrypto), settling: client.ServiceClient(g.urls[partyMarket], "settle"),
		marketURL: g.urls[partyMarket], payURL: g.urls[partyPay],
	}
	g.systems.crypto.hears, err = g.subscriber(ctx, partyCrypto, client, event.Config{Users: g.systems.crypto.known})
	if err != nil {
		return err
	}
	return g.systems.crypto.addCustomer(ctx, mikaName, mikaPassword)
}

func (g *Group) buildPartner(ctx context.Context) error {
	site, err := g.site(ctx, partyPartner, "Shelf Blog", "Another company, with “Sign in with Market”.")
	if err != nil {
		return err
	}
	visitors, err := g.visitors(ctx, site,
		clientPartner, "reader:%03d", []string{"items.read", "charge"})
	if err != nil {
		return err
	}
	hears, err := g.subscriber(ctx, partyPartner, visitors.client, event.Config{Users: visitors.known})
	g.systems.partner = &partner{
		visitors: visitors, hears: hears, marketURL: g.urls[partyMarket], payURL: g.urls[partyPay],
	}
	return err
}

func (g *Group) buildPage(ctx context.Context) error {
	key := g.credentials.keys[clientMarket]
	client, err := rp.Discover(ctx, rp.Config{Issuer: g.Issuer(), ClientID: clientMarket, Key: key, KeyID: clientMarket})
	if err != nil {
		return err
	}
	s := g.systems
	watching := &observer{
		trace: g.trace, client: client, app: s.app, crypto: s.crypto, partner: s.partner,
		market: s.market.mapping.Store, pay: s.pay.mapping.Store,
	}
	g.systems.page = &page{
		trace: g.trace, urls: g.urls, groupFile: g.groupFile, batch: s.batch, ids: watching.ids, logger: g.logger,
	}
	return nil
}
