package main

import (
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// What F6 promises: the time from the death of the primary until something is
// written again.
const (
	gapPromise = 5 * time.Second
	gapMost    = 15 * time.Second
)

const standbyNames = "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (one, two)'"

// openPair starts a primary and a synchronous standby.
func (l *lab) openPair() (pair [2]*postgrestest.Server, t *asTest) {
	pair[0], t = l.openPostgres()
	pair[1] = pair[0].Standby(t, "two")
	l.requireStandby(t, pair[0])
	l.database = pair[0].URL("sekisho", pair[1])
	return pair, t
}

func (l *lab) requireStandby(t *asTest, primary *postgrestest.Server) {
	primary.Exec(t, standbyNames)
	primary.Exec(t, "SELECT pg_reload_conf()")
}

// promote has a standby take over. Like those who manage fail-overs it asks for no
// standby until one is there.
func (l *lab) promote(t *asTest, standby *postgrestest.Server) {
	standby.Promote(t)
	standby.Exec(t, "ALTER SYSTEM RESET synchronous_standby_names")
	standby.Exec(t, "SELECT pg_reload_conf()")
}

// thePrimaryDies is F6: the primary is killed, its synchronous standby promoted, and
// the old primary comes back as the standby of the new one.
func thePrimaryDies(l *lab) error {
	times, between := 20, 30*time.Second
	if l.options.short {
		times, between = 4, 6*time.Second
	}
	const noticed = time.Second // by whoever promotes
	pair, t := l.openPair()
	scale := l.flowScale()
	if !l.options.short {
		scale.rate = 150
	}
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	names := [2]string{"one", "two"}
	var gaps, rests []time.Duration
	for i := range times {
		if err := l.around(between / 2); err != nil {
			return err
		}
		old, standby := i%2, 1-i%2
		count := f.Journal.Len()
		pair[old].Kill(t)
		died := l.since()
		if err := l.pause(noticed); err != nil {
			return err
		}
		l.promote(t, pair[standby])
		promoted := l.since()
		if err := l.around(between / 2); err != nil {
			return err
		}
		gap, ok := firstWrite(f.Journal.Since(count), died)
		f.blindFrom(died, gap)
		if !ok {
			l.report.violation("fail-over %d: nothing was written any more", i+1)
		}
		gaps, rests = append(gaps, gap-died), append(rests, max(gap-promoted, 0))
		l.published(f.Journal.Since(count))
		pair[old].Follow(t, pair[standby], names[old])
		l.requireStandby(t, pair[standby])
	}
	if err := f.finish(); err != nil {
		return err
	}
	if median, most := quantile(gaps, .5), quantile(gaps, 1); median > gapPromise || most > gapMost {
		l.report.violation("gaps in writing: median %s, most %s", ms(median), ms(most))
	}
	l.report.figure("%d fail-overs, each noticed after %s; from the death until the next write: %s", times, ms(noticed), spread(gaps))
	l.report.figure("of that after the promotion: %s", spread(rests))
	return nil
}

// blindFrom says that no replica could reach the database for a time.
func (f *flows) blindFrom(from, to time.Duration) {
	f.blind = append(f.blind, load.Span{From: from, To: to})
}

// firstWrite is when a request that was sent after a moment, and that has to
// write, was first answered as hoped.
func firstWrite(records []load.Record, after time.Duration) (at time.Duration, ok bool) {
	for _, r := range records {
		writes := r.Op == load.Redeem || r.Op == load.Authorize || r.Op == load.Refresh && r.Client == "shop.ios"
		if writes && r.Outcome == load.OK && r.Start >= after && (!ok || r.End < at) {
			at, ok = r.End, true
		}
	}
	return at, ok
}

// published holds that the keys were there all along.
func (l *lab) published(records []load.Record) {
	for _, r := range records {
		if r.Op == load.Fetch && r.Outcome != load.OK {
			l.report.violation("the keys were not answered at %s: %s", r.Start, r.Said)
		}
	}
}
