package token

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Failures of client authentication that one source may make for one client:
// ten a minute. A source that spends them is refused for that client alone, so
// that nobody can lock another's client out.
const (
	failuresPerMinute = 10
	maxFailureBuckets = 10_000
)

// limits are the token buckets of the door. They are kept in memory; the
// number of clients bounds the first two, maxFailureBuckets the third.
type limits struct {
	now func() time.Time

	tokens        web.Rates // by client id
	introspection web.Rates

	mu       sync.Mutex
	failures map[failure]*rate.Limiter
}

// failure names the bucket of failed authentications.
type failure struct {
	client string
	source netip.Prefix
}

// tooMany is the refusal of a request over a limit.
type tooMany struct{ retryAfter time.Duration }

func (tooMany) Error() string { return "too many requests" }

// takeToken takes one request to the token endpoint out of the client's rate.
func (l *limits) takeToken(client *registry.Client) error {
	return l.take(&l.tokens, client)
}

// takeIntrospection takes one introspection out of the resource server's rate.
func (l *limits) takeIntrospection(client *registry.Client) error {
	return l.take(&l.introspection, client)
}

func (l *limits) take(rates *web.Rates, client *registry.Client) error {
	if !rates.Take(l.now(), client.ID, client.Rate, client.Burst) {
		return tooMany{retryAfter: time.Second}
	}
	return nil
}

// mayAuthenticate reports whether the source has failures left for the client,
// before any of its credentials are looked at.
func (l *limits) mayAuthenticate(clientID string, source netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.failures[failure{clientID, network(source)}]
	if ok && bucket.TokensAt(l.now()) < 1 {
		return tooMany{retryAfter: time.Minute / failuresPerMinute}
	}
	return nil
}

// failed counts a failure of authentication. A name that no client has counts
// under the empty one, so that made-up names fill no memory.
func (l *limits) failed(clientID string, source netip.Addr) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures == nil {
		l.failures = make(map[failure]*rate.Limiter)
	}
	key := failure{clientID, network(source)}
	bucket, ok := l.failures[key]
	if !ok {
		if len(l.failures) >= maxFailureBuckets {
			l.dropFailures(now)
		}
		bucket = rate.NewLimiter(rate.Every(time.Minute/failuresPerMinute), failuresPerMinute)
		l.failures[key] = bucket
	}
	bucket.AllowN(now, 1)
}

// dropFailures makes room: buckets that have filled up again go first, and if
// none has, all go. An attacker with that many networks gains ten more tries
// at a secret of 256 bits.
func (l *limits) dropFailures(now time.Time) {
	for key, bucket := range l.failures {
		if bucket.TokensAt(now) >= failuresPerMinute {
			delete(l.failures, key)
		}
	}
	if len(l.failures) >= maxFailureBuckets {
		clear(l.failures)
	}
}

// network is what counts as one source: an IPv4 address, an IPv6 /64.
func network(source netip.Addr) netip.Prefix {
	bits := source.BitLen()
	if source.Is6() {
		bits = 64
	}
	prefix, err := source.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address is known: all such are one source
	}
	return prefix
}
