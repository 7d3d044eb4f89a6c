package main

import (
	"errors"
	"time"
)

// What F5 promises.
const (
	backPromise   = 10 * time.Second // until the usual throughput, after PostgreSQL accepts connections
	growthAllowed = 40               // goroutines of a process, over the whole run
)

// theDatabaseRestarts is F5: PostgreSQL is stopped at once, or killed, and started
// again.
func theDatabaseRestarts(l *lab) error {
	// People who have just come do more than those who stay, so what is usual is seen later.
	settles, usually := 10*time.Second, 30*time.Second
	times, between := 50, 8*time.Second
	if l.options.short {
		settles, usually = 3*time.Second, 3*time.Second
		times, between = 6, 4*time.Second
	}
	primary, t := l.openPostgres()
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(settles); err != nil {
		return err
	}
	if err := l.pause(usually); err != nil {
		return err
	}
	usual := perSecond(f.Journal.Records(), l.since()-usually, l.since())
	before, err := l.goroutines()
	if err != nil {
		return err
	}
	var backs []time.Duration
	for i := range times {
		count := f.Journal.Len()
		down := l.since()
		if i%2 == 0 {
			primary.Stop(t)
		} else {
			primary.Kill(t)
		}
		if err := l.around(time.Second); err != nil {
			return err
		}
		primary.Resume(t)
		accepts := l.since()
		if err := l.around(between); err != nil {
			return err
		}
		f.blindFrom(down, accepts)
		back, ok := backAt(f.Journal.Since(count), accepts, usual)
		for !ok && l.since()-accepts < backPromise { // the promise is not over yet
			if err := l.pause(time.Second); err != nil {
				return err
			}
			back, ok = backAt(f.Journal.Since(count), accepts, usual)
		}
		if !ok {
			l.report.violation("restart %d: %s after PostgreSQL accepted connections the throughput was not the usual one", i+1, ms(l.since()-accepts))
			continue
		}
		backs = append(backs, back-accepts)
	}
	after, err := l.goroutines()
	if err := errors.Join(err, f.finish()); err != nil {
		return err
	}
	if most := quantile(backs, 1); most > backPromise {
		l.report.violation("the throughput was back only after %s", ms(most))
	}
	if after > before+growthAllowed {
		l.report.violation("goroutines grew from %d to %d", before, after)
	}
	l.report.figure("%d restarts; usual throughput %.0f/s; from accepted connections until 95 %% of it: %s", times, usual, spread(backs))
	l.report.figure("goroutines of a process before and after: %d, %d", before, after)
	return nil
}

// goroutines is the most that a server has.
func (l *lab) goroutines() (most int, err error) {
	for _, s := range l.servers {
		n, err := s.gauge(l.ctx, "go_goroutines")
		if err != nil {
			return 0, err
		}
		most = max(most, int(n))
	}
	return most, nil
}
