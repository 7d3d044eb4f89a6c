package main

import (
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
)

// What F18 promises.
const (
	goodputPromise  = 0.8             // of what is answered when as much comes as can be
	overloadPromise = time.Second     // p99 of what is answered
	calmPromise     = 5 * time.Second // until all is answered again, after it is over
	overloadFactor  = 5
	crowd           = 800 // people who do not wait for each other
	few             = 16
)

// overload is F18. Load and server share the machine, so what can be answered is
// what both together reach.
func overload(l *lab) error {
	warm, long := 60*time.Second, 5*time.Minute
	if l.options.short {
		warm, long = 40*time.Second, 15*time.Second
	}
	scale := flowScale{walkers: crowd, rate: 2 * crowd / int(warm.Seconds()), signIns: 2, backends: 10}
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(warm); err != nil {
		return err
	}
	f.SetRate(1)
	peak, err := l.peak(scale, long/5)
	if err != nil {
		return err
	}
	count := f.Journal.Len()
	f.SetRate(int(overloadFactor * peak))
	if err := l.pause(long); err != nil {
		return err
	}
	f.SetRate(int(peak / 3))
	over := l.since()
	if err := l.pause(2 * calmPromise); err != nil {
		return err
	}
	records := f.Journal.Since(count)
	last, _ := unanswered(records, over+time.Second, l.since())
	if err := f.finish(); err != nil {
		return err
	}
	l.judgeOverload(records, over, long, peak, last-over)
	return nil
}

// peak is how many requests are answered a second when a few people send one after
// the other.
func (l *lab) peak(scale flowScale, long time.Duration) (float64, error) {
	scale.walkers, scale.rate = few, 100_000
	f := l.startFlows(scale)
	if err := l.pause(long / 3); err != nil { // they sign in first
		return 0, err
	}
	began, count := l.since(), f.Journal.Len()
	if err := l.pause(long); err != nil {
		return 0, err
	}
	took := (l.since() - began).Seconds()
	answered := 0
	for _, r := range f.Journal.Since(count) {
		if r.Outcome == load.OK {
			answered++
		}
	}
	f.stop()
	f.ended.Wait()
	return float64(answered) / took, nil
}

func (l *lab) judgeOverload(records []load.Record, over, long time.Duration, peak float64, calm time.Duration) {
	taken, shed := map[load.Op]int{}, map[load.Op]int{}
	var waits []time.Duration
	answered := 0
	for _, r := range records {
		switch {
		case r.Start > over:
		case r.Outcome == load.OK:
			answered++
			taken[r.Op]++
			if r.Op != load.SignIn && r.Op != load.Authorize { // several requests each
				waits = append(waits, r.End-r.Start)
			}
		case r.Outcome == load.Unavailable:
			shed[r.Op]++
		}
	}
	goodput := float64(answered) / long.Seconds()
	if goodput < goodputPromise*peak {
		l.report.violation("%.0f requests answered a second, where %.0f can be", goodput, peak)
	}
	if p99 := quantile(waits, .99); p99 > overloadPromise {
		l.report.violation("what was answered took %s at p99", ms(p99))
	}
	if calm > calmPromise {
		l.report.violation("%s after it was over something was still refused", ms(calm))
	}
	share := func(ops ...load.Op) float64 {
		refused, all := 0, 0
		for _, op := range ops {
			refused, all = refused+shed[op], all+shed[op]+taken[op]
		}
		return 100 * float64(refused) / float64(max(all, 1))
	}
	l.report.figure("can be answered: %.0f a second; of %d times as many: %.0f a second (%.2f)", peak, overloadFactor, goodput, goodput/peak)
	l.report.figure("what was answered: %s", spread(waits))
	l.report.figure("refused: sign-ins and authorizations %.1f %%, tokens %.1f %%, introspections %.1f %%",
		share(load.SignIn, load.Authorize), share(load.Redeem, load.Refresh, load.Exchange, load.Service), share(load.Introspect))
	l.report.figure("after it was over the last refusal came after %s", ms(calm))
}
