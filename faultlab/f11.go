package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// What F11 promises.
const (
	keysPromise  = 50 * time.Millisecond // p99 of the answer to a request for the keys
	stormPromise = 1.2                   // transactions a second, to what the same load makes when all is well
	poolSize     = 16                    // of each of the two pools of a replica
)

// badLink is one way in which the database is slow.
type badLink struct {
	name string
	set  func(*proxy)
}

var badLinks = []badLink{
	{"50 ms more", func(p *proxy) { p.delay.Store(int64(50 * time.Millisecond)) }},
	{"500 ms more", func(p *proxy) { p.delay.Store(int64(500 * time.Millisecond)) }},
	{"1 % lost", func(p *proxy) { p.delay.Store(0); p.loss.Store(10) }},
	{"stalls of 5 s", func(p *proxy) { p.loss.Store(0); p.stalls.Store(5) }},
}

// theDatabaseIsSlow is F11.
func theDatabaseIsSlow(l *lab) error {
	long := 4 * time.Minute
	if l.options.short {
		long = 10 * time.Second
	}
	primary, t := l.openPostgres()
	link, err := l.openProxy("unix", primary.Socket())
	if err != nil {
		return err
	}
	l.database = "postgres:///sekisho?" + url.Values{"host": {"127.0.0.1"}, "port": {strconv.Itoa(link.port())}, "user": {"postgres"}, "sslmode": {"disable"}}.Encode()
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	usual, err := l.watchSlowness(f, t, primary, "as it is", long, 0)
	if err != nil {
		return err
	}
	for _, slow := range badLinks {
		slow.set(link)
		if _, err := l.watchSlowness(f, t, primary, slow.name, long, usual); err != nil {
			return err
		}
	}
	link.stalls.Store(0)
	if err := l.pause(10 * time.Second); err != nil {
		return err
	}
	f.blindFrom(0, l.since()) // what replicas learn through the link comes late
	return f.finish()
}

// watchSlowness lets the load run for a while, and holds what happened against
// what was promised. It gives the transactions a second.
func (l *lab) watchSlowness(f *flows, t *asTest, primary *postgrestest.Server, name string, long time.Duration, usual float64) (float64, error) {
	const transactions = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'sekisho'"
	var before, after, most float64
	if err := primary.Number(t, "postgres", transactions, &before); err != nil {
		return 0, err
	}
	count := f.Journal.Len()
	for end := time.Now().Add(long); time.Now().Before(end); {
		if err := l.pause(time.Second); err != nil {
			return 0, err
		}
		var open float64
		if err := primary.Number(t, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'sekisho'", &open); err != nil {
			return 0, err
		}
		most = max(most, open)
	}
	if err := primary.Number(t, "postgres", transactions, &after); err != nil {
		return 0, err
	}
	records := f.Journal.Since(count)
	asked, unready := 0, 0
	var keys, all []time.Duration
	for _, r := range records {
		if r.Op.NeedsDatabase() {
			asked++
			all = append(all, r.End-r.Start)
		}
		if r.Op == load.Fetch {
			keys = append(keys, r.End-r.Start)
		}
		if r.Outcome == load.Unavailable {
			unready++
		}
	}
	each := (after - before) / long.Seconds()
	if p99 := quantile(keys, .99); p99 > keysPromise {
		l.report.violation("%s: the keys took %s at p99", name, ms(p99))
	}
	if allowed := float64(2*poolSize*len(l.servers) + 4*len(l.servers)); most > allowed {
		l.report.violation("%s: %.0f connections, more than %.0f", name, most, allowed)
	}
	if usual > 0 && each > stormPromise*usual {
		l.report.violation("%s: %.0f transactions a second, where %.0f are usual", name, each, usual)
	}
	l.report.figure("%s: %d requests that need the database: %s; answered 503: %d; keys p99 %s; %.0f transactions a second; connections at most %.0f",
		name, asked, spread(all), unready, ms(quantile(keys, .99)), each, most)
	return each, nil
}
