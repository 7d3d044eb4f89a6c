package web

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates are token buckets in memory, one for each name. Names must be of a kind
// of which there are few, such as declared clients. The zero value is ready.
type Rates struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// Take takes one request out of the bucket of a name, and reports whether it was
// there. A bucket begins anew when its rate or burst is another than before.
func (r *Rates) Take(now time.Time, name string, perSecond, burst int) bool {
	r.mu.Lock()
	if r.buckets == nil {
		r.buckets = make(map[string]*rate.Limiter)
	}
	bucket, ok := r.buckets[name]
	if !ok || bucket.Limit() != rate.Limit(perSecond) || bucket.Burst() != burst {
		bucket = rate.NewLimiter(rate.Limit(perSecond), burst)
		r.buckets[name] = bucket
	}
	r.mu.Unlock()
	return bucket.AllowN(now, 1)
}
