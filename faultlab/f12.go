package main

import (
	"errors"
	"fmt"
	"time"
)

// What F12 promises: clocks that are that much off do no harm, and whose clock is
// further off says that it is not ready.
const (
	harmlessSkew = 30 * time.Second
	drained      = 2 * time.Second // since a replica was taken out: it answers nothing any more
	noticeSkew   = time.Minute     // until a process whose clock is far off is not ready
)

// clocksDiffer is F12: three replicas with clocks of their own.
func clocksDiffer(l *lab) error {
	long := 12 * time.Minute
	if l.options.short {
		long = 20 * time.Second
	}
	l.openPostgres()
	for _, s := range l.servers {
		own, err := newClock(l.dir, "clock-"+s.name)
		if err != nil {
			return err
		}
		s.clock = own
	}
	l.servers[1].clock.jump(harmlessSkew)
	l.servers[2].clock.jump(-harmlessSkew)
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(long); err != nil {
		return err
	}
	// The balancer takes out what is not ready, so the load never meets these.
	var noticed []time.Duration
	for i, off := range []time.Duration{5 * time.Minute, -5 * time.Minute, -time.Hour} {
		at := 1 + i%2
		f.Replicas[at].Out(true)
		if err := l.pause(drained); err != nil {
			return err
		}
		took, err := l.farOff(l.servers[at], off)
		if err != nil {
			return err
		}
		noticed = append(noticed, took)
		f.Replicas[at].Out(false)
	}
	err := l.pause(long / 10)
	if err := errors.Join(err, f.finish()); err != nil {
		return err
	}
	l.report.figure("clocks %s ahead and %s behind beside one that is right, for %s: no token refused unless a violation says so", harmlessSkew, harmlessSkew, long)
	l.report.figure("5 min ahead, 5 min behind, 1 h behind: not ready after %s", spread(noticed))
	return nil
}

// farOff sets the clock of a server that is out of the balancer, waits until it
// says that it is not ready, and sets it right again.
func (l *lab) farOff(s *server, by time.Duration) (time.Duration, error) {
	began := l.since()
	s.clock.jump(by)
	err := l.until("not ready", noticeSkew, func() (bool, error) {
		ready, err := s.ready(l.ctx)
		return !ready, err
	})
	took := l.since() - began
	if err != nil {
		l.report.violation("server %s, whose clock is %s off: %v", s.name, by, err)
	}
	s.clock.jump(-by)
	if err := l.until("ready again", noticeSkew, func() (bool, error) { return s.ready(l.ctx) }); err != nil {
		return 0, fmt.Errorf("server %s, whose clock is right again: %w", s.name, err)
	}
	return took, nil
}
