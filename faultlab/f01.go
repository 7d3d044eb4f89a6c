package main

import "time"

// What F1 and F3 promise.
const (
	startPromise = 2 * time.Second // from the start of a process until it is ready
	errorPromise = time.Second     // after a kill, at the balancer
)

// replicasDie is F1: one of three replicas on PostgreSQL is killed under load, by
// chance, and started again, many times.
func replicasDie(l *lab) error {
	kills, between := 200, 4*time.Second
	if l.options.short {
		kills, between = 15, 2*time.Second
	}
	l.openPostgres()
	return l.killServers(kills, between)
}

// theServerDies is F3: the one process on SQLite.
func theServerDies(l *lab) error {
	kills, between := 500, 2200*time.Millisecond
	if l.options.short {
		kills, between = 20, 2*time.Second
	}
	if err := l.killServers(kills, between); err != nil {
		return err
	}
	return l.checkIntegrity()
}

func (l *lab) killServers(kills int, between time.Duration) error {
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(2 * time.Second); err != nil {
		return err
	}
	var starts, windows []time.Duration
	for range kills {
		if err := l.around(between / 2); err != nil {
			return err
		}
		victim := l.servers[l.chance.IntN(len(l.servers))]
		before := f.Journal.Len()
		killed := l.since()
		victim.kill()
		started := l.since()
		if err := victim.start(); err != nil {
			return err
		}
		if err := l.until("ready", startLimit, func() (bool, error) { return victim.ready(l.ctx) }); err != nil {
			return err
		}
		starts = append(starts, l.since()-started)
		if err := l.around(between / 2); err != nil {
			return err
		}
		last, _ := unanswered(f.Journal.Since(before), killed, l.since())
		windows = append(windows, last-killed)
	}
	if err := f.finish(); err != nil {
		return err
	}
	l.judgeStarts(kills, starts, windows)
	return nil
}

func (l *lab) judgeStarts(kills int, starts, windows []time.Duration) {
	if most := quantile(starts, 1); most > startPromise {
		l.report.violation("a process was ready only after %s", ms(most))
	}
	if most := quantile(windows, 1); len(l.servers) > 1 && most > errorPromise {
		l.report.violation("%s after a kill a request was still not answered", ms(most))
	}
	l.report.figure("%d kills; from start to ready: %s", kills, spread(starts))
	l.report.figure("from a kill until the last request without an answer: %s", spread(windows))
}
