package main

import (
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
)

// checkPauses looks whether each stream that its receiver must look after was
// paused, with a record and a warning.
func (l *lab) checkPauses() error {
	var records []audit.Record
	err := l.beside(func(a *app.App) error {
		return a.DB.Read(l.ctx, func(tx *db.Tx) (err error) {
			records, err = audit.Find(l.ctx, tx, audit.Query{Event: audit.StreamPaused, Limit: page})
			return err
		})
	})
	if err != nil {
		return err
	}
	warnings := l.servers[0].warnings()
	paused := 0
	for _, r := range l.receivers {
		recorded := slices.ContainsFunc(records, func(record audit.Record) bool { return record.Client == r.name+".backend" })
		warned := slices.ContainsFunc(warnings, func(line string) bool {
			return strings.Contains(line, "is paused") && strings.Contains(line, `"receiver":"`+r.name+`"`)
		})
		if must := r.kind == gone; recorded != must || warned != must {
			l.report.violation("the stream of %s: paused with a record %t, with a warning %t", r.name, recorded, warned)
		}
		if recorded {
			paused++
		}
	}
	l.report.figure("paused with record and warning: %d streams", paused)
	return nil
}

// judgeF13 holds all that was seen against what was promised.
func (l *lab) judgeF13(p *publisher) error {
	e, err := l.gather(p)
	if err != nil {
		return err
	}
	f := e.check(&l.report)
	well := f.latencies(l.of(healthy))
	if p99 := quantile(well, .99); p99 > healthyLimit {
		l.report.violation("healthy receivers had their events %s after 202 at the 99th percentile", ms(p99))
	}
	for _, r := range l.of(redirect) {
		if n := r.lured.Load(); n > 0 {
			l.report.violation("%d redirects of %s were followed", n, r.name)
		}
	}
	l.report.figure("%d events acknowledged, for %d receivers: %d delivered, %d in dead letters, %d came again",
		len(f.published), len(l.receivers), f.delivered, f.dead, f.duplicates)
	l.report.figure("healthy receivers, from 202 to arrival, all along: %s", spread(well))
	return nil
}
