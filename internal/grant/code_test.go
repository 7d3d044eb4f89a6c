package grant_test

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
)

func TestRedeemGivesTheGrant(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	w.clock.Advance(5 * time.Minute)
	a := ask(s, offline)
	a.ExactAuthTime = true
	a.Claims = `{"userinfo":{"name":{"essential":true}}}`
	code := w.authorize(a)
	if !strings.HasPrefix(code, "sek_ac_") || len(code) != 7+43 {
		t.Errorf("code %q", code)
	}
	w.clock.Advance(10 * time.Second)
	g, token := w.redeem(right(code))
	want := &grant.Grant{
		ID:            g.ID,
		AccountID:     u.ID,
		Ref:           u.Ref,
		ClientID:      web,
		SessionID:     &s.ID,
		Offline:       true,
		Scopes:        a.Scopes,
		AuthTime:      s.AuthTime,
		ExactAuthTime: true,
		ACR:           "aal1",
		AMR:           []string{"pwd"},
		Nonce:         a.Nonce,
		Claims:        a.Claims,
		CreatedAt:     w.clock.Now().Add(-10 * time.Second),
		ExpiresAt:     w.clock.Now().Add(14 * 24 * time.Hour),
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got %+v\nwant %+v", g, want)
	}
	if !strings.HasPrefix(token, "sek_rt_") || len(token) != 7+24+43 {
		t.Errorf("refresh token %q", token)
	}
	w.wantRecords(audit.CodeIssued, 1)
	issued := w.records(audit.TokenIssued)
	if len(issued) != 1 || issued[0].Grant != g.ID || issued[0].Account != u.ID || issued[0].Client != web {
		t.Errorf("records %+v", issued)
	}
}

func TestRedeemWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	r := right(w.authorize(ask(s)))
	r.Refresh = false
	g, token := w.redeem(r)
	if token != "" || !g.ExpiresAt.Equal(w.clock.Now().Add(10*time.Minute)) {
		t.Errorf("token %q, grant until %v", token, g.ExpiresAt)
	}
}

// TestWrongAttemptsDoNotSpendTheCode: each is refused, and the right one
// succeeds after it (checks C2, C3, C4, C5).
func TestWrongAttemptsDoNotSpendTheCode(t *testing.T) {
	t.Parallel()
	withoutPKCE := func(a *grant.Authorization) { a.Challenge = "" }
	challenged := func(v string) func(*grant.Authorization) {
		return func(a *grant.Authorization) { a.Challenge = s256(v) }
	}
	long, odd := strings.Repeat("a", 129), strings.Repeat("a", 43)+"+"
	tests := []struct {
		name  string
		ask   func(*grant.Authorization)
		wrong func(*grant.Redemption)
		right func(*grant.Redemption)
		want  error
	}{
		{"another client", nil, func(r *grant.Redemption) { r.ClientID = ios }, nil, grant.ErrWrongClient},
		{"no client", nil, func(r *grant.Redemption) { r.ClientID = "" }, nil, grant.ErrWrongClient},
		{"another redirect URI", nil, func(r *grant.Redemption) { r.RedirectURI += "/" }, nil, grant.ErrRedirectURI},
		{"no redirect URI", nil, func(r *grant.Redemption) { r.RedirectURI = "" }, nil, grant.ErrRedirectURI},
		{"no verifier", nil, func(r *grant.Redemption) { r.Verifier = "" }, nil, grant.ErrVerifier},
		{"wrong verifier", nil, func(r *grant.Redemption) { r.Verifier = strings.Repeat("a", 43) }, nil, grant.ErrVerifier},
		{"the challenge itself", nil, func(r *grant.Redemption) { r.Verifier = challenge }, nil, grant.ErrVerifier},
		{"verifier in another case", nil, func(r *grant.Redemption) { r.Verifier = strings.ToUpper(verifier) }, nil, grant.ErrVerifier},
		{
			"verifier without a challenge", withoutPKCE, nil,
			func(r *grant.Redemption) { r.Verifier = "" }, grant.ErrVerifier,
		},
		{"verifier too short", challenged(verifier[:42]), func(r *grant.Redemption) { r.Verifier = verifier[:42] }, nil, grant.ErrVerifier},
		{"verifier too long", challenged(long), func(r *grant.Redemption) { r.Verifier = long }, nil, grant.ErrVerifier},
		{"verifier of other characters", challenged(odd), func(r *grant.Redemption) { r.Verifier = odd }, nil, grant.ErrVerifier},
		{
			"longest verifier", challenged(long[:128]), func(r *grant.Redemption) { r.Verifier = long[:127] },
			func(r *grant.Redemption) { r.Verifier = long[:128] }, grant.ErrVerifier,
		},
		{
			"every character a verifier may have", challenged("azAZ09-._~" + long[:33]), nil,
			func(r *grant.Redemption) { r.Verifier = "azAZ09-._~" + long[:33] }, grant.ErrVerifier,
		},
		{"edited code", nil, func(r *grant.Redemption) { r.Code = r.Code[:len(r.Code)-1] }, nil, grant.ErrUnknown},
		{"a refresh token's prefix", nil, func(r *grant.Redemption) { r.Code = "sek_rt_" + r.Code[7:] }, nil, grant.ErrUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			s, _ := w.signIn(w.signUp("u@example.com"))
			a := ask(s)
			if test.ask != nil {
				test.ask(&a)
			}
			code := w.authorize(a)
			wrong := right(code)
			if test.wrong != nil {
				test.wrong(&wrong)
			}
			w.redeemFails(wrong, test.want)
			if test.want != grant.ErrUnknown {
				w.wantRecords(audit.TokenRefused, 1)
			}
			if test.ask != nil && test.right == nil {
				return // no attempt can be right
			}
			good := right(code)
			if test.right != nil {
				test.right(&good)
			}
			w.redeem(good)

			// A wrong attempt does not count as a second use either.
			w.redeemFails(wrong, test.want)
			w.wantRecords(audit.GrantRevoked, 0)
		})
	}
}

func TestRefusedByTheCaller(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	r := right(w.authorize(ask(s)))
	severalResources := errors.New("name one resource")
	r.Check = func(g *grant.Grant) error {
		if g.AccountID != u.ID || g.Ref != u.Ref {
			t.Errorf("checked %+v", g)
		}
		return severalResources
	}
	w.redeemFails(r, severalResources)
	r.Check = func(*grant.Grant) error { return nil }
	_, token := w.redeem(r)

	narrower := rotate(token)
	narrower.Check = func(*grant.Grant) error { return severalResources }
	w.refreshFails(narrower, severalResources)
	w.refreshFails(narrower, severalResources)
	next := w.refresh(rotate(token)) // unspent, and no repeat was counted
	w.refresh(rotate(token))
	w.refresh(rotate(token))
	w.refresh(rotate(next))
}

// TestCodeLivesForAMinute is check C8.
func TestCodeLivesForAMinute(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		w := setup(t)
		s, _ := w.signIn(w.signUp("u@example.com"))
		first, second := w.authorize(ask(s)), w.authorize(ask(s))
		w.clock.Advance(time.Minute - time.Millisecond)
		if restart {
			w.restart()
		}
		w.redeem(right(first))
		w.clock.Advance(time.Millisecond)
		w.redeemFails(right(second), grant.ErrExpired)
	}
}

// TestSecondUse is check C6, also after a restart, and long after the access
// token has expired while the refresh token still lives.
func TestSecondUse(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"at once": 0, "30 s later": 30 * time.Second, "days later": 72 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			s, _ := w.signIn(w.signUp("u@example.com"))
			bystander, _ := w.granted(s)
			code := w.authorize(ask(s))
			g, token := w.redeem(right(code))
			w.clock.Advance(wait)
			if err := w.grants.Sweep(w.ctx); err != nil {
				t.Fatal(err)
			}
			w.redeemFails(right(code), grant.ErrSpent)
			if w.alive(g) || !w.alive(bystander) {
				t.Errorf("alive: %v; another grant of the session: %v", w.alive(g), w.alive(bystander))
			}
			w.restart()
			if w.alive(g) {
				t.Error("alive again after a restart")
			}
			w.refreshFails(rotate(token), grant.ErrEnded)
			w.redeemFails(right(code), grant.ErrSpent)
			w.wantRecords(audit.GrantRevoked, 1)
			w.wantRecords(audit.CodeReused, 2)
		})
	}
}

// TestParallelRedemptions is check C7.
func TestParallelRedemptions(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s, _ := w.signIn(w.signUp("u@example.com"))
	code := w.authorize(ask(s))
	var successes, spent atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch _, _, err := w.grants.Redeem(w.ctx, right(code)); {
			case err == nil:
				successes.Add(1)
			case errors.Is(err, grant.ErrSpent):
				spent.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if successes.Load() != 1 || spent.Load() != 49 {
		t.Errorf("%d successes and %d times spent; want 1 and 49", successes.Load(), spent.Load())
	}
	if n := w.count("SELECT COUNT(*) FROM refresh_family"); n != 1 {
		t.Errorf("%d families", n)
	}
	w.wantRecords(audit.TokenIssued, 1)
}

// TestAccountGoneBetweenCodeAndRedemption is check C11, and T13 for refresh.
func TestAccountGoneBetweenCodeAndRedemption(t *testing.T) {
	t.Parallel()
	for name, leave := range gone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			u := w.signUp("u@example.com")
			s, _ := w.signIn(u)
			_, token := w.granted(s)
			code := w.authorize(ask(s))
			leave(w, u)
			w.redeemFails(right(code), grant.ErrAccount)
			w.refreshFails(rotate(token), grant.ErrAccount)
			w.wantRecords(audit.TokenRefused, 2)
		})
	}
}

func TestConsentWithdrawnBetweenCodeAndRedemption(t *testing.T) {
	t.Parallel()
	w := setup(t)
	u := w.signUp("u@example.com")
	s, _ := w.signIn(u)
	_, token := w.granted(s)
	code := w.authorize(ask(s))
	w.update(func(tx *db.Tx) error { return w.grants.Withdraw(w.ctx, tx, u.ID, web) })
	w.redeemFails(right(code), grant.ErrEnded)
	w.refreshFails(rotate(token), grant.ErrEnded)
}
