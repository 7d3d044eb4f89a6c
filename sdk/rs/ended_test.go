package rs_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// guarded is a guard with tokens to show it.
type guarded struct {
	t      *testing.T
	issuer *issuertest.Issuer
	guard  *rs.Guard
}

func setupGuarded(t *testing.T) *guarded {
	t.Helper()
	issuer, guard := setup(t)
	return &guarded{t, issuer, guard}
}

// token is one of a person, issued now.
func (c *guarded) token(person, client, sid string) string {
	return c.issuer.AccessToken(issuertest.With(c.issuer.UserClaims(person, client, market, ""), map[string]any{"sid": sid}))
}

func (c *guarded) wantIn(name, token string) {
	c.t.Helper()
	if _, err := c.guard.CheckUser(c.t.Context(), token, ""); err != nil {
		c.t.Errorf("%s: %v", name, err)
	}
}

func (c *guarded) wantOut(name, token string) {
	c.t.Helper()
	_, err := c.guard.CheckUser(c.t.Context(), token, "")
	if err == nil {
		c.t.Errorf("%s: let in", name)
		return
	}
	wantRefusal(c.t, err, oauth.InvalidToken, "has ended")
}

func TestTokensOfAnEndedSessionAreRefused(t *testing.T) {
	t.Parallel()
	c := setupGuarded(t)
	first := c.token("alice", "market-app.web", "session-1")
	second := c.token("alice", "market-app.web", "session-2")
	elsewhere := c.token("alice", "pay.backend", "session-1") // the same text, another subsystem's
	c.wantIn("before", first)
	c.guard.EndSession("market-app", "session-1", c.issuer.Clock.Now())
	c.wantOut("of the session", first)
	c.wantOut("of another client of the subsystem", c.token("alice", "market-app.ios", "session-1"))
	for n := range 10 {
		c.guard.EndSession("market-app", fmt.Sprint("further-", n), c.issuer.Clock.Now())
	}
	c.wantIn("of another session", second)
	c.wantIn("of another subsystem", elsewhere)
	service := c.issuer.AccessToken(c.issuer.ServiceClaims("market-app.web", market, ""))
	if _, err := c.guard.CheckService(t.Context(), service, ""); err != nil {
		t.Errorf("in service context: %v", err)
	}
	if answer := call(c.guard.User("", userOK), "Bearer "+first); answer.Code != 401 || answer.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("answered %d %v", answer.Code, answer.Header())
	}
}

func TestTokensOfAnEndedAccountAreRefused(t *testing.T) {
	t.Parallel()
	c := setupGuarded(t)
	before := c.token("alice", "market-app.web", "")
	other := c.token("bob", "market-app.web", "")
	disabled := c.issuer.Clock.Now().Add(time.Second)
	c.guard.EndUser("market-app", "alice.market-app", disabled)
	c.wantOut("from before", before)
	c.wantIn("somebody else's", other)
	c.wantIn("of another subsystem", c.token("alice", "pay.backend", ""))

	c.issuer.Clock.Advance(8 * time.Second) // a replica that learnt of it late
	c.wantOut("from just after", c.token("alice", "market-app.web", ""))
	c.issuer.Clock.Advance(8 * time.Second)
	after := c.token("alice", "market-app.web", "")
	c.wantIn("from long after", after)

	c.guard.RestoreUser("market-app", "alice.market-app", disabled.Add(-time.Minute))
	c.wantOut("after a restoration from before the end", before)
	c.guard.RestoreUser("market-app", "alice.market-app", disabled)
	c.wantOut("after a restoration at the same time", before)
	c.guard.RestoreUser("market-app", "alice.market-app", disabled.Add(time.Second))
	c.wantIn("after the restoration", before)
	c.guard.EndUser("market-app", "alice.market-app", disabled)
	c.wantIn("when the news of the end arrive after those of the restoration", before)
}

func TestAnEndWithoutAGoodTimeIsOneOfNow(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Duration{"none": -1, "in the future": 100 * time.Hour} {
		c := setupGuarded(t)
		when := c.issuer.Clock.Now().Add(at)
		if at < 0 {
			when = time.Time{}
		}
		token := c.token("alice", "market-app.web", "")
		c.guard.EndUser("market-app", "alice.market-app", when)
		c.wantOut(name, token)
		c.issuer.Clock.Advance(time.Minute)
		c.wantIn(name+", later", c.token("alice", "market-app.web", ""))
	}
}

func TestEndsAreKeptForTheLifeOfATokenFromBefore(t *testing.T) {
	t.Parallel()
	c := setupGuarded(t)
	c.issuer.Life = 10 * time.Minute
	token := c.token("alice", "market-app.web", "session-1")
	c.guard.EndSession("market-app", "session-1", c.issuer.Clock.Now())
	for range 20 { // each turns the generations as far as it may
		c.issuer.Clock.Advance(30 * time.Second)
		c.guard.EndSession("market-app", "session-2", c.issuer.Clock.Now())
		c.wantOut("within its life", token)
	}
	// By now it is refused for its age.
	c.issuer.Clock.Advance(20 * time.Second)
	_, err := c.guard.CheckUser(t.Context(), token, "")
	wantRefusal(t, err, oauth.InvalidToken, "expired")
}

// More ends than are kept: what cannot be judged any more is refused.
func TestWhatWasForgottenTooEarlyIsRefused(t *testing.T) {
	t.Parallel()
	c := setupGuarded(t)
	c.guard.Remember(10)
	ended := c.token("alice", "market-app.web", "session-1")
	other := c.token("bob", "market-app.web", "session-3")
	service := c.issuer.AccessToken(c.issuer.ServiceClaims("market-app.web", market, ""))
	c.guard.EndSession("market-app", "session-1", c.issuer.Clock.Now())
	for n := range 9 {
		c.guard.EndSession("market-app", fmt.Sprintf("more-%d", n), c.issuer.Clock.Now())
	}
	c.issuer.Clock.Advance(time.Minute)
	late := c.token("bob", "market-app.web", "session-3")
	c.wantIn("while there is room", other)
	for n := range 15 {
		c.guard.EndSession("market-app", fmt.Sprintf("again-%d", n), c.issuer.Clock.Now())
	}
	c.wantOut("of the session", ended)
	c.wantOut("of a session that cannot be told from it", other)
	c.wantIn("from after all that was forgotten", late)
	if _, err := c.guard.CheckService(t.Context(), service, ""); err != nil {
		t.Errorf("in service context: %v", err)
	}
}

func TestAnEndOverrulesWhatIntrospectionRemembers(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	issuer.Known["token"].SessionID = "session-1"
	issuer.Known["second"] = answer(issuer)
	for _, token := range []string{"token", "second"} {
		if _, err := guard.CheckUser(t.Context(), token, ""); err != nil {
			t.Fatal(err)
		}
	}
	guard.EndSession("market-app", "session-1", issuer.Clock.Now())
	_, err := guard.CheckUser(t.Context(), "token", "")
	wantRefusal(t, err, oauth.InvalidToken, "has ended")
	if _, err := guard.CheckUser(t.Context(), "second", ""); err != nil {
		t.Error(err)
	}
	// Introspection tells this service's own subject, whoever calls.
	guard.EndUser("market", "alice.market", issuer.Clock.Now())
	_, err = guard.CheckUser(t.Context(), "second", "")
	wantRefusal(t, err, oauth.InvalidToken, "has ended")
}

func TestEndsInParallel(t *testing.T) {
	t.Parallel()
	c := setupGuarded(t)
	c.guard.Remember(5)
	token := c.token("alice", "market-app.web", "session-1")
	c.guard.EndSession("market-app", "session-1", c.issuer.Clock.Now())
	var wait sync.WaitGroup
	for n := range 20 {
		wait.Go(func() { c.guard.EndSession("market-app", fmt.Sprint(n), c.issuer.Clock.Now()) })
		wait.Go(func() { c.wantOut("meanwhile", token) })
	}
	wait.Wait()
}

func TestMappingForgets(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	users := &rs.Mapping{Client: marketClient(t, issuer), Store: &memory{ids: make(map[string]string)}, Now: issuer.Clock.Now}
	user := &rs.User{Issuer: issuer.URL, Subject: "alice.pay", Subsystem: "pay"}
	asked := func(want int) {
		t.Helper()
		if got := len(issuer.Batches()); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	for range 2 {
		if _, err := users.Internal(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		asked(1)
	}
	if id, err := users.Known(t.Context(), "alice.market"); err != nil || id == "" {
		t.Errorf("got %q, %v", id, err)
	}
	if id, err := users.Known(t.Context(), "bob.market"); !errors.Is(err, rs.ErrUnknownUser) {
		t.Errorf("got %q, %v", id, err)
	}
	users.Forget("pay", "alice.pay", "alice.market")
	if _, err := users.Internal(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	asked(2)
}

// What the ends cost each call: nothing while there is none.
func BenchmarkCheckBesideEnds(b *testing.B) {
	for _, ends := range []int{0, 1, 50_000} {
		b.Run(fmt.Sprint(ends), func(b *testing.B) {
			issuer := issuertest.New()
			defer issuer.Close()
			guard, err := rs.New(b.Context(), rs.Config{Issuer: issuer.URL, Audience: market, Now: issuer.Clock.Now})
			if err != nil {
				b.Fatal(err)
			}
			for n := range ends {
				guard.EndSession("market-app", fmt.Sprint("ended-", n), issuer.Clock.Now())
			}
			over := guard.Over(issuer.UserClaims("alice", "market-app.web", market, ""))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if over() {
						b.Error("over")
					}
				}
			})
		})
	}
}
