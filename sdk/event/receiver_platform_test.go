package event_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

const cryptoAPI = "https://api.crypto.example"

// setupGuarded is a receiver whose API has a guard.
func setupGuarded(t *testing.T) (*receiving, *rs.Guard) {
	t.Helper()
	var guard *rs.Guard
	r := setupReceiver(t, func(c *event.Config) {
		var err error
		guard, err = rs.New(t.Context(), rs.Config{Issuer: c.Issuer, Audience: cryptoAPI, Now: c.Now, HTTPClient: c.HTTPClient})
		if err != nil {
			t.Fatal(err)
		}
		c.Guard = guard
	})
	return r, guard
}

// token is an access token for the API, under a session named by its sector.
func (r *receiving) token(person, client, session string) string {
	c := r.issuer.UserClaims(person, client, cryptoAPI, "")
	return r.issuer.AccessToken(issuertest.With(c, claims{"sid": issuertest.Subject(session, client)}))
}

func (r *receiving) wantGuard(guard *rs.Guard, name, token string, in bool) {
	r.t.Helper()
	_, err := guard.CheckUser(r.t.Context(), token, "")
	var refusal *oauth.Error
	if (err == nil) != in || !in && (!errors.As(err, &refusal) || refusal.Code != oauth.InvalidToken) {
		r.t.Errorf("%s: got %v", name, err)
	}
}

// SDK5 of the checks.
func TestTheEndOfASessionReachesTheGuardAtOnce(t *testing.T) {
	t.Parallel()
	r, guard := setupGuarded(t)
	direct := r.token("alice", "market-app.web", "s1")
	onward := r.token("alice", "pay.backend", "s1")
	own := r.token("alice", "crypto.web", "s1")
	stays := r.token("alice", "market-app.web", "s2")
	for _, token := range []string{direct, onward, own, stays} {
		r.wantGuard(guard, "before", token, true)
	}
	r.want("session-revoked", r.sendSET(r.issuer.SET(r.issuer.SessionRevoked("alice", "crypto", "s1", "market-app", "pay"))), http.StatusAccepted, "")
	r.wantGuard(guard, "called directly", direct, false)
	r.wantGuard(guard, "called by a service", onward, false)
	r.wantGuard(guard, "this subsystem's own client", own, false)
	r.wantGuard(guard, "another session", stays, true)
}

func TestTheEndOfAllSessionsReachesTheGuard(t *testing.T) {
	t.Parallel()
	r, guard := setupGuarded(t)
	token, other := r.token("alice", "market-app.web", "s1"), r.token("bob", "market-app.web", "s1")
	all := r.issuer.AccountEvent("alice", "crypto", oauth.EventSessionRevoked, "market-app")
	r.want("session-revoked", r.sendSET(r.issuer.SET(all)), http.StatusAccepted, "")
	r.wantGuard(guard, "alice's", token, false)
	r.wantGuard(guard, "bob's", other, true)
}

func TestClosedAccountsReachTheGuard(t *testing.T) {
	t.Parallel()
	for _, eventType := range []string{oauth.EventAccountDisabled, oauth.EventAccountPurged} {
		r, guard := setupGuarded(t)
		token, own := r.token("alice", "market-app.web", "s1"), r.token("alice", "crypto.web", "s1")
		other := r.token("bob", "market-app.web", "s1")
		r.want(eventType, r.sendSET(r.issuer.SET(r.issuer.AccountEvent("alice", "crypto", eventType, "market-app"))), http.StatusAccepted, "")
		r.wantGuard(guard, "alice's", token, false)
		r.wantGuard(guard, "alice's here", own, false)
		r.wantGuard(guard, "bob's", other, true)
		r.issuer.Clock.Advance(time.Second)
		r.want("enabled", r.sendSET(r.issuer.SET(r.issuer.AccountEvent("alice", "crypto", oauth.EventAccountEnabled, "market-app"))), http.StatusAccepted, "")
		r.wantGuard(guard, "alice's, enabled again", token, true)
	}
}

// A guard that has just been started hears again what the inbox has marked.
func TestTheGuardHearsOfAnEventEachTimeItComes(t *testing.T) {
	t.Parallel()
	inbox := &event.MemoryInbox{}
	var guards [2]*rs.Guard
	issuer := issuertest.New()
	t.Cleanup(issuer.Close)
	set := issuer.SET(issuer.SessionRevoked("alice", "crypto", "s1", "market-app"))
	for n := range guards {
		r := setupReceiver(t, func(c *event.Config) {
			c.Issuer, c.Now, c.Inbox = issuer.URL, issuer.Clock.Now, inbox
			var err error
			guards[n], err = rs.New(t.Context(), rs.Config{Issuer: c.Issuer, Audience: cryptoAPI, Now: c.Now, HTTPClient: c.HTTPClient})
			if err != nil {
				t.Fatal(err)
			}
			c.Guard = guards[n]
		})
		r.issuer = issuer
		r.want("pushed", r.sendSET(set), http.StatusAccepted, "")
		r.wantGuard(guards[n], "of the session", r.token("alice", "market-app.web", "s1"), false)
	}
}

// What a subsystem publishes ends nothing, whatever it says.
func TestEventsOfSubsystemsEndNothing(t *testing.T) {
	t.Parallel()
	r, guard := setupGuarded(t)
	token := r.token("alice", "market-app.web", "s1")
	forged := r.issuer.SessionRevoked("alice", "crypto", "s1", "market-app")
	payload := forged["events"].(claims)[oauth.EventSessionRevoked]
	forged["events"] = claims{issuertest.ItemSold: payload}
	r.want("with the members of one that does", r.sendSET(r.issuer.SET(forged)), http.StatusAccepted, "")
	r.wantGuard(guard, "alice's", token, true)
	// Nor need it be of the form of one.
	other := r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{"callers": "none"})
	r.want("with a member of that name", r.sendSET(r.issuer.SET(other)), http.StatusAccepted, "")
	r.wantHandled(2)
}

// The time of the end is the one that the event names (CAEP 1.0 §2).
func TestAnAccountEndsWhenTheEventSays(t *testing.T) {
	t.Parallel()
	r, guard := setupGuarded(t)
	token := r.token("alice", "market-app.web", "s1")
	disabled := r.issuer.AccountEvent("alice", "crypto", oauth.EventAccountDisabled, "market-app")
	disabled["toe"] = r.issuer.Clock.Now().Add(-time.Hour).Unix()
	r.want("disabled", r.sendSET(r.issuer.SET(disabled)), http.StatusAccepted, "")
	r.wantGuard(guard, "from before", token, false)
}

func TestPlatformEventsOfAnotherFormAreRefused(t *testing.T) {
	t.Parallel()
	r, _ := setupGuarded(t)
	set := r.issuer.SETClaims("alice", "crypto", oauth.EventSessionRevoked, claims{"callers": "market-app"})
	r.want("callers that are none", r.sendSET(r.issuer.SET(set)), http.StatusBadRequest, event.InvalidRequest)
}

// platformCredential proves a body of the platform's own.
func (r *receiving) platformCredential(subject, eventType, body string) string {
	c := r.issuer.DeliveryClaims("", "crypto", []byte(body))
	c["events"] = claims{eventType: c["events"].(map[string]any)[issuertest.ItemSold]}
	c["sub"], c["azp"], c["toe"] = subject, event.Platform, r.issuer.Clock.Now().Unix()
	return r.issuer.EventToken(c)
}

func TestPlatformEventsMayComeWithACredential(t *testing.T) {
	t.Parallel()
	r, guard := setupGuarded(t)
	first, second, own := r.token("alice", "market-app.web", "s1"), r.token("alice", "market-app.web", "s2"), r.token("alice", "crypto.web", "s1")
	body := `{"sid":"s1.crypto","callers":[{"subsystem":"market-app","sub":"alice.market-app","sid":"s1.market-app"}]}`
	r.want("session-revoked", r.sendCredential(r.platformCredential("alice.crypto", oauth.EventSessionRevoked, body), body), http.StatusAccepted, "")
	r.wantGuard(guard, "of the session", first, false)
	r.wantGuard(guard, "of the session here", own, false)
	r.wantGuard(guard, "of another session", second, true)
	body = `{"callers":[{"subsystem":"market-app","sub":"alice.market-app"}]}`
	r.want("account-disabled", r.sendCredential(r.platformCredential("alice.crypto", oauth.EventAccountDisabled, body), body), http.StatusAccepted, "")
	r.wantGuard(guard, "of the account", second, false)

	body = `{"sid":1}`
	r.want("a session that is none", r.sendCredential(r.platformCredential("alice.crypto", oauth.EventSessionRevoked, body), body), http.StatusBadRequest, event.InvalidRequest)

	var got event.Event
	r.receiver.Handle(oauth.EventVerification, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		got = *e
		return nil
	})
	body = `{"state":"state-1"}`
	r.want("verification", r.sendCredential(r.platformCredential("stream-1", oauth.EventVerification, body), body), http.StatusAccepted, "")
	if got.Stream != "stream-1" || got.Subject != "" || got.Publisher != event.Platform {
		t.Errorf("got %+v", got)
	}
}

// memoryStore is a mapping's store without a database.
type memoryStore struct{ ids sync.Map }

func (m *memoryStore) Internal(_ context.Context, subjects []string) (map[string]string, error) {
	found := make(map[string]string)
	for _, subject := range subjects {
		if id, ok := m.ids.Load(subject); ok {
			found[subject] = id.(string)
		}
	}
	return found, nil
}

func (m *memoryStore) Subjects(context.Context, []string) (map[string]string, error) { return nil, nil }

func (m *memoryStore) Add(_ context.Context, subject string) (string, error) {
	id, _ := m.ids.LoadOrStore(subject, "member of "+subject)
	return id.(string), nil
}

func TestAMappingFindsUsersAndForgetsClosedAccounts(t *testing.T) {
	t.Parallel()
	store := new(memoryStore)
	var users *rs.Mapping
	r := setupReceiver(t, func(c *event.Config) {
		client, err := rp.Discover(t.Context(), rp.Config{
			Issuer: c.Issuer, ClientID: "crypto.backend", Secret: issuertest.Secret, Now: c.Now, HTTPClient: c.HTTPClient,
		})
		if err != nil {
			t.Fatal(err)
		}
		users = &rs.Mapping{Client: client, Store: store, Now: c.Now}
		c.Mapping = users
	})
	caller := &rs.User{Subject: "alice.pay", Subsystem: "pay"}
	for range 2 {
		if _, err := users.Internal(t.Context(), caller); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(r.issuer.Batches()); got != 1 {
		t.Errorf("asked %d times", got)
	}
	r.want("about a user", r.sendSET(r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}))), http.StatusAccepted, "")
	if got := r.handled(); len(got) != 1 || got[0].User != "member of alice.crypto" {
		t.Errorf("got %+v", got)
	}
	r.want("purged", r.sendSET(r.issuer.SET(r.issuer.AccountEvent("alice", "crypto", oauth.EventAccountPurged, "pay"))), http.StatusAccepted, "")
	if _, err := users.Internal(t.Context(), caller); err != nil {
		t.Fatal(err)
	}
	if got := len(r.issuer.Batches()); got != 2 {
		t.Errorf("asked %d times, want once more", got)
	}
}

var _ rs.Store = (*memoryStore)(nil)

// Handlers of platform events see the session.
func TestAHandlerSeesTheSession(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	var session string
	r.receiver.Handle(oauth.EventSessionRevoked, func(_ context.Context, _ *sql.Tx, e *event.Event) error {
		session = e.Publisher + " " + e.Session
		return nil
	})
	r.want("session-revoked", r.sendSET(r.issuer.SET(r.issuer.SessionRevoked("alice", "crypto", "s1"))), http.StatusAccepted, "")
	if session != "platform s1.crypto" {
		t.Errorf("got %q", session)
	}
}
