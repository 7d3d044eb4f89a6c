package load

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Load is who uses the servers of a run. Fill in the fields, then Run.
type Load struct {
	Issuer   string
	Replicas []*Replica
	Journal  *Journal
	Walkers  int // people, each with a browser
	Backends int // as in Group
	Rate     int // steps a second, of all walkers
	SignIns  int // of 1,000 steps; a password costs much
	Seed     uint64
	// Away tells a walker to forget its tokens now and then, so that people come and
	// go.
	Away bool

	// Verifiers are how many resource servers verify each token, each with the keys
	// as it has them; one if it is zero.
	Verifiers int

	balancer balancer
	keys     []*keySet
	verified atomic.Int64
	rate     atomic.Int64
	walkers  []*walker
	turns    chan struct{}
	held     sync.RWMutex
	fresh    time.Time // access tokens from before are not used any more
}

// Start makes the walkers; the servers need not run yet.
func (l *Load) Start() {
	l.balancer.replicas = l.Replicas
	l.rate.Store(int64(l.Rate))
	for range max(l.Verifiers, 1) {
		l.keys = append(l.keys, &keySet{load: l})
	}
	l.turns = make(chan struct{}, 1)
	for i := range l.Walkers {
		l.walkers = append(l.walkers, &walker{
			load: l, person: i, browser: l.newBrowser(i),
			chance: rand.New(rand.NewPCG(l.Seed, uint64(i))), //nolint:gosec // to be repeated by its seed
		})
	}
}

// Run has the walkers walk until ctx ends, and lets each finish its step.
func (l *Load) Run(ctx context.Context) {
	var walking sync.WaitGroup
	for _, w := range l.walkers {
		walking.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-l.turns:
					l.held.RLock()
					w.step(context.WithoutCancel(ctx), ctx.Done())
					l.held.RUnlock()
				}
			}
		})
	}
	l.giveTurns(ctx)
	walking.Wait()
}

// Hold does something while no request is under way, after which access tokens
// that were issued before are not used any more.
func (l *Load) Hold(do func() error) error {
	l.held.Lock()
	defer l.held.Unlock()
	err := do()
	l.fresh = time.Now()
	return err
}

// SetRate has so many steps begun a second from now on.
func (l *Load) SetRate(rate int) { l.rate.Store(int64(rate)) }

// Verified is how many times a token was verified.
func (l *Load) Verified() int64 { return l.verified.Load() }

// giveTurns gives them at the rate. Turns that nobody takes, since all wait for
// answers, do not pile up.
func (l *Load) giveTurns(ctx context.Context) {
	const round = 10 * time.Millisecond
	ticker := time.NewTicker(round)
	defer ticker.Stop()
	began, given, rate := time.Now(), 0, l.rate.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := l.rate.Load(); now != rate {
			began, given, rate = time.Now(), 0, now
		}
		due := int(time.Since(began).Seconds() * float64(rate))
		for ; given < due; given++ {
			select {
			case l.turns <- struct{}{}:
			case <-ctx.Done():
				return
			case <-time.After(round):
				began, given, due = time.Now(), 0, 0
			}
		}
	}
}

// Finish asks of every family that should be alive whether it is: the newest
// token that was acknowledged works.
func (l *Load) Finish(ctx context.Context) {
	turns := make(chan *walker)
	var working sync.WaitGroup
	for range 16 {
		working.Go(func() {
			for w := range turns {
				for _, f := range slices.Clone(w.families) { // what is refused is forgotten
					w.refresh(ctx, f, nil)
				}
			}
		})
	}
	for _, w := range l.walkers {
		turns <- w
	}
	close(turns)
	working.Wait()
}
