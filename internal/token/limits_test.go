package token_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

func TestRatePerClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var limited answer
	for range 100 { // batch.nightly has a rate of 5
		if limited = b.post(token.PathToken, basic("batch.nightly"), clientCredentials("scope", "payout")...); limited.status != 200 {
			break
		}
	}
	b.wantRefusal(limited, http.StatusTooManyRequests, oauth.TemporarilyUnavailable, "Too many")
	if limited.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.tokens(basic("pay.backend"), clientCredentials()...) // nobody else is slowed down
	b.clock.Advance(time.Second)
	b.tokens(basic("batch.nightly"), clientCredentials("scope", "payout")...)
}

func TestRateOfIntrospection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var limited answer
	for range 100 { // batch.nightly has a rate of 5
		if limited = b.post(token.PathIntrospection, basic("batch.nightly"), "token", "x"); limited.status != 200 {
			break
		}
	}
	b.wantRefusal(limited, http.StatusTooManyRequests, oauth.TemporarilyUnavailable, "Too many")
	b.introspect(basic("market.spare"), "x") // nobody else is slowed down
}

// from makes a request come from an address.
func from(source string, who as) as {
	return both(who, func(r *http.Request, _ url.Values) { r.RemoteAddr = source })
}

func TestFailuresOfOneSourceLockNobodyElseOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wrong := func(r *http.Request, _ url.Values) { r.SetBasicAuth("pay.backend", "wrong") }
	const attacker, neighbour = "198.51.100.7:4711", "198.51.100.8:4711"
	for range 10 {
		b.wantRefusal(b.post(token.PathToken, from(attacker, wrong), clientCredentials()...), 401, oauth.InvalidClient, "failed")
	}
	b.wantRefusal(b.post(token.PathToken, from(attacker, wrong), clientCredentials()...), 429, oauth.TemporarilyUnavailable, "Too many")
	b.tokens(from(neighbour, basic("pay.backend")), clientCredentials()...)
	b.tokens(from(attacker, basic("shop.backend")), clientCredentials("scope", "subjects:convert")...)
	b.clock.Advance(7 * time.Second)
	b.tokens(from(attacker, basic("pay.backend")), clientCredentials()...)

	for i := range 10 { // made-up names share one bucket
		b.post(token.PathToken, from(neighbour, basic(fmt.Sprintf("nobody.%d", i))), clientCredentials()...)
	}
	b.wantRefusal(b.post(token.PathToken, from(neighbour, basic("nobody.else")), clientCredentials()...), 429, oauth.TemporarilyUnavailable, "")
	b.tokens(from(neighbour, basic("pay.backend")), clientCredentials()...)
}

func TestOneIPv6NetworkIsOneSource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 10 {
		b.post(token.PathToken, from(fmt.Sprintf("[2001:db8:0:1::%x]:4711", i), basic("nobody")), clientCredentials()...)
	}
	b.wantRefusal(b.post(token.PathToken, from("[2001:db8:0:1::ffff]:4711", basic("nobody")), clientCredentials()...), 429, oauth.TemporarilyUnavailable, "")
	b.wantRefusal(b.post(token.PathToken, from("[2001:db8:0:2::1]:4711", basic("nobody")), clientCredentials()...), 401, oauth.InvalidClient, "")
}

func TestFailuresTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	sources := make([]netip.Addr, 2*token.MaxFailureBuckets)
	for i := range sources {
		var address [4]byte
		binary.BigEndian.PutUint32(address[:], uint32(i))
		sources[i] = netip.AddrFrom4(address)
	}
	now := time.Unix(1_800_000_000, 0)
	if got := token.FailureBuckets(func() time.Time { return now }, sources); got > token.MaxFailureBuckets {
		t.Errorf("%d buckets at one moment", got)
	}
	passing := func() time.Time { now = now.Add(time.Millisecond); return now }
	if got := token.FailureBuckets(passing, sources); got > token.MaxFailureBuckets || got < token.MaxFailureBuckets/2 {
		t.Errorf("%d buckets as time passes", got)
	}
}

func TestOneCodeManyHands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	won := 0
	for _, a := range b.atOnce(20, public("market-app.web"), redemption(code, webRedirect)...) {
		if a.status == http.StatusOK {
			won++
			continue
		}
		b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidGrant, "")
	}
	if won != 1 {
		t.Errorf("C7: %d redemptions went well", won)
	}
}

func TestOneRefreshTokenManyTabs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.appTokens(marketScopes)
	successors := map[string]bool{}
	for _, a := range b.atOnce(3, public("market-app.web"), refreshWith(first.RefreshToken)...) {
		if a.status != http.StatusOK {
			t.Fatalf("T7: %d %s", a.status, a.body)
		}
		successors[into[oauth.TokenResponse](t, a).RefreshToken] = true
	}
	if len(successors) != 1 {
		t.Errorf("T7: %d different successors", len(successors))
	}
	for successor := range successors {
		b.tokens(public("market-app.web"), refreshWith(successor)...) // the family lives
	}
}

// atOnce sends one request n times at the same time.
func (b *bundle) atOnce(n int, who as, pairs ...string) []answer {
	b.t.Helper()
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = b.post(token.PathToken, who, pairs...) })
	}
	all.Wait()
	return answers
}
