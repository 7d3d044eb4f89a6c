package registration

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Requests that one source may make. Each looks for its token in the database.
const (
	requestsPerSecond = 1
	requestBurst      = 30
	maxSources        = 10_000
)

// sources are token buckets in memory, one for each network.
type sources struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]*rate.Limiter
}

// tooMany is the refusal of a request over the limit.
type tooMany struct{ retryAfter time.Duration }

func (tooMany) Error() string { return "too many requests" }

// take takes one request out of the bucket of its source.
func (s *sources) take(now time.Time, source netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := network(source)
	bucket, ok := s.buckets[key]
	if !ok {
		if len(s.buckets) >= maxSources {
			s.drop(now)
		}
		if s.buckets == nil {
			s.buckets = make(map[netip.Prefix]*rate.Limiter)
		}
		bucket = rate.NewLimiter(requestsPerSecond, requestBurst)
		s.buckets[key] = bucket
	}
	if !bucket.AllowN(now, 1) {
		return tooMany{retryAfter: time.Second / requestsPerSecond}
	}
	return nil
}

// drop makes room: buckets that are full again go first, and if none is, all go.
// Tokens of 256 bits are not guessed faster by that.
func (s *sources) drop(now time.Time) {
	for key, bucket := range s.buckets {
		if bucket.TokensAt(now) >= requestBurst {
			delete(s.buckets, key)
		}
	}
	if len(s.buckets) >= maxSources {
		clear(s.buckets)
	}
}

// network is what counts as one source: an IPv4 /24, an IPv6 /64.
func network(source netip.Addr) netip.Prefix {
	bits := 24
	if source.Is6() {
		bits = 64
	}
	prefix, err := source.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address is known: all such are one source
	}
	return prefix
}
