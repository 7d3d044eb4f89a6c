package load

import (
	"context"
	"sync"
)

// RaceCodes has so many codes, and sends each of them several times at once. It
// gives how many of them were taken.
func (l *Load) RaceCodes(ctx context.Context, codes, times int) (taken int) {
	var mu sync.Mutex
	l.race(codes, func(w *walker) {
		c, err := w.browser.authorize(ctx, "shop.ios", appReturn, false)
		if err != nil {
			return
		}
		n := w.atOnce(times, func() Outcome {
			f := &family{id: digest(c.value), client: c.client}
			return w.redeem(ctx, f, c)
		})
		mu.Lock()
		defer mu.Unlock()
		taken += n
	})
	return taken
}

// RaceTokens has so many refresh tokens, each of a session with two clients, and
// sends each of them several times at once. Then the newest of both must work. It
// gives how many families survived.
func (l *Load) RaceTokens(ctx context.Context, tokens, times int) (alive int) {
	var mu sync.Mutex
	l.race(tokens, func(w *walker) {
		app := w.sign(ctx, "shop.ios", appReturn, false)
		web := w.sign(ctx, "shop.web", webReturn, true)
		if app == nil || web == nil {
			return
		}
		var successors sync.Map
		w.atOnce(times, func() Outcome {
			one, other := *app, *web
			outcome := w.once(ctx, &one)
			if outcome == OK {
				successors.Store(one.refresh, one)
			}
			w.once(ctx, &other)
			return outcome
		})
		successors.Range(func(_, last any) bool {
			*app = last.(family)
			return false
		})
		if w.once(ctx, app) == OK && w.once(ctx, web) == OK {
			mu.Lock()
			defer mu.Unlock()
			alive++
		}
	})
	return alive
}

// race does something so many times, by as many walkers as there are.
func (l *Load) race(times int, do func(*walker)) {
	turns := make(chan struct{})
	var racing sync.WaitGroup
	for _, w := range l.walkers {
		racing.Go(func() {
			for range turns {
				do(w)
			}
		})
	}
	for range times {
		turns <- struct{}{}
	}
	close(turns)
	racing.Wait()
}

// atOnce does something several times at once, and gives how often it went well.
func (w *walker) atOnce(times int, do func() Outcome) (well int) {
	var mu sync.Mutex
	var group sync.WaitGroup
	begin := make(chan struct{})
	for range times {
		group.Go(func() {
			<-begin
			outcome := do()
			mu.Lock()
			defer mu.Unlock()
			if outcome == OK {
				well++
			}
		})
	}
	close(begin)
	group.Wait()
	return well
}
