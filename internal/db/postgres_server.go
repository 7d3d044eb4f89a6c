package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Clocks of replica and database that lie so far apart are told of, and make the
// replica unready.
const (
	skewWarn  = 10 * time.Second
	skewLimit = 60 * time.Second
	skewNoise = 500 * time.Millisecond // as far apart good clocks may seem to be
)

// postgres is what only PostgreSQL has. Its methods do nothing on nil, so that
// what is common to the engines can call them.
type postgres struct {
	options Options
	config  *pgx.ConnConfig
	fence   *fence
	scouts  scouts
	skew    atomic.Int64 // nanoseconds that our clock is ahead of the database's
	skewed  atomic.Bool  // and it was told

	hints   chan struct{} // tells the sender that something has changed
	closing chan struct{}
	hinting sync.WaitGroup
}

// newPostgres has every connection that config makes pass the fence.
func newPostgres(config *pgx.ConnConfig, options Options) *postgres {
	p := &postgres{
		options: options, config: config, fence: &fence{logger: options.Logger},
		hints: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	p.scouts = newScouts(config, p.fence)
	config.ValidateConnect = p.fence.behind(config.ValidateConnect)
	return p
}

func (p *postgres) close() {
	if p == nil {
		return
	}
	close(p.closing)
	p.hinting.Wait()
	p.scouts.close()
}

// primary changes when another primary takes over.
func (p *postgres) primary() int64 {
	if p == nil {
		return 0
	}
	return p.fence.raised.Load()
}

// confirm looks whether another primary has taken over.
func (p *postgres) confirm(ctx context.Context) {
	if p != nil {
		p.scouts.confirm(ctx)
	}
}

// ready says what keeps this server from being used as the installation asks for.
func (p *postgres) ready(ctx context.Context, tx *Tx) error {
	if !p.options.Synchronous {
		var one int
		return tx.Row(ctx, "SELECT 1").Scan(&one)
	}
	r, err := readReplication(ctx, tx)
	if err != nil {
		return err
	}
	if err := r.checkSettings(); err != nil {
		return err
	}
	return r.checkStandby()
}

// compareClocks holds our clock against that of the database. A little is told
// of, much is an error: what expires here and there would differ.
func (p *postgres) compareClocks(ctx context.Context, tx *Tx) error {
	var there int64
	before := p.options.Now()
	if err := tx.Row(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)").Scan(&there); err != nil {
		return err
	}
	after := p.options.Now()
	skew := before.Add(after.Sub(before) / 2).Sub(Time(there))
	p.skew.Store(int64(skew))
	far := skew.Abs() > skewWarn
	if p.skewed.Swap(far) != far {
		if far {
			p.options.Logger.Warn("this machine's clock and the database's lie apart", "ahead_seconds", skew.Seconds())
		} else {
			p.options.Logger.Info("this machine's clock and the database's agree again", "ahead_seconds", skew.Seconds())
		}
	}
	if skew.Abs() > skewLimit {
		return fmt.Errorf("%w: this machine's clock and the database's are %s apart", ErrUnavailable, skew.Abs().Round(time.Second))
	}
	return nil
}

// now is the database's time as far as it is known, so that all replicas go by one
// clock. One that is too far off is left as it is: its process is not ready.
func (p *postgres) now() time.Time {
	now, skew := p.options.Now(), time.Duration(p.skew.Load())
	if skew.Abs() > skewNoise && skew.Abs() <= skewLimit {
		return now.Add(-skew)
	}
	return now
}

// checkAtStart refuses a server whose settings are wrong. A standby that is
// missing now may come, so that is a matter of readiness.
func (p *postgres) checkAtStart(ctx context.Context, readers *sql.DB) error {
	if !p.options.Synchronous {
		return nil
	}
	stx, err := readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("db: cannot read the settings of PostgreSQL: %w", err)
	}
	defer func() { _ = stx.Rollback() }() // it has only read
	r, err := readReplication(ctx, &Tx{tx: stx, engine: &engine{fault: postgresFault}})
	if err != nil {
		return fmt.Errorf("db: cannot read the settings of PostgreSQL: %w", err)
	}
	if err := r.checkSettings(); err != nil {
		return err
	}
	if err := r.checkStandby(); err != nil {
		p.options.Logger.Warn("not ready until a synchronous standby is connected", "cause", err)
	}
	return nil
}

// replication is how the server keeps a second copy.
type replication struct {
	commit, names  string // settings
	standbys       int    // that are synchronous and follow
	others, hidden int    // standbys that are not, and of which this role may not see it
}

func readReplication(ctx context.Context, tx *Tx) (r replication, err error) {
	err = tx.Row(ctx, `SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
			count(*) FILTER (WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')),
			count(*) FILTER (WHERE state <> 'streaming' OR sync_state NOT IN ('sync', 'quorum')),
			count(*) FILTER (WHERE sync_state IS NULL)
		FROM pg_stat_replication`).Scan(&r.commit, &r.names, &r.standbys, &r.others, &r.hidden)
	return r, err
}

var errSynchronous = errors.New("a synchronous standby is required")

// checkSettings refuses settings under which a commit is confirmed before a
// standby has it on its disk. remote_write is one of them.
func (r replication) checkSettings() error {
	switch {
	case r.commit != "on" && r.commit != "remote_apply":
		return fmt.Errorf("%w: %w, but synchronous_commit is %s; set it to on or remote_apply", ErrUnavailable, errSynchronous, r.commit)
	case r.names == "":
		return fmt.Errorf("%w: %w, but synchronous_standby_names is empty on the primary", ErrUnavailable, errSynchronous)
	}
	return nil
}

func (r replication) checkStandby() error {
	switch {
	case r.standbys > 0:
		return nil
	case r.hidden > 0:
		return fmt.Errorf("%w: %w, but this role may not see the state of standbys; GRANT pg_monitor TO it", ErrUnavailable, errSynchronous)
	}
	return fmt.Errorf("%w: %w, but none is connected (%d other standbys are)", ErrUnavailable, errSynchronous, r.others)
}
