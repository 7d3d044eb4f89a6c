package grant_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/grant"
)

// step is one use of a refresh token of a story: the wait before it, which
// token of the family (0 is the first), and what comes out: token `gives` or
// refusal `want`.
type step struct {
	wait  time.Duration
	use   int
	gives int
	want  error
}

// TestRotation tells the stories of checks T5, T6 and T12. Each ends with what
// must be true of the family, and is told once in one process and once with a
// restart before each step.
func TestRotation(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name  string
		steps []step
		dead  bool
	}{
		{"each token gives the next", []step{{0, 0, 1, nil}, {0, 1, 2, nil}, {day, 2, 3, nil}}, false},

		{"lost answer", []step{{0, 0, 1, nil}, {30 * time.Second, 0, 1, nil}, {0, 1, 2, nil}}, false},
		{"lost answer, too late", []step{{0, 0, 1, nil}, {30*time.Second + time.Millisecond, 0, 0, grant.ErrReused}}, true},
		{"lost twice", []step{{0, 0, 1, nil}, {time.Second, 0, 1, nil}, {time.Second, 0, 1, nil}, {0, 1, 2, nil}}, false},
		{"a third repeat", []step{{0, 0, 1, nil}, {0, 0, 1, nil}, {0, 0, 1, nil}, {0, 0, 0, grant.ErrReused}}, true},
		{
			"repeats are counted for each token",
			[]step{{0, 0, 1, nil}, {0, 0, 1, nil}, {0, 0, 1, nil}, {0, 1, 2, nil}, {0, 1, 2, nil}, {0, 1, 2, nil}, {0, 2, 3, nil}},
			false,
		},
		{"the grace runs from the rotation", []step{{0, 0, 1, nil}, {20 * time.Second, 0, 1, nil}, {20 * time.Second, 0, 0, grant.ErrReused}}, true},

		{"old token after the new one was used", []step{{0, 0, 1, nil}, {time.Hour, 1, 2, nil}, {time.Hour, 0, 0, grant.ErrReused}}, true},
		{"the same within the grace", []step{{0, 0, 1, nil}, {0, 1, 2, nil}, {0, 0, 0, grant.ErrReused}}, true},
		{"two generations back", []step{{0, 0, 1, nil}, {0, 1, 2, nil}, {0, 2, 3, nil}, {0, 0, 0, grant.ErrReused}}, true},
		{"the generation before after a repeat", []step{{0, 0, 1, nil}, {0, 0, 1, nil}, {0, 1, 2, nil}, {0, 0, 0, grant.ErrReused}}, true},

		{"idle almost too long", []step{{14*day - time.Millisecond, 0, 1, nil}, {14*day - time.Millisecond, 1, 2, nil}}, false},
		{"idle too long", []step{{14 * day, 0, 0, grant.ErrExpired}}, true},
		{"idle too long after a use", []step{{13 * day, 0, 1, nil}, {14 * day, 1, 0, grant.ErrExpired}}, true},
		{"used to the last", []step{
			{13 * day, 0, 1, nil},
			{13 * day, 1, 2, nil},
			{13 * day, 2, 3, nil},
			{13 * day, 3, 4, nil},
			{13 * day, 4, 5, nil},
			{13 * day, 5, 6, nil},
			{12*day - time.Millisecond, 6, 7, nil},
		}, false},
		{"rotation does not extend the absolute limit", []step{
			{13 * day, 0, 1, nil},
			{13 * day, 1, 2, nil},
			{13 * day, 2, 3, nil},
			{13 * day, 3, 4, nil},
			{13 * day, 4, 5, nil},
			{13 * day, 5, 6, nil},
			{12 * day, 6, 0, grant.ErrExpired},
		}, true},
	}
	for _, test := range tests {
		for _, restart := range []bool{false, true} {
			name := test.name
			if restart {
				name += " across restarts"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := setup(t)
				s, _ := w.signIn(w.signUp("u@example.com"))
				g, first := w.granted(s)
				family := w.tell([]string{first}, test.steps, restart)
				newest := rotate(family[len(family)-1])
				if !test.dead {
					w.refresh(newest)
					return
				}
				last := test.steps[len(test.steps)-1].want
				if last == grant.ErrExpired {
					w.refreshFails(newest, grant.ErrExpired)
					return
				}
				w.refreshFails(newest, grant.ErrEnded)
				if w.alive(g) {
					t.Error("access tokens of the grant are alive")
				}
				w.wantRecords(audit.RefreshReused, 1)
				w.wantRecords(audit.GrantRevoked, 1)
			})
		}
	}
}

// tell plays the steps and gives the tokens of the family in order.
func (w *world) tell(family []string, steps []step, restart bool) []string {
	w.Helper()
	for i, step := range steps {
		w.clock.Advance(step.wait)
		if restart {
			w.restart()
		}
		if step.want != nil {
			w.refreshFails(rotate(family[step.use]), step.want)
			continue
		}
		if err := w.grants.Sweep(w.ctx); err != nil { // takes nothing that is alive
			w.Fatal(err)
		}
		got := w.refresh(rotate(family[step.use]))
		switch {
		case step.gives == len(family):
			family = append(family, got)
		case got != family[step.gives]:
			w.Fatalf("step %d: not token %d", i, step.gives)
		}
	}
	return family
}

func TestRepeatIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	g, token := w.granted(s)
	w.refresh(rotate(token))
	w.wantRecords(audit.RefreshRepeated, 0)
	w.refresh(rotate(token))
	w.refresh(rotate(token))
	w.wantRecords(audit.RefreshRepeated, 2)
	w.refreshFails(rotate(token), grant.ErrReused)
	reused := w.records(audit.RefreshReused)
	if len(reused) != 1 || reused[0].Grant != g.ID || reused[0].Outcome != audit.Refused {
		t.Errorf("records %+v", reused)
	}
}

// TestTokenOfAnotherClient is check T4: the family ends, since a token in
// foreign hands is a stolen one.
func TestTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	g, token := w.granted(s)
	foreign := rotate(token)
	foreign.ClientID = ios
	w.refreshFails(foreign, grant.ErrWrongClient)
	if w.alive(g) {
		t.Error("access tokens of the grant are alive")
	}
	w.refreshFails(rotate(token), grant.ErrEnded)
	w.refreshFails(foreign, grant.ErrWrongClient)
	w.wantRecords(audit.GrantRevoked, 1)
}

// TestKeptToken: a confidential client's token stays the same and moves its
// idle limit, within the absolute one.
func TestKeptToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	g, token := w.granted(s)
	keep := grant.RefreshRequest{Token: token, ClientID: web}
	for range 6 {
		w.clock.Advance(13 * 24 * time.Hour)
		if got := w.refresh(keep); got != token {
			t.Fatal("the token changed")
		}
	}
	w.clock.Advance(12*24*time.Hour - time.Millisecond)
	last, _, err := w.grants.Refresh(w.ctx, keep)
	if err != nil {
		t.Fatal(err)
	}
	want := w.clock.Now().Add(10 * time.Minute)
	if last.ID != g.ID || last.ExpiresAt.Before(want) || last.ExpiresAt.After(want.Add(time.Hour)) {
		t.Errorf("grant %d until %v; want until its last access token has expired, %v, and at most an hour longer", last.ID, last.ExpiresAt, want)
	}
	w.clock.Advance(time.Millisecond)
	w.refreshFails(keep, grant.ErrExpired)
}

func TestKeptTokenIdleTooLong(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	_, token := w.granted(s)
	w.clock.Advance(14 * 24 * time.Hour)
	w.refreshFails(grant.RefreshRequest{Token: token, ClientID: web}, grant.ErrExpired)
}

// TestClientThatBecameConfidential: using the successor without rotating it
// ends the grace of the token before.
func TestClientThatBecameConfidential(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	_, first := w.granted(s)
	second := w.refresh(rotate(first))
	w.refresh(grant.RefreshRequest{Token: second, ClientID: web})
	w.refreshFails(rotate(first), grant.ErrReused)
	w.refreshFails(rotate(second), grant.ErrEnded)
}

func TestTokensNobodyMade(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	_, token := w.granted(s)
	other := "A"
	if token[7:8] == other {
		other = "B"
	}
	for _, made := range []string{
		"", "sek_rt_", token[:31], "x" + token[1:], strings.ToUpper(token), token[:7] + other + token[8:], strings.Repeat("A", 16<<10),
		"sek_rt_" + strings.Repeat("A", 67),
	} {
		w.refreshFails(rotate(made), grant.ErrUnknown)
	}
	w.refresh(rotate(token))
}

// TestForgedTokenOfAFamily: whoever knows the name of a family has seen one of
// its tokens, so what else they send is an old token or a guess.
func TestForgedTokenOfAFamily(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	_, token := w.granted(s)
	w.refreshFails(rotate(token+"A"), grant.ErrReused)
	w.refreshFails(rotate(token), grant.ErrEnded)
}

// TestParallelRefreshes is check T7.
func TestParallelRefreshes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		uses     int
		survives bool
	}{{3, true}, {100, false}}
	for _, test := range tests {
		w := setup(t)
		s, _ := w.signIn(w.signUp("u@example.com"))
		_, token := w.granted(s)

		var mu sync.Mutex
		var successors []string
		var all sync.WaitGroup
		for range test.uses {
			all.Go(func() {
				_, successor, err := w.grants.Refresh(w.ctx, rotate(token))
				mu.Lock()
				defer mu.Unlock()
				var refusal grant.Refusal
				switch {
				case err == nil:
					successors = append(successors, successor)
				case !errors.As(err, &refusal):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(successors) != 3 || successors[0] != successors[1] || successors[1] != successors[2] {
			t.Errorf("%d uses: %d answers, of them the same: %v", test.uses, len(successors), successors)
		}
		_, _, err := w.grants.Refresh(w.ctx, rotate(successors[0]))
		if survived := err == nil; survived != test.survives {
			t.Errorf("%d uses: the family survived: %v", test.uses, survived)
		}
	}
}

// TestRefreshAgainstRevoke: whichever comes first, nothing of the family works
// once the revocation has been acknowledged (invariant I3).
func TestRefreshAgainstRevoke(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	for range 20 {
		g, token := w.granted(s)
		successors := make(chan string, 1)
		var all sync.WaitGroup
		all.Go(func() {
			_, successor, err := w.grants.Refresh(w.ctx, rotate(token))
			if err != nil && !errors.Is(err, grant.ErrEnded) {
				t.Error(err)
			}
			successors <- successor
		})
		w.revoke(grant.Revocation{Grant: g.ID, Reason: "test"})
		if w.alive(g) {
			t.Error("alive after an acknowledged revocation")
		}
		all.Wait()
		w.refreshFails(rotate(token), grant.ErrEnded)
		if successor := <-successors; successor != "" {
			w.refreshFails(rotate(successor), grant.ErrEnded)
		}
	}
}

func TestRevokeRefreshToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	g, first := w.granted(s)
	second := w.refresh(rotate(first))
	for _, test := range []struct {
		token, client string
		want          error
	}{
		{second, ios, grant.ErrWrongClient},
		{"", web, grant.ErrUnknown},
		{"sek_rt_" + strings.Repeat("A", 67), web, grant.ErrUnknown},
	} {
		if err := w.grants.RevokeRefreshToken(w.ctx, test.token, test.client); !errors.Is(err, test.want) {
			t.Errorf("%q by %s: %v; want %v", test.token, test.client, err, test.want)
		}
	}
	if !w.alive(g) {
		t.Error("ended by somebody else")
	}
	if err := w.grants.RevokeRefreshToken(w.ctx, first, web); err != nil { // an old token names its family too
		t.Fatal(err)
	}
	if w.alive(g) {
		t.Error("alive after the revocation")
	}
	w.refreshFails(rotate(second), grant.ErrEnded)
	if err := w.grants.RevokeRefreshToken(w.ctx, second, web); err != nil {
		t.Errorf("again: %v", err)
	}
	w.wantRecords(audit.GrantRevoked, 1)
}
