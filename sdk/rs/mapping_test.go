package rs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// setupMapping makes the mapping of the subsystem market.
func setupMapping(t *testing.T) (*issuertest.Issuer, *rs.Mapping) {
	t.Helper()
	issuer := setupIssuer(t)
	return issuer, &rs.Mapping{
		Client: marketClient(t, issuer),
		Store:  newSQLStore(t, rs.SQLite, openSQLite(t)),
		Now:    issuer.Clock.Now,
	}
}

// caller is a person who calls by way of a subsystem.
func caller(person, subsystem string) *rs.User {
	return &rs.User{Subject: issuertest.Subject(person, subsystem), Subsystem: subsystem}
}

func internalID(t *testing.T, users *rs.Mapping, user *rs.User) string {
	t.Helper()
	id, err := users.Internal(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestOnePersonHasOneInternalID(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	alice := internalID(t, users, caller("alice", "market-app"))
	for _, again := range []*rs.User{caller("alice", "market-app"), caller("alice", "pay"), caller("alice", "market")} {
		if got := internalID(t, users, again); got != alice {
			t.Errorf("by way of %s: %q, want %q", again.Subsystem, got, alice)
		}
	}
	if bob := internalID(t, users, caller("bob", "market-app")); bob == alice {
		t.Error("two people have one id")
	}
	if _, err := users.Internal(t.Context(), caller("ghost", "pay")); !errors.Is(err, rs.ErrUnknownUser) {
		t.Errorf("nobody: got %v", err)
	}
	want := [][]string{{"alice.market-app"}, {"alice.pay"}, {"bob.market-app"}, {"ghost.pay"}}
	if diff := cmp.Diff(want, issuer.Batches()); diff != "" {
		t.Errorf("conversions: %s", diff)
	}
}

// What introspection has told already is not asked for.
func TestInternalUsesTheAnswerOfIntrospection(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	users := &rs.Mapping{Client: marketClient(t, issuer), Store: newSQLStore(t, rs.SQLite, openSQLite(t))}
	user, err := guard.CheckUser(t.Context(), "token", "")
	if err != nil {
		t.Fatal(err)
	}
	if internalID(t, users, user) == "" || len(issuer.Batches()) != 0 {
		t.Errorf("conversions: %v", issuer.Batches())
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	alice := internalID(t, users, caller("alice", "market-app"))
	for subsystem, want := range map[string]string{"pay": "alice.pay", "market-app": "alice.market-app", "market": "alice.market"} {
		if got, err := users.Subject(t.Context(), subsystem, alice); err != nil || got != want {
			t.Errorf("%s: got %q, %v", subsystem, got, err)
		}
	}
	for _, nobody := range []string{"member-99", ""} {
		if got, err := users.Subject(t.Context(), "pay", nobody); !errors.Is(err, rs.ErrUnknownUser) {
			t.Errorf("%q: got %q, %v", nobody, got, err)
		}
	}
	asked := len(issuer.Batches())
	issuer.Clock.Advance(5*time.Minute - time.Second)
	if _, err := users.Subject(t.Context(), "pay", alice); err != nil || len(issuer.Batches()) != asked {
		t.Errorf("asked again within five minutes, %v", err)
	}
	issuer.Clock.Advance(time.Second)
	if _, err := users.Subject(t.Context(), "pay", alice); err != nil || len(issuer.Batches()) != asked+1 {
		t.Errorf("not asked again after five minutes, %v", err)
	}
}

func TestNobodyIsRememberedForSecondsOnly(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	for n, wait := range []time.Duration{0, 4 * time.Second, time.Second} {
		issuer.Clock.Advance(wait)
		if _, err := users.Internal(t.Context(), caller("ghost", "pay")); !errors.Is(err, rs.ErrUnknownUser) {
			t.Fatalf("got %v", err)
		}
		if got, want := len(issuer.Batches()), 1+n/2; got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
}

func TestARefusedConversionIsAnOAuthError(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	issuer.Answer = func(w http.ResponseWriter, _ map[string][]string) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, err := w.Write([]byte(`{"error":"unauthorized_client","error_description":"no edge"}`))
		return err == nil
	}
	_, err := users.Internal(t.Context(), caller("alice", "pay"))
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != oauth.UnauthorizedClient {
		t.Errorf("got %v", err)
	}
	// A failure is not remembered.
	issuer.Answer = nil
	internalID(t, users, caller("alice", "pay"))
}

// Questions asked while one is under way travel together in the next request.
// The request is served in this process, so that the test can wait until all
// stand still instead of for a time.
func TestConversionsTravelTogether(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	client, err := rp.Discover(t.Context(), rp.Config{
		Issuer: issuer.URL, ClientID: "market.backend", Secret: issuertest.Secret,
		HTTPClient: &http.Client{Transport: inProcess{issuer.Handler}},
	})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		users := &rs.Mapping{Client: client, Store: &memory{ids: make(map[string]string)}}
		release := issuer.Hold()
		var wait sync.WaitGroup
		ask := func(person string) {
			wait.Go(func() {
				if id, err := users.Internal(t.Context(), caller(person, "pay")); err != nil || id != "id of "+person+".market" {
					t.Errorf("%s: got %q, %v", person, id, err)
				}
			})
		}
		ask("first")
		synctest.Wait()
		for n := range 1500 {
			ask(fmt.Sprintf("person%d", n))
			ask(fmt.Sprintf("person%d", n)) // and another for the same
		}
		gaveUp, giveUp := context.WithCancel(t.Context())
		wait.Go(func() {
			if _, err := users.Internal(gaveUp, caller("patient", "pay")); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		ask("patient")
		synctest.Wait()
		giveUp()
		synctest.Wait()
		release()
		wait.Wait()
	})
	var sizes []int
	for _, batch := range issuer.Batches() {
		sizes = append(sizes, len(batch))
	}
	if diff := cmp.Diff([]int{1, 1000, 501}, sizes); diff != "" {
		t.Errorf("sizes of requests: %s", diff)
	}
}

// inProcess serves requests without a network.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// memory is a Store without a database.
type memory struct {
	mu  sync.Mutex
	ids map[string]string // by subject
}

func (m *memory) Internal(_ context.Context, subjects []string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]string)
	for _, subject := range subjects {
		if id, ok := m.ids[subject]; ok {
			found[subject] = id
		}
	}
	return found, nil
}

func (m *memory) Subjects(_ context.Context, ids []string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]string)
	for _, id := range ids {
		subject := strings.TrimPrefix(id, "id of ")
		if m.ids[subject] == id {
			found[id] = subject
		}
	}
	return found, nil
}

func (m *memory) Add(_ context.Context, subject string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids[subject] = "id of " + subject
	return m.ids[subject], nil
}
