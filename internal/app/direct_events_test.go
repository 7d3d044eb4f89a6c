package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// notice is a log that tells of one message.
type notice struct {
	text string
	seen chan<- struct{}
}

func (n notice) Write(line []byte) (int, error) {
	if strings.Contains(string(line), n.text) {
		close(n.seen)
	}
	return len(line), nil
}

// sdk is a client of the group, by the SDK.
func (w *world) sdk(id string) *rp.Client {
	w.t.Helper()
	client, err := rp.Discover(w.t.Context(), rp.Config{
		Issuer: issuer, ClientID: id, Secret: secrets[id], Now: w.clock.Now, HTTPClient: &http.Client{Transport: w},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// sale is the data of item.sold: the buyer is a second person in it.
type sale struct {
	Item  string `json:"item"`
	Buyer string `json:"buyer" ppid:"user"`
}

// A publisher and a receiver of the SDK with the real server between them: the
// credential is had by token exchange, and proves itself by the published keys.
func TestAnEventGoesStraightFromPublisherToReceiver(t *testing.T) {
	t.Parallel()
	w := setup(t)
	buyer := w.newPerson("buyer")
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "market.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store := &rs.SQLStore{DB: db, Dialect: rs.SQLite, NewUser: func(context.Context, *sql.Tx) (string, error) { return rand.Text(), nil }}
	outbox := &event.SQLOutbox{DB: db, Dialect: event.SQLite}
	if err := errors.Join(store.Migrate(t.Context()), outbox.Migrate(t.Context())); err != nil {
		t.Fatal(err)
	}

	// The receiver, pay.
	got := make(chan event.Event, 1)
	transport := &http.Client{Transport: w}
	receiver, err := event.NewReceiver(t.Context(), event.Config{Issuer: issuer, Audience: "pay", Now: w.clock.Now, HTTPClient: transport})
	if err != nil {
		t.Fatal(err)
	}
	receiver.Handle(market+"/events/item.sold", func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		got <- *e
		return nil
	})
	hook := httptest.NewTLSServer(receiver)
	t.Cleanup(hook.Close)

	// The publisher, market.
	paused := make(chan struct{})
	notices := slog.New(slog.NewTextHandler(notice{"event subscription paused", paused}, nil))
	roots := x509.NewCertPool()
	roots.AddCert(hook.Certificate())
	publisher := &event.Publisher{
		Client: w.sdk("market.gateway"), Outbox: outbox, Audience: market,
		Mapping:  &rs.Mapping{Client: w.sdk("market.gateway"), Store: store, Now: w.clock.Now},
		Types:    map[string]any{"item.sold": sale{}, "item.lost": sale{}},
		Key:      bytes.Repeat([]byte("k"), 32),
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: roots, Now: w.clock.Now, Log: notices,
	}
	guard, err := rs.New(t.Context(), rs.Config{Issuer: issuer, Audience: market, Now: w.clock.Now, HTTPClient: transport})
	if err != nil {
		t.Fatal(err)
	}
	api := publisher.Subscriptions(guard, "settle")
	token, err := w.sdk("pay.backend").ServiceToken(market, "settle").Token()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, body string) map[string]any {
		request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+token.AccessToken)
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		api.ServeHTTP(recorder, request)
		if recorder.Code >= 300 {
			t.Fatalf("%s: %d %s", path, recorder.Code, recorder.Body)
		}
		return decode[map[string]any](t, recorder.Body.String())
	}
	made := ask("/", `{"url":"`+hook.URL+`","types":["item.sold","item.lost"]}`)
	receiver.SetSecrets(made["secret"].(string))
	ask("/"+made["id"].(string)+"/verify", "")

	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan error)
	go func() { running <- publisher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-running; err != nil {
			t.Error(err)
		}
	})
	member := func(subject string) string {
		id, err := store.Add(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	publish := func(o event.Occurrence) {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(publisher.Publish(t.Context(), tx, o), tx.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	seller := member(w.sub("market", w.person.Ref))
	data := sale{Item: "a lamp", Buyer: member(w.sub("market", buyer.Ref))}
	publish(event.Occurrence{Type: "item.sold", User: member("aaaaaaaaaaaaaaaaaaaaaaaaaa"), Data: data}) // of nobody: not told
	publish(event.Occurrence{Type: "item.sold", User: seller, Data: data, ID: "sale-1"})
	e := <-got
	if e.Subject != w.sub("pay", w.person.Ref) || e.Publisher != "market" || e.Issuer != issuer ||
		string(e.Data) != `{"item":"a lamp","buyer":"`+w.sub("pay", buyer.Ref)+`"}` {
		t.Errorf("got %+v", e)
	}

	// A type that the group file does not declare has no credential.
	publish(event.Occurrence{Type: "item.lost", User: seller, Data: data})
	<-paused
	all, err := outbox.Subscriptions(t.Context())
	if err != nil || all[0].Reason != "The group file does not declare that pay receives item.lost." {
		t.Errorf("got %+v, %v", all, err)
	}
	if letters, err := outbox.DeadLetters(t.Context(), 10); err != nil || len(letters) != 0 {
		t.Errorf("dead: %v, %v", letters, err)
	}
}
