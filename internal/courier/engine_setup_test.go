package courier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	loopbackIssuer = "http://localhost:8080"
	itemSold       = "https://api.market.test/events/item.sold"
	engineGroup    = `
issuer: ISSUER
subsystems:
  market:
    scenario: service
    resource: { audience: https://api.market.test, scopes: { items.read: See items } }
    clients:
      backend: { secret_file: any }
  pay:
    scenario: service
    identity: [profile]
    resource: { audience: https://api.pay.test, scopes: { pay.read: See payments } }
    clients:
      backend: { secret_file: any, id_token_alg: ES256, redirect_uris: [https://pay.test/callback] }
  crypto:
    scenario: backend
    clients:
      backend: { secret_file: any }
  shop:
    scenario: app
    clients:
      web: { type: web, secret_file: any, redirect_uris: [https://shop.test/callback], backchannel_logout_uri: LOGOUT, former_sub: true }
  partner:
    scenario: third_party
    identity: [profile, phone]
    clients:
      web: { type: web, secret_file: any, redirect_uris: [https://partner.test/callback] }
calls:
  - { from: shop, to: pay, user: [pay.read] }
  - { from: partner, to: pay, user: [pay.read] }
events:
  - { publisher: market, types: [item.sold], receivers: [pay, crypto, partner] }
  - { publisher: market, types: [item.seen], receivers: [crypto], require_grant: true }
  - { publisher: platform, types: [session-revoked, account-disabled, account-enabled, account-purged, credential-change, token-claims-change], receivers: [pay, crypto, partner] }
`
)

// engine is a courier on real rooms, with a clock that stands still.
type engine struct {
	*courier.Courier
	t      testing.TB
	ctx    context.Context
	dsn    string
	clock  *clocktest.Clock
	logout *receiver
	people []*account.Account
	gen    int // of PPID keys that re-keyed sectors get
}

func (e *engine) generation() int { return max(1, e.gen) }

func openEngine(t testing.TB) *engine { return openEngineAt(t, loopbackIssuer) }

func openEngineAt(t testing.TB, issuer string) *engine {
	t.Helper()
	e := &engine{
		t: t, ctx: t.Context(), dsn: dbtest.DSN(t), logout: newReceiver(t),
		clock: clocktest.At(time.Unix(1_800_000_000, 0).UTC()),
	}
	e.Courier = e.process(issuer, true)
	for _, name := range []string{"aiko", "ben"} {
		person, err := e.People.SignUp(e.ctx, account.NewAccount{Email: name + "@example.test", Password: "marble lantern orbit teacup"})
		e.must(err)
		e.people = append(e.people, person)
	}
	return e
}

// process is one more process on the same database.
func (e *engine) process(issuer string, first bool) *courier.Courier {
	e.t.Helper()
	database, err := db.Open(e.ctx, e.dsn)
	e.must(err)
	e.t.Cleanup(func() { _ = database.Close() })
	now := e.clock.Now
	keys, err := keyring.Open(e.ctx, keyring.Config{DB: database, KEKs: []secret.KEK{secret.LocalKEK([32]byte{})}, Now: now})
	e.must(err)
	reg, err := registry.Open(e.ctx, registry.Config{DB: database, Now: now, Generation: e.generation})
	e.must(err)
	if first {
		file := strings.NewReplacer("ISSUER", issuer, "LOGOUT", e.logout.URL+"/logout").Replace(engineGroup)
		group, err := registry.Parse("group.yaml", []byte(file), func(string) ([]byte, error) { return []byte(strings.Repeat("secret", 8)), nil })
		e.must(err)
		_, err = reg.Apply(e.ctx, group, "test")
		e.must(err)
	}
	people, err := account.Open(e.ctx, account.Config{
		DB: database, Hasher: secret.NewHasher(secret.HasherConfig{Memory: 64, Time: 1}), DeviceKey: keys.Secret("device"), Now: now,
	})
	e.must(err)
	grants, err := grant.Open(e.ctx, grant.Config{DB: database, People: people, Now: now})
	e.must(err)
	ids, err := pairwise.Open(e.ctx, pairwise.Config{
		DB: database, Realm: reg.Current().Realm, Secrets: [][]byte{make([]byte, 32), bytes.Repeat([]byte{1}, 32)}, People: people, Now: now,
	})
	e.must(err)
	m, err := mint.New(mint.Config{Issuer: reg.Current().Issuer, Registry: reg, Keys: keys, Pairwise: ids, Grants: grants, Now: now})
	e.must(err)
	c, err := courier.New(e.ctx, courier.Config{
		DB: database, Registry: reg, People: people, Grants: grants, Pairwise: ids, Mint: m, Keys: keys,
		Audit: audit.NewLog(database, now), Logger: slog.New(slog.DiscardHandler), Now: now,
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	})
	e.must(err)
	return c
}

func (e *engine) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) update(fn func(*db.Tx) error) {
	e.t.Helper()
	e.must(e.DB.Update(e.ctx, fn))
}

func (e *engine) subsystem(name string) *registry.Subsystem {
	e.t.Helper()
	found, ok := e.Registry.Current().Subsystem(name)
	if !ok {
		e.t.Fatalf("no subsystem %s", name)
	}
	return found
}

// subject is a person as a subsystem knows them.
func (e *engine) subject(subsystem string, person int) string {
	return e.Pairwise.Subject(e.subsystem(subsystem).Sector, e.people[person].Ref)
}

// stream makes a stream of a subsystem's client to a receiver.
func (e *engine) stream(client string, to *receiver, change ...func(*courier.Stream)) *courier.Stream {
	e.t.Helper()
	subsystem, _, _ := strings.Cut(client, ".")
	s := &courier.Stream{
		ID: "stream-" + client, Client: client, Receiver: subsystem, Method: oauth.DeliveryPush, Endpoint: to.URL + "/events",
		Status: courier.StreamEnabled, CreatedAt: e.clock.Now(), UpdatedAt: e.clock.Now(),
	}
	for _, change := range change {
		change(s)
	}
	e.update(func(tx *db.Tx) error { return courier.CreateStream(e.ctx, tx, s) })
	return s
}

// sold publishes that an item of a person was sold.
func (e *engine) sold(person int, ids ...string) {
	e.t.Helper()
	event, ok := e.Registry.Current().Event(itemSold)
	if !ok {
		e.t.Fatal("no such event")
	}
	var list []courier.Publication
	for _, id := range ids {
		list = append(list, courier.Publication{
			Event: event, ID: id, Subject: e.people[person].Ref, HappenedAt: e.clock.Now(), Data: json.RawMessage(`{"item":"` + id + `"}`),
		})
	}
	e.hand(list)
}

func (e *engine) hand(list []courier.Publication) {
	e.t.Helper()
	e.update(func(tx *db.Tx) error { return e.Hand(e.ctx, tx, e.subsystem("market"), list) })
}

// signIn begins a session of a person, with a grant of each client under it.
func (e *engine) signIn(person int, clients ...string) *grant.Session {
	e.t.Helper()
	var session *grant.Session
	e.update(func(tx *db.Tx) (err error) {
		session, _, err = e.Grants.StartSession(e.ctx, tx, e.people[person].ID, grant.SignIn{AuthTime: e.clock.Now()})
		return err
	})
	for _, client := range clients {
		var code string
		e.update(func(tx *db.Tx) (err error) {
			code, err = e.Grants.Authorize(e.ctx, tx, grant.Authorization{Session: session, ClientID: client, RedirectURI: "https://x.test"})
			return err
		})
		_, _, err := e.Grants.Redeem(e.ctx, grant.Redemption{Code: code, ClientID: client, RedirectURI: "https://x.test", Refresh: true})
		e.must(err)
	}
	return session
}

func (e *engine) consent(session *grant.Session, client string, scopes ...string) {
	e.t.Helper()
	e.update(func(tx *db.Tx) error {
		return e.Grants.Remember(e.ctx, tx, session, client, grant.Scopes{e.Mint.Issuer: scopes})
	})
}

func (e *engine) tick() { e.Tick(e.ctx) }

// after lets time pass and ticks.
func (e *engine) after(d time.Duration) {
	e.clock.Advance(d)
	e.tick()
}

func (e *engine) load(id string) (s *courier.Stream) {
	e.t.Helper()
	e.must(e.DB.Read(e.ctx, func(tx *db.Tx) (err error) {
		s, err = courier.LoadStream(e.ctx, tx, id)
		return err
	}))
	return s
}

// standing is what is pending and dead in a stream.
func (e *engine) standing(stream string) (pending, dead []outbox.Delivery) {
	e.t.Helper()
	e.must(e.DB.Read(e.ctx, func(tx *db.Tx) (err error) {
		if pending, err = outbox.Pending(e.ctx, tx, stream, 1000); err != nil {
			return err
		}
		dead, err = outbox.ListDead(e.ctx, tx, stream, 0, 1000)
		return err
	}))
	return pending, dead
}

func (e *engine) wantStanding(stream string, pending, dead int) {
	e.t.Helper()
	p, d := e.standing(stream)
	if len(p) != pending || len(d) != dead {
		e.t.Errorf("%s: %d pending and %d dead, want %d and %d", stream, len(p), len(d), pending, dead)
	}
}

func (e *engine) records(event audit.Event) (records []audit.Record) {
	e.t.Helper()
	e.must(e.DB.Read(e.ctx, func(tx *db.Tx) (err error) {
		records, err = audit.Find(e.ctx, tx, audit.Query{Event: event})
		return err
	}))
	return records
}

// regroup applies the group with a text of it replaced.
func (e *engine) regroup(before, after string) {
	e.t.Helper()
	file := strings.NewReplacer("ISSUER", loopbackIssuer, "LOGOUT", e.logout.URL+"/logout").Replace(engineGroup)
	changed := strings.Replace(file, before, after, 1)
	if changed == file {
		e.t.Fatalf("the group has no %q", before)
	}
	group, err := registry.Parse("group.yaml", []byte(changed), func(string) ([]byte, error) { return []byte(strings.Repeat("secret", 8)), nil })
	e.must(err)
	_, err = e.Registry.Apply(e.ctx, group, "test")
	e.must(err)
}
