package event_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

const sale = `{"item": "a lamp",  "price": 4711}`

func TestADirectDeliveryIsHandled(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) { c.Users = users })
	claims := r.issuer.DeliveryClaims("alice", "crypto", []byte(sale))
	got := r.sendCredential(r.issuer.EventToken(claims), sale)
	r.want("a good one", got, http.StatusAccepted, "")
	if got.body != "" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("answered %q, %v", got.body, got.header)
	}
	want := []event.Event{{
		Issuer: r.issuer.URL, ID: claims["jti"].(string), Type: issuertest.ItemSold, Publisher: "market",
		Subject: "alice.crypto", User: "member-1", HappenedAt: r.issuer.Clock.Now().Add(-5 * time.Second), Data: []byte(sale),
	}}
	if diff := cmp.Diff(want, r.handled(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	var data struct{ Item string }
	if err := r.handled()[0].Decode(&data); err != nil || data.Item != "a lamp" {
		t.Errorf("decoded %+v, %v", data, err)
	}
	if err := r.handled()[0].Decode(&[]int{}); err == nil || !strings.Contains(err.Error(), "item.sold") {
		t.Errorf("got %v", err)
	}
}

func TestAPushedTokenIsHandled(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) {
		c.Users = users
		c.Publishers = map[string]string{"https://api.market.example": "market"}
	})
	claims := r.issuer.SETClaims("bob", "crypto", issuertest.ItemSold, map[string]any{"item": "a lamp"})
	delete(claims, "toe")
	r.want("a good one", r.sendSET(r.issuer.SET(claims)), http.StatusAccepted, "")
	want := []event.Event{{
		Issuer: r.issuer.URL, ID: claims["jti"].(string), Type: issuertest.ItemSold, Publisher: "market",
		Subject: "bob.crypto", HappenedAt: r.issuer.Clock.Now(), Data: []byte(`{"item":"a lamp"}`), // no user here
	}}
	if diff := cmp.Diff(want, r.handled(), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
}

// The profile for interoperation has tokens signed with RS256.
func TestAPushedTokenMayBeSignedWithRSA(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	r.issuer.Publish(
		issuertest.PublicKey(r.issuer.Key, "key-1"),
		jose.JSONWebKey{Key: &key.PublicKey, KeyID: "rsa-1", Algorithm: "RS256", Use: "sig"},
	)
	header := map[string]any{"kid": "rsa-1", "typ": oauth.TypSET}
	claims := r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{})
	token := issuertest.Sign(jose.RS256, key, header, claims)
	// The keys were loaded just now: whether this is a new one cannot be told,
	// and the event must not be lost for it.
	got := r.sendSET(token)
	r.want("a key that may be new", got, http.StatusServiceUnavailable, "")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.issuer.Clock.Advance(30 * time.Second)
	r.want("after another look", r.sendSET(token), http.StatusAccepted, "")
	r.wantHandled(1)

	// An event credential is signed with ES256 alone.
	credential := issuertest.Sign(jose.RS256, key, map[string]any{"kid": "rsa-1", "typ": oauth.TypEvent},
		r.issuer.DeliveryClaims("alice", "crypto", []byte(sale)))
	r.want("a credential with RS256", r.sendCredential(credential, sale), http.StatusBadRequest, event.InvalidRequest)
	r.wantHandled(1)
}

func TestAnEventIsHandledOnce(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	claims := r.issuer.DeliveryClaims("alice", "crypto", []byte(sale))
	credential := r.issuer.EventToken(claims)
	for range 3 {
		r.want("the same again", r.sendCredential(credential, sale), http.StatusAccepted, "")
	}
	// Delivered again with a new credential, and once by the other road.
	r.issuer.Clock.Advance(time.Hour)
	again := issuertest.With(r.issuer.DeliveryClaims("alice", "crypto", []byte(sale)), map[string]any{"jti": claims["jti"]})
	r.want("with a new credential", r.sendCredential(r.issuer.EventToken(again), sale), http.StatusAccepted, "")
	pushed := issuertest.With(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{}), map[string]any{"jti": claims["jti"]})
	r.want("by the other road", r.sendSET(r.issuer.SET(pushed)), http.StatusAccepted, "")
	r.wantHandled(1)
}

func TestAnEventWhoseHandlerFailsComesAgain(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	token := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{}))
	r.fail = errors.New("the secret reason")
	got := r.sendSET(token)
	r.want("a failing handler", got, http.StatusInternalServerError, "")
	if got.header.Get("Retry-After") == "" || strings.Contains(got.body, "secret") {
		t.Errorf("answered %v %q", got.header, got.body)
	}
	if !strings.Contains(r.log.String(), "the secret reason") {
		t.Errorf("logged %s", r.log)
	}
	r.fail = nil
	r.want("the next time", r.sendSET(token), http.StatusAccepted, "")
	r.want("and once more", r.sendSET(token), http.StatusAccepted, "")
	r.wantHandled(2)
}

func TestAHandlerMayRefuse(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	r.fail = &event.Refusal{Code: event.InvalidRequest, Description: "The item is unknown."}
	token := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{}))
	got := r.sendSET(token)
	r.want("a refusing handler", got, http.StatusBadRequest, event.InvalidRequest)
	if !strings.Contains(got.body, "The item is unknown.") {
		t.Errorf("answered %s", got.body)
	}
}

func TestEventsWithoutAHandlerAreAcknowledged(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	token := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", "https://api.market.example/events/other", map[string]any{}))
	r.want("another type", r.sendSET(token), http.StatusAccepted, "")
	r.want("a verification", r.sendSET(r.issuer.SET(r.issuer.Verification("crypto", "stream-1", "state-1"))), http.StatusAccepted, "")
	r.wantHandled(0)
}

func TestAVerificationReachesItsHandler(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	var stream, state string
	r.receiver.Handle(oauth.EventVerification, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		var data struct{ State string }
		err := e.Decode(&data)
		stream, state = e.Stream, data.State
		return err
	})
	r.want("a verification", r.sendSET(r.issuer.SET(r.issuer.Verification("crypto", "stream-1", "state-1"))), http.StatusAccepted, "")
	if stream != "stream-1" || state != "state-1" {
		t.Errorf("got %q, %q", stream, state)
	}
}

func TestOurOwnFailuresAreNotTheEvents(t *testing.T) {
	t.Parallel()
	away := errors.New("the database is away")
	for name, change := range map[string]func(*event.Config){
		"users": func(c *event.Config) {
			c.Users = func(context.Context, string) (string, error) { return "", away }
		},
		"inbox": func(c *event.Config) { c.Inbox = failing{away} },
	} {
		r := setupReceiver(t, change)
		got := r.sendSET(r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{})))
		r.want(name, got, http.StatusServiceUnavailable, "")
		if got.header.Get("Retry-After") == "" || strings.Contains(got.body, "database") {
			t.Errorf("%s: answered %v %q", name, got.header, got.body)
		}
		r.wantHandled(0)
	}
}

type failing struct{ err error }

func (f failing) Once(context.Context, string, string, func(*sql.Tx) error) error { return f.err }

func TestHandleWantsOneHandlerForAType(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	handler := func(context.Context, *sql.Tx, *event.Event) error { return nil }
	for name, handle := range map[string]func(){
		"a second one": func() { r.receiver.Handle(issuertest.ItemSold, handler) },
		"no type":      func() { r.receiver.Handle("", handler) },
		"no handler":   func() { r.receiver.Handle("https://api.market.example/events/other", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			handle()
		}()
	}
}

func TestNewReceiverRefuses(t *testing.T) {
	t.Parallel()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	for name, config := range map[string]event.Config{
		"no audience":            {Issuer: issuer.URL},
		"a client for audience":  {Issuer: issuer.URL, Audience: "crypto.backend"},
		"another issuer's name":  {Issuer: issuer.URL + "/", Audience: "crypto"},
		"an issuer in the clear": {Issuer: "http://id.market.example", Audience: "crypto"},
	} {
		config.HTTPClient = receiverClient(t)
		if _, err := event.NewReceiver(t.Context(), config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	issuer.Describe = func(m *oauth.Metadata) { m.JWKSURI = issuer.URL + "/elsewhere" }
	if _, err := event.NewReceiver(t.Context(), event.Config{Issuer: issuer.URL, Audience: "crypto", HTTPClient: receiverClient(t)}); err == nil {
		t.Error("an issuer without keys: accepted")
	}
}

// What one pushed token costs, beside an inbox that costs nothing.
func BenchmarkReceiver(b *testing.B) {
	issuer := issuertest.New()
	defer issuer.Close()
	receiver, err := event.NewReceiver(b.Context(), event.Config{Issuer: issuer.URL, Audience: "crypto", Now: issuer.Clock.Now, Inbox: failing{}})
	if err != nil {
		b.Fatal(err)
	}
	receiver.Handle(issuertest.ItemSold, func(context.Context, *sql.Tx, *event.Event) error { return nil })
	token := issuer.SET(issuer.SETClaims("alice", "crypto", issuertest.ItemSold, map[string]any{"item": "a lamp"}))
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(token))
		request.Header.Set("Content-Type", "application/secevent+jwt")
		answer := httptest.NewRecorder()
		receiver.ServeHTTP(answer, request)
		if answer.Code != http.StatusAccepted {
			b.Fatal(answer.Code, answer.Body)
		}
	}
}
