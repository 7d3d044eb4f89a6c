package event_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

const coinGiven = "https://api.market.example/events/coin.given"

// polling is a receiver whose stream is polled.
type polling struct {
	*receiving
	client *rp.Client

	mu     sync.Mutex
	failed map[string]int // how often events shall fail yet, by their name
	seen   chan string    // the names of events, each time a handler sees one
	pauses chan time.Duration
}

// setupPoller starts a loop over a stream. It ends with the test, and whatever
// it returns goes to result.
func setupPoller(t *testing.T) *polling {
	t.Helper()
	r := setupReceiver(t, nil)
	p := &polling{
		receiving: r, client: cryptoClient(t, r.issuer), failed: make(map[string]int),
		seen: make(chan string, 100), pauses: make(chan time.Duration, 100),
	}
	r.receiver.Sleep(func(_ context.Context, d time.Duration) { p.pauses <- d })
	r.receiver.Handle(coinGiven, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		var data struct{ Name string }
		if err := e.Decode(&data); err != nil {
			return err
		}
		p.seen <- data.Name
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.failed[data.Name] > 0 {
			p.failed[data.Name]--
			return errors.New("later")
		}
		return nil
	})
	streams := &event.Streams{Client: p.client, HTTPClient: r.client}
	if _, err := streams.Create(t.Context(), event.Stream{Delivery: event.Delivery{Method: oauth.DeliveryPoll}}); err != nil {
		t.Fatal(err)
	}
	return p
}

// run polls until stop is called, which answers what the loop returned.
func (p *polling) run() (stop func() error) {
	ctx, cancel := context.WithCancel(p.t.Context())
	result := make(chan error, 1)
	go func() { result <- p.receiver.Poll(ctx, p.client, "stream-1") }()
	return func() error {
		cancel()
		return <-result
	}
}

// give puts an event with a name on the stream, that happened a while ago.
func (p *polling) give(person, name string, ago time.Duration) {
	c := p.issuer.SETClaims(person, "crypto", coinGiven, claims{"name": name})
	c["toe"] = p.issuer.Clock.Now().Add(-ago).Unix()
	c["jti"] = name
	p.issuer.Hub.Add(name, p.issuer.SET(c))
}

func (p *polling) wantSeen(names ...string) {
	p.t.Helper()
	for _, want := range names {
		if got := <-p.seen; got != want {
			p.t.Errorf("saw %s, want %s", got, want)
		}
	}
}

func TestPolledEventsAreAcknowledgedWhenTheyAreHandled(t *testing.T) {
	t.Parallel()
	p := setupPoller(t)
	// The order is that of the stream: neither that of the ids nor what publishers
	// say of the time.
	p.give("alice", "c-first", time.Minute)
	p.give("alice", "a-second", 3*time.Minute)
	p.give("bob", "b-third", 2*time.Minute)
	stop := p.run()
	p.wantSeen("c-first", "a-second", "b-third")
	p.give("bob", "fourth", 0) // while it waits
	p.wantSeen("fourth")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	acked, refused := p.issuer.Hub.Settled()
	if diff := cmp.Diff([]string{"c-first", "a-second", "b-third", "fourth"}, acked); diff != "" {
		t.Errorf("at the end: %s", diff)
	}
	if len(refused) != 0 {
		t.Errorf("refused %v", refused)
	}
	if len(p.pauses) != 0 {
		t.Error("paused for no reason")
	}
}

func TestWhatFailsComesAgainInOrder(t *testing.T) {
	t.Parallel()
	p := setupPoller(t)
	p.failed["first"] = 5
	p.give("alice", "first", 3*time.Minute)
	p.give("alice", "second", 2*time.Minute) // waits for the first
	p.give("bob", "other", time.Minute)      // does not
	stop := p.run()
	p.wantSeen("first", "other", "first", "first", "first", "first", "first", "second")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	acked, _ := p.issuer.Hub.Settled()
	if diff := cmp.Diff([]string{"other", "first", "second"}, acked); diff != "" {
		t.Error(diff)
	}
	for _, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		if got := <-p.pauses; got < most/2 || got > most {
			t.Errorf("paused for %v, want up to %v", got, most)
		}
	}
}

func TestWhatIsRefusedIsReported(t *testing.T) {
	t.Parallel()
	p := setupPoller(t)
	hub := p.issuer.Hub
	foreign := p.issuer.SETClaims("alice", "pay", coinGiven, claims{})
	hub.Add("foreign", p.issuer.SET(foreign))
	hub.Add("another-name", p.issuer.SET(p.issuer.SETClaims("alice", "crypto", coinGiven, claims{})))
	hub.Add("broken", "no token")
	stop := p.run()
	p.give("alice", "good", 0)
	p.wantSeen("good")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	acked, refused := hub.Settled()
	want := map[string]string{
		"foreign": event.InvalidAudience, "another-name": event.InvalidRequest, "broken": event.InvalidRequest,
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"good"}, acked); diff != "" {
		t.Error(diff)
	}
}

func TestAHubThatIsAwayIsWaitedOut(t *testing.T) {
	t.Parallel()
	p := setupPoller(t)
	p.issuer.Hub.Trouble(502, 503, 429, 401, 500, 500, 500, 500)
	p.give("alice", "first", 0)
	stop := p.run()
	p.wantSeen("first")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for n, most := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		got, most := <-p.pauses, time.Duration(most)*time.Second
		if got < most/2 || got > most {
			t.Errorf("pause %d: %v, want up to %v", n, got, most)
		}
	}
	if acked, _ := p.issuer.Hub.Settled(); len(acked) != 1 {
		t.Errorf("acknowledged %v", acked)
	}
}

func TestWhatTheHubRefusesEndsPolling(t *testing.T) {
	t.Parallel()
	p := setupPoller(t)
	wantStatus(t, "another stream", p.receiver.Poll(t.Context(), p.client, "stream-2"), http.StatusNotFound)
	for _, status := range []int{400, 403, 404} {
		p.issuer.Hub.Trouble(status)
		wantStatus(t, "refused", p.receiver.Poll(t.Context(), p.client, "stream-1"), status)
	}
	wrong, err := rp.Discover(t.Context(), rp.Config{
		Issuer: p.issuer.URL, ClientID: "crypto.backend", Secret: "wrong", Now: p.issuer.Clock.Now, HTTPClient: p.receiving.client,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "a wrong secret", p.receiver.Poll(t.Context(), wrong, "stream-1"), http.StatusUnauthorized)

	other := issuertest.New()
	t.Cleanup(other.Close)
	if err := p.receiver.Poll(t.Context(), cryptoClient(t, other), "stream-1"); err == nil || !strings.Contains(err.Error(), "the client is of the issuer") {
		t.Errorf("another issuer: got %v", err)
	}
	streams := &event.Streams{Client: p.client, HTTPClient: p.receiving.client}
	push := event.Delivery{Method: oauth.DeliveryPush, EndpointURL: "https://crypto.example/events"}
	if _, err := streams.Replace(t.Context(), event.Stream{ID: "stream-1", Delivery: push}); err != nil {
		t.Fatal(err)
	}
	if err := p.receiver.Poll(t.Context(), p.client, "stream-1"); err == nil {
		t.Error("polled a stream that is pushed")
	}
}
