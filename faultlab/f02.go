package main

import "github.com/sekisho-id/sekisho/faultlab/load"

// replicasRace is F2: codes and refresh tokens, each sent to three replicas several
// times at once.
func replicasRace(l *lab) error {
	codes, tokens, few, assertions := 10_000, 10_000, 2_000, 2_000
	if l.options.short {
		codes, tokens, few, assertions = 300, 200, 100, 100
	}
	const times, fewTimes = 8, 3
	l.openPostgres()
	scale := l.flowScale()
	scale.walkers = 16
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	scale.rate = 1
	f := l.startFlows(scale)
	f.stop() // those who race are the load
	f.ended.Wait()
	taken := f.RaceCodes(l.ctx, codes, times)
	if taken != codes {
		l.report.violation("of %d codes %d were taken", codes, taken)
	}
	l.report.figure("%d codes, each sent %d times at once: taken once each: %d", codes, times, taken)
	many := f.RaceTokens(l.ctx, tokens, times)
	l.report.figure("%d refresh tokens, each sent %d times at once, beside another client's of the session: at most one successor each; families that lived on: %d", tokens, times, many)
	alive := f.RaceTokens(l.ctx, few, fewTimes)
	if alive != few {
		l.report.violation("of %d families whose token was sent %d times at once %d survived", few, fewTimes, alive)
	}
	l.report.figure("%d refresh tokens, each sent %d times at once: one successor each, families that lived on: %d", few, fewTimes, alive)
	used := f.RaceAssertions(l.ctx, assertions, times)
	if used != assertions {
		l.report.violation("of %d client assertions %d were taken", assertions, used)
	}
	l.report.figure("%d client assertions, each sent %d times at once: taken once each: %d", assertions, times, used)
	for _, r := range f.Journal.Records() {
		if r.Outcome == load.Unavailable {
			l.report.violation("%s was answered with %s", r.Op, r.Said)
		}
	}
	return f.finish()
}
