package event_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// receiving is the subsystem crypto with its receiver of events, served.
type receiving struct {
	t        *testing.T
	issuer   *issuertest.Issuer
	receiver *event.Receiver
	url      string
	client   *http.Client
	log      *bytes.Buffer

	mu     sync.Mutex
	events []event.Event // as a handler of item.sold saw them
	fail   error         // what that handler answers
}

// setupReceiver makes a receiver with a handler for item.sold. Change changes
// its configuration.
func setupReceiver(t *testing.T, change func(*event.Config)) *receiving {
	t.Helper()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	r := &receiving{t: t, issuer: issuer, client: receiverClient(t), log: new(bytes.Buffer)}
	config := event.Config{
		Issuer: issuer.URL, Audience: "crypto", Now: issuer.Clock.Now, HTTPClient: r.client,
		Log: slog.New(slog.NewTextHandler(&locked{writer: r.log}, nil)),
	}
	if change != nil {
		change(&config)
	}
	receiver, err := event.NewReceiver(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	receiver.Handle(issuertest.ItemSold, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, *e)
		return r.fail
	})
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	r.receiver, r.url = receiver, server.URL
	return r
}

// locked is a writer for parallel use.
type locked struct {
	mu     sync.Mutex
	writer io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writer.Write(p)
}

func receiverClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (r *receiving) handled() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]event.Event(nil), r.events...)
}

func (r *receiving) wantHandled(want int) {
	r.t.Helper()
	if got := len(r.handled()); got != want {
		r.t.Errorf("handled %d events, want %d", got, want)
	}
}

// answered is what a receiver answers.
type answered struct {
	status int
	header http.Header
	body   string
}

// refusal is the code in an answer (RFC 8935 §2.4).
func (a answered) refusal() string {
	var refusal struct{ Err, Description string }
	if json.Unmarshal([]byte(a.body), &refusal) != nil || refusal.Description == "" {
		return ""
	}
	return refusal.Err
}

// send posts a body with headers, given as pairs of name and value.
func (r *receiving) send(body string, headers ...string) answered {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answered{response.StatusCode, response.Header, string(text)}
}

// sendCredential posts a body with the credential that proves it.
func (r *receiving) sendCredential(credential, body string) answered {
	r.t.Helper()
	return r.send(body, "Content-Type", "application/json", "Authorization", "Bearer "+credential)
}

// sendSET pushes a Security Event Token.
func (r *receiving) sendSET(token string) answered {
	r.t.Helper()
	return r.send(token, "Content-Type", "application/secevent+jwt", "Accept", "application/json")
}

func (r *receiving) want(name string, got answered, status int, refusal string) {
	r.t.Helper()
	if got.status != status || got.refusal() != refusal {
		r.t.Errorf("%s: answered %d %s, want %d %s", name, got.status, got.body, status, refusal)
	}
}

func openReceiverDB(t *testing.T) *sql.DB {
	t.Helper()
	return openEventDB(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "crypto.db")+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
}

func openEventDB(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// users knows alice as member-1.
func users(_ context.Context, subject string) (string, error) {
	if subject == "alice.crypto" {
		return "member-1", nil
	}
	return "", rs.ErrUnknownUser
}
