package main

import (
	"cmp"
	"context"
	"time"
)

// What F14 promises.
const (
	takeOverLimit  = 10 * time.Second
	duplicateShare = 0.01
)

// dispatcherDies is F14: two processes deliver; one of them is killed in the
// midst, and the other delivers what it held. Meanwhile events are published to
// whichever answers.
func dispatcherDies(l *lab) error {
	kills, receivers, people := 100, 20, 100
	if l.options.short {
		kills = 10
	}
	if err := l.addReceivers(healthy, receivers); err != nil {
		return err
	}
	if err := l.settle(people); err != nil {
		return err
	}
	for _, s := range l.servers {
		if err := s.start(); err != nil {
			return err
		}
	}
	if err := l.subscribe(); err != nil {
		return err
	}
	p, err := l.newPublisher(10, 2)
	if err != nil {
		return err
	}
	p.both = true
	ctx, stop := context.WithCancel(l.ctx)
	defer stop()
	publishing := make(chan error, 1)
	go func() { publishing <- p.run(ctx) }()

	killed, err := l.killByTurns(p, kills)
	stop()
	if err := cmp.Or(err, <-publishing); err != nil {
		return err
	}
	if err := l.waitFor(l.receivers, p.published(), time.Minute); err != nil {
		l.report.violation("%v", err)
	}
	for _, s := range l.servers {
		if err := s.stop(); err != nil {
			return err
		}
	}
	e, err := l.gather(p)
	if err != nil {
		return err
	}
	f := e.check(&l.report)
	l.judgeKills(&f, killed)
	return nil
}

// killByTurns kills one of the servers, waits until every receiver has heard of
// something that was published since, starts it again and waits until it delivers,
// many times. It gives the moments of the kills.
func (l *lab) killByTurns(p *publisher, kills int) ([]time.Duration, error) {
	var killed []time.Duration
	for range kills {
		for _, s := range l.servers {
			err := l.until("server "+s.name+" delivers", time.Minute, func() (bool, error) { return s.delivers(l.ctx) })
			if err != nil {
				return nil, err
			}
		}
		if err := l.pause(time.Duration(l.chance.Int64N(int64(2 * time.Second)))); err != nil {
			return nil, err
		}
		victim := l.servers[l.chance.IntN(len(l.servers))]
		victim.kill()
		killed = append(killed, l.since())
		published := p.published()
		err := l.until("every receiver hears of what was published since", 3*takeOverLimit, func() (bool, error) {
			for _, r := range l.receivers {
				if _, newest := r.has(); newest <= published {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			l.report.violation("kill %d: %v", len(killed), err)
		}
		if err := victim.start(); err != nil {
			return nil, err
		}
	}
	return killed, nil
}

// judgeKills holds the kills against what was promised.
func (l *lab) judgeKills(f *findings, killed []time.Duration) {
	var silences []time.Duration
	for i, at := range killed {
		var longest time.Duration
		for _, r := range l.receivers {
			longest = max(longest, f.heardAfter(r.name, at)-at)
		}
		if longest > takeOverLimit {
			l.report.violation("kill %d: a receiver heard nothing new for %s", i+1, ms(longest))
		}
		silences = append(silences, longest)
	}
	share := float64(f.duplicates) / float64(max(f.delivered, 1))
	if share > duplicateShare {
		l.report.violation("%.2f %% of the deliveries came twice", 100*share)
	}
	l.report.figure("%d kills, %d events acknowledged, %d deliveries to %d receivers", len(killed), len(f.published), f.delivered, len(l.receivers))
	l.report.figure("missing %d, in dead letters %d", len(f.published)*len(l.receivers)-f.delivered, f.dead)
	l.report.figure("came again: %d (%.3f %%), all with the same jti and content unless a violation says so", f.duplicates, 100*share)
	l.report.figure("from a kill until every receiver hears of something newer: %s", spread(silences))
	l.report.figure("from 202 to arrival, all along: %s", spread(f.latencies(l.receivers)))
}

// heardAfter is when a receiver first got an event that was acknowledged after a
// moment.
func (f *findings) heardAfter(receiver string, moment time.Duration) time.Duration {
	var at time.Duration
	for n, published := range f.published {
		if arrived, ok := f.first[receiver][n]; ok && published > moment && (at == 0 || arrived < at) {
			at = arrived
		}
	}
	if at == 0 {
		return moment // nothing was published any more
	}
	return max(at, moment)
}
