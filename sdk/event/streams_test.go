package event_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// cryptoClient is a client of the receiving subsystem.
func cryptoClient(t *testing.T, issuer *issuertest.Issuer) *rp.Client {
	t.Helper()
	client, err := rp.Discover(t.Context(), rp.Config{
		Issuer: issuer.URL, ClientID: "crypto.backend", Secret: issuertest.Secret, Now: issuer.Clock.Now, HTTPClient: receiverClient(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func setupStreams(t *testing.T) (*issuertest.Issuer, *event.Streams) {
	t.Helper()
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	return issuer, &event.Streams{Client: cryptoClient(t, issuer), HTTPClient: receiverClient(t)}
}

func wantStatus(t *testing.T, name string, err error, status int) {
	t.Helper()
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.HTTPStatus() != status {
		t.Errorf("%s: got %v, want %d", name, err, status)
	}
}

func TestStreamsFromMakingToDeleting(t *testing.T) {
	t.Parallel()
	issuer, streams := setupStreams(t)
	ctx := t.Context()
	if found, err := streams.List(ctx); err != nil || len(found) != 0 {
		t.Errorf("at first: got %v, %v", found, err)
	}
	asked := event.Stream{
		Delivery: event.Delivery{
			Method: oauth.DeliveryPush, EndpointURL: "https://crypto.example/events", Authorization: "Bearer agreed-on",
		},
		EventsRequested: []string{issuertest.ItemSold},
		Description:     "coins",
	}
	made, err := streams.Create(ctx, asked)
	if err != nil {
		t.Fatal(err)
	}
	want := &event.Stream{
		ID: "stream-1", Issuer: issuer.URL, Audience: oauth.Audience{"crypto"}, MinVerificationInterval: 30, Description: "coins",
		EventsRequested: asked.EventsRequested,
		Delivery:        event.Delivery{Method: oauth.DeliveryPush, EndpointURL: "https://crypto.example/events"},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	_, err = streams.Create(ctx, asked)
	wantStatus(t, "a second one", err, http.StatusConflict)
	if got, err := streams.Get(ctx, "stream-1"); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if found, err := streams.List(ctx); err != nil || len(found) != 1 {
		t.Errorf("got %v, %v", found, err)
	}
	_, err = streams.Get(ctx, "stream-2")
	wantStatus(t, "another", err, http.StatusNotFound)

	want.Description = "more coins"
	if got, err := streams.Update(ctx, event.Stream{ID: "stream-1", Description: "more coins"}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("updated: got %+v, %v", got, err)
	}
	polled, err := streams.Replace(ctx, event.Stream{ID: "stream-1", Delivery: event.Delivery{Method: oauth.DeliveryPoll}})
	if err != nil || polled.Delivery.EndpointURL != issuer.URL+"/ssf/poll/stream-1" || polled.Description != "" {
		t.Errorf("replaced: got %+v, %v", polled, err)
	}

	// One that was read may be changed and sent back: what is the hub's to say
	// is left out.
	polled.Description, polled.EventsDelivered, polled.MinVerificationInterval = "again", []string{"x"}, 1
	if got, err := streams.Replace(ctx, *polled); err != nil || got.Description != "again" || got.EventsDelivered != nil || got.MinVerificationInterval != 30 {
		t.Errorf("sent back: got %+v, %v", got, err)
	}

	if err := streams.SetStatus(ctx, event.StreamStatus{ID: "stream-1", Status: event.StreamPaused, Reason: "moving house"}); err != nil {
		t.Error(err)
	}
	status, err := streams.Status(ctx, "stream-1")
	if err != nil || *status != (event.StreamStatus{ID: "stream-1", Status: event.StreamPaused, Reason: "moving house"}) {
		t.Errorf("got %+v, %v", status, err)
	}
	if err := errors.Join(
		streams.RemoveSubject(ctx, "stream-1", "alice.crypto"),
		streams.AddSubject(ctx, "stream-1", "bob.crypto"),
		streams.Verify(ctx, "stream-1", "state-1"),
		streams.Verify(ctx, "stream-1", ""),
	); err != nil {
		t.Error(err)
	}
	subjects, states := issuer.Hub.Asked()
	if diff := cmp.Diff([][]string{{"remove alice.crypto", "add bob.crypto"}, {"state-1", ""}}, [][]string{subjects, states}); diff != "" {
		t.Error(diff)
	}
	if err := streams.Delete(ctx, "stream-1"); err != nil {
		t.Error(err)
	}
	wantStatus(t, "deleted twice", streams.Delete(ctx, "stream-1"), http.StatusNotFound)

	// Looking needs no more than a token that can look.
	var scopes []string
	for _, form := range issuer.Forms() {
		scopes = append(scopes, form["scope"]...)
		if form["resource"][0] != issuer.URL {
			t.Errorf("a token for %v", form["resource"])
		}
	}
	if diff := cmp.Diff([]string{"ssf.read", "ssf.manage"}, scopes); diff != "" {
		t.Error(diff)
	}
	if n := issuer.Count("/.well-known/ssf-configuration"); n != 1 {
		t.Errorf("asked %d times for the configuration", n)
	}
}

func TestEnsureMakesOrReplacesTheStream(t *testing.T) {
	t.Parallel()
	_, streams := setupStreams(t)
	poll := event.Stream{Delivery: event.Delivery{Method: oauth.DeliveryPoll}}
	var wait sync.WaitGroup
	for range 10 { // replicas that start together
		wait.Go(func() {
			if made, err := streams.Ensure(t.Context(), poll); err != nil || made.ID != "stream-1" {
				t.Errorf("got %+v, %v", made, err)
			}
		})
	}
	wait.Wait()
	poll.Description = "coins"
	if changed, err := streams.Ensure(t.Context(), poll); err != nil || changed.Description != "coins" {
		t.Errorf("got %+v, %v", changed, err)
	}
	if found, err := streams.List(t.Context()); err != nil || len(found) != 1 {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestStreamsRefuseAHubThatIsAnother(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(configuration map[string]any){
		"another issuer":        func(c map[string]any) { c["issuer"] = "https://evil.example" },
		"tokens in the clear":   func(c map[string]any) { c["configuration_endpoint"] = "http://evil.example/ssf" },
		"an endpoint that is 1": func(c map[string]any) { c["status_endpoint"] = 1 },
	} {
		issuer, streams := setupStreams(t)
		change(issuer.Hub.Configuration)
		if _, err := streams.List(t.Context()); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if n := issuer.Count("/ssf/streams"); n != 0 {
			t.Errorf("%s: called", name)
		}
	}
	issuer, streams := setupStreams(t)
	delete(issuer.Hub.Configuration, "verification_endpoint")
	if err := streams.Verify(t.Context(), "stream-1", ""); err == nil {
		t.Error("called an endpoint that is not there")
	}
}

func TestAnAnswerThatIsNoneOfTheHubsTellsItsStatus(t *testing.T) {
	t.Parallel()
	issuer, streams := setupStreams(t)
	if _, err := streams.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	issuer.Away(true)
	_, err := streams.List(t.Context())
	wantStatus(t, "away", err, http.StatusBadGateway)
}
