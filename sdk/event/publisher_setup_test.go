package event_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

const marketAudience = "https://api.market.example"

// Sale is the data of item.sold.
type Sale struct {
	Item  string `json:"item"`
	Buyer string `json:"buyer,omitempty" ppid:"user"`
}

// Gift is the data of item.given: without its other person it means nothing.
type Gift struct {
	To string `json:"to" ppid:"user,required"`
}

// publishing is the subsystem market with its publisher, and the API at which
// others subscribe.
type publishing struct {
	t         *testing.T
	issuer    *issuertest.Issuer
	db        *sql.DB
	outbox    *event.SQLOutbox
	store     *rs.SQLStore
	mapping   *rs.Mapping
	publisher *event.Publisher
	delivery  *event.Stepper // under way, once deliver was called
	api       string
	client    *http.Client
	log       *bytes.Buffer
}

func setupPublisher(t *testing.T) *publishing {
	t.Helper()
	return setupPublisherOn(t, event.SQLite, openEventDB(t, "sqlite",
		"file:"+filepath.Join(t.TempDir(), "market.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"))
}

func setupPublisherOn(t *testing.T, dialect event.Dialect, db *sql.DB) *publishing {
	t.Helper()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	f := &publishing{t: t, issuer: issuer, db: db, client: receiverClient(t), log: new(bytes.Buffer)}
	client, err := rp.Discover(t.Context(), rp.Config{
		Issuer: issuer.URL, ClientID: "market.backend", Secret: issuertest.Secret, HTTPClient: f.client, Now: issuer.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.outbox = &event.SQLOutbox{DB: db, Dialect: dialect, Now: issuer.Clock.Now}
	f.store = &rs.SQLStore{DB: db, Dialect: dialect, NewUser: func(context.Context, *sql.Tx) (string, error) {
		return "member-" + rand.Text(), nil
	}}
	for range 2 { // at each start
		if err := f.outbox.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := f.store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.mapping = &rs.Mapping{Client: client, Store: f.store, Now: issuer.Clock.Now}
	f.publisher = f.newPublisher()
	guard, err := rs.New(t.Context(), rs.Config{Issuer: issuer.URL, Audience: marketAudience, HTTPClient: f.client, Now: issuer.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/event-subscriptions/", f.publisher.Subscriptions(guard, "events"))
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	f.api = api.URL + "/event-subscriptions/"
	return f
}

// newPublisher is the publisher as another replica, or the next process, has it.
func (f *publishing) newPublisher() *event.Publisher {
	return &event.Publisher{
		Client:   f.mapping.Client,
		Mapping:  f.mapping,
		Outbox:   f.outbox,
		Audience: marketAudience,
		Types:    map[string]any{"item.sold": Sale{}, "item.given": Gift{}, "shop.closed": json.RawMessage{}},
		Key:      bytes.Repeat([]byte("k"), 32),
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		RootCAs:  testRoots(),
		Log:      slog.New(slog.NewTextHandler(&locked{writer: f.log}, nil)),
		Now:      f.issuer.Clock.Now,
	}
}

// testRoots knows the one certificate of all servers of httptest.
var testRoots = sync.OnceValue(func() *x509.CertPool {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
})

// member is the internal id of a person.
func (f *publishing) member(person string) string {
	f.t.Helper()
	id, err := f.store.Add(f.t.Context(), person+".market")
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// publish writes events, each in a transaction of its own.
func (f *publishing) publish(occurrences ...event.Occurrence) {
	f.t.Helper()
	for _, o := range occurrences {
		tx, err := f.db.BeginTx(f.t.Context(), nil)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := f.publisher.Publish(f.t.Context(), tx, o); err != nil {
			f.t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// sold is a sale by a person.
func (f *publishing) sold(person, item string) event.Occurrence {
	f.t.Helper()
	return event.Occurrence{Type: "item.sold", User: f.member(person), Data: Sale{Item: item}, ID: "sale-" + item}
}

// deliver delivers all that is due.
func (f *publishing) deliver() {
	f.t.Helper()
	if f.delivery == nil {
		delivery, err := event.NewStepper(f.t.Context(), f.publisher)
		if err != nil {
			f.t.Fatal(err)
		}
		f.delivery = delivery
		f.t.Cleanup(delivery.Close)
	}
	if err := f.delivery.Due(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// pass lets time go by and delivers what is due then.
func (f *publishing) pass(d time.Duration) {
	f.t.Helper()
	f.issuer.Clock.Advance(d)
	f.deliver()
}

// ask calls the API of subscriptions for a subsystem.
func (f *publishing) ask(subsystem, method, path, body string) (int, map[string]any) {
	f.t.Helper()
	token := f.issuer.AccessToken(f.issuer.ServiceClaims(subsystem+".backend", marketAudience, "events"))
	return f.askWith(token, method, path, body)
}

func (f *publishing) askWith(token, method, path, body string) (int, map[string]any) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.api+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := f.client.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	var answer map[string]any
	if len(read) > 0 && json.Unmarshal(read, &answer) != nil {
		answer = map[string]any{"text": string(read)}
	}
	return response.StatusCode, answer
}

// register makes a subscription that is not verified yet.
func (f *publishing) register(subsystem, url string, types ...string) (id, secret string) {
	f.t.Helper()
	if len(types) == 0 {
		types = []string{"item.sold"}
	}
	form, err := json.Marshal(map[string]any{"url": url, "types": types})
	if err != nil {
		f.t.Fatal(err)
	}
	status, answer := f.ask(subsystem, http.MethodPost, "", string(form))
	if status != http.StatusCreated {
		f.t.Fatalf("registering: got %d %v", status, answer)
	}
	return answer["id"].(string), answer["secret"].(string)
}

func (f *publishing) state(subsystem, id string) (state, reason string) {
	f.t.Helper()
	status, answer := f.ask(subsystem, http.MethodGet, id, "")
	if status != http.StatusOK {
		f.t.Fatalf("got %d %v", status, answer)
	}
	reason, _ = answer["reason"].(string)
	return answer["state"].(string), reason
}

// hook is the webhook of a subsystem: it keeps what comes and answers as its
// test says.
type hook struct {
	t          *testing.T
	url        string
	id, secret string

	mu     sync.Mutex
	calls  []hookCall
	answer http.HandlerFunc
	came   chan struct{} // gets one for each delivery
}

type hookCall struct {
	header http.Header
	body   string
}

// hook starts a webhook and subscribes with it.
func (f *publishing) hook(subsystem string, types ...string) *hook {
	f.t.Helper()
	h := f.listen()
	h.id, h.secret = f.register(subsystem, h.url, types...)
	if status, answer := f.ask(subsystem, http.MethodPost, h.id+"/verify", ""); status != http.StatusOK {
		f.t.Fatalf("verifying: got %d %v", status, answer)
	}
	return h
}

// listen starts a webhook that nobody subscribed with yet.
func (f *publishing) listen() *hook {
	f.t.Helper()
	h := &hook{t: f.t, came: make(chan struct{}, 10_000)}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = quietLog
	server.StartTLS()
	f.t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
		return
	}
	if r.Header.Get("Authorization") == "" {
		w.Write(body) // a challenge
		return
	}
	h.mu.Lock()
	h.calls = append(h.calls, hookCall{r.Header.Clone(), string(body)})
	answer := h.answer
	h.mu.Unlock()
	h.came <- struct{}{}
	if answer != nil {
		answer(w, r)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// answers sets what the webhook answers from now on; nil is 202.
func (h *hook) answers(answer http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// got is what came so far.
func (h *hook) got() []hookCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]hookCall(nil), h.calls...)
}

// items are the items of the sales that came so far.
func (h *hook) items() string {
	var items []string
	for _, call := range h.got() {
		var sale Sale
		if err := json.Unmarshal([]byte(call.body), &sale); err != nil {
			h.t.Error(err)
		}
		items = append(items, sale.Item)
	}
	return strings.Join(items, " ")
}

func (h *hook) want(items string) {
	h.t.Helper()
	if got := h.items(); got != items {
		h.t.Errorf("got %q, want %q", got, items)
	}
}

// credential reads the claims of a credential that was checked elsewhere.
func (c hookCall) credential(t *testing.T) map[string]any {
	t.Helper()
	token := strings.TrimPrefix(c.header.Get("Authorization"), "Bearer ")
	return claimsOf(t, token)
}

func serveTLS(t *testing.T, handler http.Handler) (url string) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

var quietLog = log.New(io.Discard, "", 0)

// notify is a log that tells of each entry.
func notify(entries chan<- struct{}) *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(func([]byte) { entries <- struct{}{} }), nil))
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func readText(t *testing.T, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}
