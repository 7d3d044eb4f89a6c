package app_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/oauth"
)

// TestPublishedEventReachesEachReceiverInItsOwnTerms (check E1).
func TestPublishedEventReachesEachReceiverInItsOwnTerms(t *testing.T) {
	t.Parallel()
	w := setup(t)
	buyer := w.newPerson("bea")
	crypto, pays := w.receiver("crypto.worker"), w.receiver("pay.backend")
	streams := map[*peer]string{crypto: crypto.makeStream(pollDelivery), pays: pays.makeStream(pollDelivery)}
	at := w.clock.Now().Unix() - 60
	a := w.publisher().send(http.MethodPost, "/events", w.event("sale-1", "type", sold, "happened_at", at,
		"people", members{"buyer": w.sub("market", buyer.Ref)}, "data", members{"item": "tea <bowl> ☃", "price": 1234567890123456789.0}))
	if a.status != http.StatusAccepted || a.body != `{"id":"sale-1"}` || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	seen := map[string]string{}
	for receiver, stream := range streams {
		name, _, _ := strings.Cut(receiver.id, ".")
		got := receiver.sets(stream)[sold]
		if len(got) != 1 {
			t.Fatalf("%s got %v", name, got)
		}
		claims := got[0]
		subject, payload := claims["sub_id"].(members), claims["events"].(members)[sold].(members)
		want := members{"format": "iss_sub", "iss": issuer, "sub": w.sub(name, w.person.Ref)}
		if !maps.Equal(subject, want) || claims["aud"] != name || claims["toe"] != float64(at) {
			t.Errorf("%s got %v", name, claims)
		}
		people, _ := payload["people"].(members)
		if payload["item"] != "tea <bowl> ☃" || len(payload) != 3 || len(people) != 1 || people["buyer"] != w.sub(name, buyer.Ref) {
			t.Errorf("%s got %v", name, payload)
		}
		seen[claims["jti"].(string)] = name
	}
	if len(seen) != 2 {
		t.Error("two receivers got one jti")
	}
	records := w.records(audit.EventsPublished)
	if len(records) != 1 || records[0].Client != "market.gateway" || records[0].Detail["events"] != 1.0 {
		t.Errorf("audit has %+v", records)
	}
}

func (w *world) records(event audit.Event) (found []audit.Record) {
	w.t.Helper()
	if err := w.app.Audit.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	err := w.app.DB.Read(w.t.Context(), func(tx *db.Tx) (err error) {
		found, err = audit.Find(w.t.Context(), tx, audit.Query{Event: event})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// TestPublishingTwiceIsOnce (check E11): the same again is accepted and told to
// nobody; something else under the same id is a conflict.
func TestPublishingTwiceIsOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto, publisher := w.receiver("crypto.worker"), w.publisher()
	stream := crypto.makeStream(pollDelivery)
	publish := func(body any) { publisher.want(http.StatusAccepted, http.MethodPost, "/events", body) }
	for range 2 {
		publish(w.event("sale-1"))
		publish(w.event("sale-1", "type", sold))
		publish(`{ "type":"item.sold", "id":"sale-1", "data":{ "item" : "tea bowl" }, "subject":"` + w.sub("market", w.person.Ref) + `", "people":{} }`)
	}
	if a := publisher.send(http.MethodPost, "/events", []members{w.event("sale-1"), w.event("sale-2"), w.event("sale-2")}); a.status != http.StatusAccepted ||
		a.body != `[{"id":"sale-1"},{"id":"sale-2"},{"id":"sale-2"}]` {
		t.Errorf("a list: %d %s", a.status, a.body)
	}
	first := ids(crypto.poll(stream, members{}))
	if len(first) != 2 {
		t.Fatalf("came %v", first)
	}
	crypto.poll(stream, members{"ack": first})
	publish(w.event("sale-1"))
	if got := crypto.poll(stream, members{}); len(got.Sets) != 0 {
		t.Errorf("after it was acknowledged it came again: %v", got)
	}
	for name, other := range map[string]members{
		"type": w.event("sale-1", "type", gone), "data": w.event("sale-1", "data", members{"item": "cup"}), "time": w.event("sale-1", "happened_at", w.clock.Now().Unix()),
		"subject": w.event("sale-1", "subject", w.sub("market", w.newPerson("bea").Ref)), "people": w.event("sale-1", "people", members{"x": w.sub("market", w.person.Ref)}),
	} {
		publisher.refused("another "+name, http.StatusConflict, oauth.InvalidRequest, http.MethodPost, "/events", other)
		publisher.refused("another "+name+" in a list", http.StatusConflict, oauth.InvalidRequest, http.MethodPost, "/events", []members{w.event("new"), other})
	}
	publisher.refused("two that differ in one request", http.StatusConflict, oauth.InvalidRequest, http.MethodPost, "/events",
		[]members{w.event("sale-3"), w.event("sale-3", "type", gone)})
	if got := crypto.poll(stream, members{}); len(got.Sets) != 0 {
		t.Errorf("of what was refused came %v", got)
	}
	// Another publisher's id is another id.
	w.peer("vault.backend", oauth.ScopePublish).want(http.StatusAccepted, http.MethodPost, "/events",
		members{"id": "sale-1", "type": "kept", "subject": w.sub("vault", w.person.Ref), "data": members{}})
	if records := w.records(audit.EventsRefused); len(records) != 11 || !strings.Contains(records[0].Reason, "something else") {
		t.Errorf("audit has %d refusals", len(records))
	}
}

// TestPublishingAtOnce: many requests side by side, the same event in some, on
// two replicas: each event is told once, and in each request all or nothing.
func TestPublishingAtOnce(t *testing.T) {
	t.Parallel()
	first := setup(t)
	crypto := first.receiver("crypto.worker")
	stream := crypto.makeStream(pollDelivery)
	both := [2]*world{first, start(t, first.path, first.clock)}
	const events = 40
	answers := atOnce(both, 4*events, func(w *world, i int) answer {
		return w.publisher().send(http.MethodPost, "/events", []members{w.event("sale-" + strconv.Itoa(i/4)), w.event("all")})
	})
	if len(answers[http.StatusAccepted]) != 4*events {
		t.Errorf("%d were accepted", len(answers[http.StatusAccepted]))
	}
	if got := crypto.poll(stream, members{}); len(got.Sets) != events+1 || got.MoreAvailable {
		t.Errorf("%d came", len(got.Sets))
	}
}

// TestWhoMayPublishWhat: what the group declares, about people who are there.
func TestWhoMayPublishWhat(t *testing.T) {
	t.Parallel()
	w := setup(t)
	publisher := w.publisher()
	for name, kind := range map[string]string{
		"unknown": "item.lost", "another publisher's": "kept", "another publisher's URI": vault + "/events/kept", "the platform's": oauth.EventSessionRevoked,
		"the platform's name": "session-revoked", "other case": "Item.sold", "unknown URI": market + "/events/item.lost",
	} {
		publisher.refused(name, http.StatusForbidden, oauth.AccessDenied, http.MethodPost, "/events", w.event("sale-1", "type", kind))
	}
	off, deleted := w.newPerson("bea"), w.newPerson("cleo")
	for name, event := range map[string]members{
		"garbage": w.event("sale-1", "subject", "garbage"), "somebody else's": w.event("sale-1", "subject", w.sub("pay", w.person.Ref)),
		"disabled": w.event("sale-1", "subject", w.gone(off, true)), "deleted": w.event("sale-1", "subject", w.gone(deleted, false)),
		"one of the people": w.event("sale-1", "people", members{"buyer": w.sub("pay", w.person.Ref)}),
	} {
		a := publisher.refused(name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/events", event)
		if !strings.Contains(a.body, "names nobody") {
			t.Errorf("%s: %s", name, a.body)
		}
		a = publisher.refused(name+" in a list", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/events", []members{w.event("sale-2"), event, w.event("sale-3")})
		if !strings.Contains(a.body, "Event 2 of 3: ") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	w.peer("pay.backend", oauth.ScopePublish).refused("no publisher", http.StatusForbidden, oauth.AccessDenied, http.MethodPost, "/events", w.event("sale-1"))
	a := w.peer("market.gateway", oauth.ScopeConvert).refused("no scope", http.StatusForbidden, oauth.InsufficientScope, http.MethodPost, "/events", w.event("sale-1"))
	if !strings.Contains(a.header.Get("WWW-Authenticate"), `scope="events:publish"`) {
		t.Errorf("WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
	}
	(&peer{w: w, token: "garbage", media: "application/json"}).refused("no token", http.StatusUnauthorized, oauth.InvalidToken, http.MethodPost, "/events", w.event("sale-1"))
	publisher.refused("GET", http.StatusMethodNotAllowed, oauth.InvalidRequest, http.MethodGet, "/events", nil)
}

// gone disables or deletes somebody, and gives who they were to market.
func (w *world) gone(person *account.Account, disabled bool) string {
	w.t.Helper()
	sub, end := w.sub("market", person.Ref), w.app.DeleteAccount
	if disabled {
		end = w.app.DisableAccount
	}
	if err := end(w.t.Context(), person.ID, "test"); err != nil {
		w.t.Fatal(err)
	}
	return sub
}

// An event that was accepted is accepted again, also when its person is gone.
func TestPublishingAgainAboutSomebodyGone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	publisher, person := w.publisher(), w.newPerson("bea")
	event := w.event("sale-1", "subject", w.sub("market", person.Ref))
	publisher.want(http.StatusAccepted, http.MethodPost, "/events", event)
	w.gone(person, false)
	publisher.want(http.StatusAccepted, http.MethodPost, "/events", event)
	event["data"] = members{"item": "cup"}
	publisher.refused("something else", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/events", event)
}

// TestEventsThatAreRefused: one wrong event refuses the request, and nothing of
// it is told.
func TestEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto, publisher := w.receiver("crypto.worker"), w.publisher()
	stream := crypto.makeStream(pollDelivery)
	subject := w.sub("market", w.person.Ref)
	text := func(more string) string {
		return `{"id":"sale-1","type":"item.sold","subject":"` + subject + `"` + more + `}`
	}
	people := members{}
	for i := range 21 {
		people["p"+strconv.Itoa(i)] = subject
	}
	for name, body := range map[string]any{
		"nothing": "", "no JSON": "{", "null": "null", "a text": `"x"`, "an empty list": "[]", "a list of texts": `["x"]`, "two objects": text(`,"data":{}`) + "{}",
		"behind the list": `[` + text(`,"data":{}`) + `]{}`, "a member twice": text(`,"data":{},"data":{}`), "in another case": text(`,"Data":{}`),
		"twice in another case": text(`,"data":{},"DATA":{}`), "twice deep in the data": text(`,"data":{"a":{"b":1,"b":2}}`), "a member more": text(`,"data":{},"receiver":"pay"`),
		"out of the list": `[` + text(`,"data":{}`) + `],"events":[` + text(`,"data":{}`) + `]`, "nested deep": text(`,"data":` + strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17)),
		"broken UTF-8": text(",\"data\":{\"a\":\"\xff\"}"), "no data": w.event("x", "data", nil), "data null": text(`,"data":null`), "data a list": w.event("x", "data", []any{}),
		"data too large": w.event("x", "data", members{"a": strings.Repeat("x", 16<<10)}), "people in data": w.event("x", "data", members{"people": members{}}),
		"own subject in data": w.event("x", "data", members{"a": []any{"user " + subject}}), "no id": w.event("x", "id", nil), "an id of a space": w.event("a b"), "an id of 129": w.event(strings.Repeat("x", 129)),
		"an id of letters": w.event("売"), "a number as id": w.event("x", "id", 1), "no type": w.event("x", "type", nil), "no subject": w.event("x", "subject", nil),
		"the future": w.event("x", "happened_at", w.clock.Now().Add(2*time.Minute).Unix()), "before 1970": w.event("x", "happened_at", -1), "time 0": w.event("x", "happened_at", 0),
		"a fraction": w.event("x", "happened_at", 1.5), "a time as text": w.event("x", "happened_at", "1"), "too many people": w.event("x", "people", people),
		"a strange name": w.event("x", "people", members{"the buyer": subject}), "no name": w.event("x", "people", members{"": subject}), "people as a list": w.event("x", "people", []any{subject}),
		"101 events": slices.Repeat([]members{w.event("x")}, 101),
	} {
		publisher.refused(name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/events", body)
	}
	publisher.refused("1 MiB", http.StatusRequestEntityTooLarge, oauth.InvalidRequest, http.MethodPost, "/events", strings.Repeat(" ", 1<<20+1))
	publisher.media = "application/x-www-form-urlencoded"
	publisher.refused("a form", http.StatusUnsupportedMediaType, oauth.InvalidRequest, http.MethodPost, "/events", "id=1")
	if got := crypto.poll(stream, members{}); len(got.Sets) != 0 {
		t.Errorf("of what was refused came %v", got)
	}
	if strings.Contains(w.log.String(), subject) {
		t.Error("a subject stands in the log")
	}
}

// TestPublishingHasARate: the client's.
func TestPublishingHasARate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	publisher := w.peer("market.batch", oauth.ScopePublish)
	for n := 0; ; n++ {
		a := publisher.send(http.MethodPost, "/events", "{")
		if a.status == http.StatusTooManyRequests {
			if a.header.Get("Retry-After") != "1" || n < 10 {
				t.Errorf("after %d: %v", n, a.header)
			}
			break
		}
		if n > 100_000 {
			t.Fatal("there is no rate")
		}
	}
	w.clock.Advance(time.Second)
	publisher.want(http.StatusAccepted, http.MethodPost, "/events", w.event("sale-1"))
}
