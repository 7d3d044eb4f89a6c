package event_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// Two subsystems hear of one sale, each in its own identifiers and with a
// credential of its own.
func TestEachReceiverIsToldInItsOwnIdentifiers(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	f.issuer.Knows = func(receiver, person string) bool { return receiver != "partner" || person != "alice" }
	hooks := map[string]*hook{"pay": f.hook("pay"), "crypto": f.hook("crypto"), "partner": f.hook("partner")}
	asked := len(f.issuer.Forms())
	sale := f.sold("alice", "lamp")
	sale.Data = &Sale{Item: "lamp <&>", Buyer: f.member("bob")}
	sale.At = f.issuer.Clock.Now().Add(-time.Hour)
	f.publish(sale)
	f.deliver()

	for receiver, h := range hooks {
		calls := h.got()
		if receiver == "partner" {
			if len(calls) != 0 {
				t.Errorf("the partner heard of somebody it does not know: %v", calls)
			}
			continue
		}
		if len(calls) != 1 {
			t.Fatalf("%s got %d deliveries", receiver, len(calls))
		}
		call := calls[0]
		if want := fmt.Sprintf(`{"item":"lamp <&>","buyer":"bob.%s"}`, receiver); call.body != want {
			t.Errorf("%s got %s, want %s", receiver, call.body, want)
		}
		claims := call.credential(t)
		sum := sha256.Sum256([]byte(call.body))
		for name, want := range map[string]any{
			"iss": f.issuer.URL, "sub": "alice." + receiver, "aud": receiver, "azp": "market.backend", "toe": float64(sale.At.Unix()),
			"events": map[string]any{issuertest.ItemSold: map[string]any{"body_sha256": base64.RawURLEncoding.EncodeToString(sum[:])}},
		} {
			if !reflect.DeepEqual(claims[name], want) {
				t.Errorf("%s: %s is %v, want %v", receiver, name, claims[name], want)
			}
		}
		if err := event.VerifySignature([]string{h.secret}, call.header, []byte(call.body), f.issuer.Clock.Now()); err != nil {
			t.Errorf("%s: %v", receiver, err)
		}
		if call.header.Get("Webhook-Id") != claims["jti"] || call.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got the header %v", receiver, call.header)
		}
	}
	// One conversion a receiver for the buyer, and one request for all
	// credentials.
	exchanges := 0
	for _, form := range f.issuer.Forms()[asked:] {
		if form["grant_type"][0] == string(oauth.GrantTokenExchange) {
			exchanges++
		}
	}
	if exchanges != 1 {
		t.Errorf("%d requests for credentials", exchanges)
	}
	if letters := f.dead(); len(letters) != 0 {
		t.Errorf("dead: %v", letters)
	}
}

func (f *publishing) dead() []event.DeadLetter {
	f.t.Helper()
	letters, err := f.outbox.DeadLetters(f.t.Context(), 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	return letters
}

// The receiver of this package takes what the publisher sends, the challenge
// included.
func TestPublisherAndReceiver(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.listen()
	id, secret := f.register("crypto", h.url)
	db := openReceiverDB(t)
	inbox := &event.SQLInbox{DB: db, Dialect: event.SQLite}
	if err := inbox.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	receiver, err := event.NewReceiver(t.Context(), event.Config{
		Issuer: f.issuer.URL, Audience: "crypto", Inbox: inbox, Users: users, Secrets: []string{secret},
		Publishers: map[string]string{marketAudience: "market"}, Now: f.issuer.Clock.Now, HTTPClient: f.client,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []event.Event
	receiver.Handle(issuertest.ItemSold, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		got = append(got, *e)
		if len(got) == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	served := serveTLS(t, receiver)
	if status, answer := f.ask("crypto", http.MethodPatch, id, `{"url":"`+served+`"}`); status != http.StatusOK {
		t.Fatalf("got %d %v", status, answer)
	}
	if status, answer := f.ask("crypto", http.MethodPost, id+"/verify", ""); status != http.StatusOK {
		t.Fatalf("got %d %v", status, answer)
	}
	f.publish(f.sold("alice", "lamp"))
	f.deliver()
	f.pass(time.Minute)
	if len(got) != 2 || got[1].User != "member-1" || string(got[1].Data) != `{"item":"lamp"}` || got[0].ID != got[1].ID || got[1].Publisher != "market" {
		t.Errorf("got %+v", got)
	}
}

func TestAnEventIsThereExactlyIfTheChangeIs(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	tx, err := f.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	alice := f.member("alice")
	if err := f.publisher.Publish(t.Context(), tx, event.Occurrence{Type: "item.sold", User: alice, Data: Sale{Item: "undone"}}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	f.publish(f.sold("alice", "lamp"))
	f.deliver()
	f.deliver()
	h.want("lamp")
}

// E11: published twice under one id it is one event.
func TestAnEventPublishedTwiceIsOne(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	f.publish(f.sold("alice", "lamp"), f.sold("alice", "lamp"))
	f.deliver()
	f.publish(f.sold("alice", "lamp"))
	f.deliver()
	h.want("lamp")
	unnamed := event.Occurrence{Type: "item.sold", User: f.member("alice"), Data: Sale{Item: "chair"}}
	f.publish(unnamed, unnamed)
	f.deliver()
	h.want("lamp chair chair")
}

func TestOnlyWhatWasAskedForIsSent(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	both, given := f.hook("pay", "shop.closed", "item.given"), f.hook("crypto", "item.given")
	alice := f.member("alice")
	f.publish(
		event.Occurrence{Type: "shop.closed", User: alice, Data: json.RawMessage(`{ "why": 1 }`)},
		event.Occurrence{Type: "item.given", User: alice, Data: Gift{To: f.member("bob")}},
		f.sold("alice", "lamp"),
	)
	f.deliver()
	bodies := func(h *hook) (all []string) {
		for _, call := range h.got() {
			all = append(all, call.body)
		}
		return all
	}
	if diff := cmp.Diff([]string{`{"why":1}`, `{"to":"bob.pay"}`}, bodies(both)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`{"to":"bob.crypto"}`}, bodies(given)); diff != "" {
		t.Error(diff)
	}
}

// A person the receiver may not hear of is no fault of anybody's: nothing is
// sent and nothing is dead. The same where the data is about such a person.
func TestPeopleWhomAReceiverDoesNotKnow(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay", "item.sold", "item.given")
	f.publish(
		f.sold("ghost", "lamp"),
		event.Occurrence{Type: "item.sold", User: "a member without a subject", Data: Sale{Item: "chair"}},
		event.Occurrence{Type: "item.given", User: f.member("alice"), Data: Gift{To: f.member("ghost")}},
		event.Occurrence{Type: "item.sold", User: f.member("alice"), Data: Sale{Item: "table", Buyer: f.member("ghost")}},
	)
	f.deliver()
	h.want("table")
	if got := h.got()[0].body; got != `{"item":"table"}` {
		t.Errorf("got %s", got)
	}
	if letters := f.dead(); len(letters) != 0 {
		t.Errorf("dead: %v", letters)
	}
	f.pass(time.Hour)
	h.want("table")
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	alice := f.member("alice")
	type loose struct {
		Any any `json:"any"`
	}
	f.publisher.Types["loose"] = loose{}
	f.publisher.Types["list"] = []string{}
	f.publisher.Types["channel"] = struct{ C chan int }{}
	for name, o := range map[string]event.Occurrence{
		"an unknown type":              {Type: "item.lost", User: alice, Data: Sale{}},
		"data of another type":         {Type: "item.sold", User: alice, Data: Gift{}},
		"no data":                      {Type: "item.sold", User: alice},
		"nobody":                       {Type: "item.sold", Data: Sale{}},
		"an id with spaces":            {Type: "item.sold", User: alice, Data: Sale{}, ID: "a b"},
		"an id that is too long":       {Type: "item.sold", User: alice, Data: Sale{}, ID: strings.Repeat("a", 129)},
		"an id in another script":      {Type: "item.sold", User: alice, Data: Sale{}, ID: "é"},
		"a time to come":               {Type: "item.sold", User: alice, Data: Sale{}, At: f.issuer.Clock.Now().Add(2 * time.Minute)},
		"a time long ago":              {Type: "item.sold", User: alice, Data: Sale{}, At: f.issuer.Clock.Now().Add(-31 * 24 * time.Hour)},
		"data that is too large":       {Type: "item.sold", User: alice, Data: Sale{Item: strings.Repeat("a", 64<<10)}},
		"data that is no object":       {Type: "list", User: alice, Data: []string{"a"}},
		"a nil pointer":                {Type: "item.sold", User: alice, Data: (*Sale)(nil)},
		"data that is no JSON":         {Type: "channel", User: alice, Data: struct{ C chan int }{}},
		"raw data that is no JSON":     {Type: "shop.closed", User: alice, Data: json.RawMessage(`{`)},
		"people in an interface":       {Type: "loose", User: alice, Data: loose{Sale{Buyer: alice}}},
		"people further in":            {Type: "loose", User: alice, Data: loose{map[string]any{"a": []any{&Sale{Buyer: alice}}}}},
		"an interface in an interface": {Type: "loose", User: alice, Data: &loose{loose{Gift{}}}},
	} {
		tx, err := f.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.publisher.Publish(t.Context(), tx, o); err == nil {
			t.Errorf("%s: published", name)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
	f.publish(event.Occurrence{Type: "loose", User: alice, Data: loose{map[string]any{"a": []any{1, "b", []byte("c")}}}})
}

func TestAPublisherThatIsSetUpWrongly(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	for name, change := range map[string]func(*event.Publisher){
		"no client":             func(p *event.Publisher) { p.Client = nil },
		"no mapping":            func(p *event.Publisher) { p.Mapping = nil },
		"no outbox":             func(p *event.Publisher) { p.Outbox = nil },
		"no audience":           func(p *event.Publisher) { p.Audience = "" },
		"a short key":           func(p *event.Publisher) { p.Key = p.Key[:31] },
		"no types":              func(p *event.Publisher) { p.Types = nil },
		"a type without a name": func(p *event.Publisher) { p.Types[""] = Sale{} },
		"a type with a space":   func(p *event.Publisher) { p.Types["item sold"] = Sale{} },
		"a type in a URI":       func(p *event.Publisher) { p.Types["item/sold"] = Sale{} },
		"data without a type":   func(p *event.Publisher) { p.Types["item.lost"] = nil },
		"a tag that is none": func(p *event.Publisher) {
			p.Types["bad"] = struct {
				A string `ppid:"person"`
			}{}
		},
	} {
		p := f.newPublisher()
		change(p)
		if err := p.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "event: Publisher") {
			t.Errorf("%s: got %v", name, err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			p.Subscriptions(&rs.Guard{}, "events")
		}()
	}
}

func TestSQLOutboxWantsABusyTimeout(t *testing.T) {
	t.Parallel()
	db := openEventDB(t, "sqlite", "file:"+t.TempDir()+"/market.db")
	outbox := &event.SQLOutbox{DB: db, Dialect: event.SQLite}
	if err := outbox.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "busy_timeout") {
		t.Errorf("got %v", err)
	}
	outbox.Dialect = 0
	if err := outbox.Migrate(t.Context()); err == nil {
		t.Error("an engine was guessed")
	}
}
