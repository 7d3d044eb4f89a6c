package main

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
	"github.com/sekisho-id/sekisho/internal/db"
)

// flows are the load of a row, while something is broken.
type flows struct {
	*load.Load
	lab   *lab
	stop  context.CancelFunc
	ended sync.WaitGroup
	blind []load.Span
}

// flowScale is how much load there is.
type flowScale struct {
	walkers, rate, signIns, backends, verifiers int
	away                                        bool
}

var (
	fullFlows  = flowScale{walkers: 120, rate: 120, signIns: 5, backends: 10}
	shortFlows = flowScale{walkers: 40, rate: 100, signIns: 5, backends: 10}
)

func (l *lab) flowScale() flowScale {
	if l.options.short {
		return shortFlows
	}
	return fullFlows
}

// settleFlows makes group and people of the load, and starts all servers.
func (l *lab) settleFlows(scale flowScale) error {
	l.group = func() string { return load.Group(l.issuer, scale.backends) }
	if err := l.settle(scale.walkers); err != nil {
		return err
	}
	for _, s := range l.servers {
		s.args = append(s.args, "--trust-proxy", "127.0.0.0/8", "--trust-proxy", "::1/128") // the balancer
		if err := s.start(); err != nil {
			return err
		}
	}
	return nil
}

// startFlows has the people come.
func (l *lab) startFlows(scale flowScale) *flows {
	f := &flows{lab: l, Load: &load.Load{
		Issuer: l.issuer, Journal: load.NewJournal(l.began), Walkers: scale.walkers, Rate: scale.rate,
		SignIns: scale.signIns, Backends: scale.backends, Verifiers: scale.verifiers, Away: scale.away, Seed: l.options.seed,
	}}
	for _, s := range l.servers {
		f.Replicas = append(f.Replicas, load.NewReplica(s.name, s.listen))
	}
	f.Start()
	ctx, stop := context.WithCancel(l.ctx)
	f.stop = stop
	f.ended.Go(func() { f.Run(ctx) })
	return f
}

// finish ends the load, asks of all that should still be there whether it is,
// stops the servers, and has the checker look at all of it.
func (f *flows) finish() error {
	if err := f.goOn(); err != nil {
		return err
	}
	f.stop()
	f.ended.Wait()
	f.Finish(f.lab.ctx)
	for _, s := range f.lab.servers {
		if s.running() {
			if err := s.stop(); err != nil {
				return err
			}
		}
	}
	if f.lab.options.keep {
		if err := f.Journal.Save(filepath.Join(f.lab.dir, "load.jsonl")); err != nil {
			return err
		}
	}
	found := load.Check(f.Journal.Records(), f.blind...)
	f.lab.report.take(found)
	return nil
}

// goOn lets the load of a full run go on until there are enough operations to say that
// nothing was wrong with them, for longestMore at most.
func (f *flows) goOn() error {
	const longestMore = 10 * time.Minute
	for until := f.lab.since() + longestMore; !f.lab.options.short && f.lab.since() < until; {
		answered := 0
		for _, r := range f.Journal.Records() {
			if r.Outcome == load.OK {
				answered++
			}
		}
		if answered >= enoughOperations {
			break
		}
		if err := f.lab.pause(time.Second); err != nil {
			return err
		}
	}
	return nil
}

// take adds what the checker of the load has found.
func (r *report) take(found load.Findings) {
	r.operations += found.Operations
	r.unknowns += found.Unknowns
	r.violations = append(r.violations, found.Violations...)
	r.figure("answered 503, or connection refused: %d; refused as they had to be: %d", found.Unready, found.Refused)
}

// around waits a while, by chance, half of it at least.
func (l *lab) around(d time.Duration) error {
	return l.pause(d/2 + time.Duration(l.chance.Int64N(int64(d))))
}

// unanswered tells of requests in a span that got no answer, or 503.
func unanswered(records []load.Record, from, to time.Duration) (last time.Duration, count int) {
	last = from
	for _, r := range records {
		if r.Start < from || r.Start >= to || r.Outcome != load.Unavailable && r.Outcome != load.Unknown {
			continue
		}
		count++
		last = max(last, r.Start)
	}
	return last, count
}

// backAt is when, from a moment on, at least a share of the usual requests that
// need the database are answered as hoped, within one second.
func backAt(records []load.Record, from time.Duration, usual float64) (time.Duration, bool) {
	const share, window, step = 0.95, time.Second, 50 * time.Millisecond
	var ends []time.Duration
	for _, r := range records {
		if r.Op.NeedsDatabase() && r.Outcome == load.OK && r.End >= from {
			ends = append(ends, r.End)
		}
	}
	if len(ends) == 0 {
		return 0, false
	}
	most := ends[0]
	for _, end := range ends {
		most = max(most, end)
	}
	for at := from; at+window <= most; at += step {
		n := 0
		for _, end := range ends {
			if end >= at && end < at+window {
				n++
			}
		}
		if float64(n) >= share*usual {
			return at, true
		}
	}
	return 0, false
}

// perSecond is how many requests that need the database were answered as hoped in
// a span.
func perSecond(records []load.Record, from, to time.Duration) float64 {
	n := 0
	for _, r := range records {
		if r.Op.NeedsDatabase() && r.Outcome == load.OK && r.End >= from && r.End < to {
			n++
		}
	}
	return float64(n) / (to - from).Seconds()
}

func onSQLite(l *lab) bool {
	_, file := db.File(l.database)
	return file
}
