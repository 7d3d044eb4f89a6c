package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

const answerPromise = 5 * time.Second // for any answer, while the database confirms nothing

// theStandbyIsCutOff is F7: nothing comes through between the primary and its
// synchronous standby; in the end the primary dies and the standby takes over with
// what it has.
func theStandbyIsCutOff(l *lab) error {
	calm, long := 5*time.Minute, time.Minute
	if l.options.short {
		calm, long = 10*time.Second, 20*time.Second
	}
	primary, t := l.openPostgres()
	link, err := l.openProxy("unix", primary.Socket())
	if err != nil {
		return err
	}
	standby := primary.StandbyThrough(t, "two", link.port())
	l.requireStandby(t, primary)
	l.database = primary.URL("sekisho", standby)
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(calm); err != nil {
		return err
	}
	before, err := l.goroutines()
	if err != nil {
		return err
	}
	count, cut := f.Journal.Len(), l.since()
	link.silent.Store(true)
	if err := l.pause(long); err != nil {
		return err
	}
	during, err := l.goroutines()
	if err != nil {
		return err
	}
	records := f.Journal.Since(count)
	primary.Kill(t)
	l.promote(t, standby)
	if err := l.pause(calm); err != nil {
		return err
	}
	back, ok := firstWrite(f.Journal.Since(count), l.since()-calm)
	f.blindFrom(cut, back)
	if !ok {
		l.report.violation("nothing was written after the standby took over")
	}
	if err := f.finish(); err != nil {
		return err
	}
	l.judgeCut(records, cut, before, during)
	return nil
}

func (l *lab) judgeCut(records []load.Record, cut time.Duration, before, during int) {
	const margin = time.Second // what was under way when the link was cut
	var waits []time.Duration
	served := map[load.Op]int{}
	written := 0
	for _, r := range records {
		if r.Start < cut {
			continue
		}
		waits = append(waits, r.End-r.Start)
		if r.Outcome == load.OK {
			served[r.Op]++
			if r.Start > cut+margin && (r.Op == load.Redeem || r.Op == load.Revoke) {
				written++
			}
		}
	}
	l.published(records)
	if most := quantile(waits, 1); most > answerPromise {
		l.report.violation("an answer took %s", ms(most))
	}
	if written > 0 {
		l.report.violation("%d writes were acknowledged while no standby could have them", written)
	}
	if during > before+4*growthAllowed {
		l.report.violation("goroutines grew from %d to %d", before, during)
	}
	l.report.figure("while the standby was cut off: acknowledged writes %d; time to an answer: %s", written, spread(waits))
	l.report.figure("served meanwhile: keys %d, introspections %d, exchanges %d, client credentials %d", served[load.Fetch], served[load.Introspect], served[load.Exchange], served[load.Service])
	l.report.figure("goroutines of a process before and meanwhile: %d, %d", before, during)
}

// theOldPrimaryReturns is F8: two replicas lose the old primary, the third still
// reaches it, and it takes writes again; the standby has been promoted.
func theOldPrimaryReturns(l *lab) error {
	calm, long := 4*time.Minute, 8*time.Minute
	if l.options.short {
		calm, long = 10*time.Second, 20*time.Second
	}
	const noticed = 3 * time.Second // replicas ask all hosts once a second
	pair, t := l.openPair()
	links := make([]*proxy, len(l.servers))
	for i, s := range l.servers {
		var err error
		if links[i], err = l.openProxy("unix", pair[0].Socket()); err != nil {
			return err
		}
		s.database = throughLink(links[i], pair[1])
	}
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(calm); err != nil {
		return err
	}
	cut := l.since()
	links[0].shut()
	links[1].shut()
	l.promote(t, pair[1])
	if err := l.pause(noticed); err != nil {
		return err
	}
	moment := time.Now()
	pair[0].Exec(t, "ALTER SYSTEM RESET synchronous_standby_names")
	pair[0].Exec(t, "SELECT pg_reload_conf()")
	if err := l.pause(long); err != nil {
		return err
	}
	back, _ := firstWrite(f.Journal.Records(), cut)
	f.blindFrom(cut, back)
	var old, fresh int
	count := fmt.Sprintf("SELECT count(*) FROM audit_record WHERE at > %d", moment.UnixMilli())
	if err := errors.Join(pair[0].Number(t, "sekisho", count, &old), pair[1].Number(t, "sekisho", count, &fresh)); err != nil {
		return err
	}
	if err := f.finish(); err != nil {
		return err
	}
	if old > 0 || fresh == 0 {
		l.report.violation("after the promotion %d records were written to the old primary, %d to the new one", old, fresh)
	}
	l.report.figure("records written after the promotion: %d by the old primary, %d by the new one", old, fresh)
	return nil
}

// throughLink names the primary behind a link first, then the standby.
func throughLink(link *proxy, standby *postgrestest.Server) string {
	query := url.Values{
		"host": {"127.0.0.1," + standby.Directory()}, "port": {fmt.Sprintf("%d,5432", link.port())},
		"user": {"postgres"}, "sslmode": {"disable"},
	}
	return "postgres:///sekisho?" + query.Encode()
}
