package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	errOldPrimary     = errors.New("another primary has taken over from this server")
	errAnotherCluster = errors.New("this is another PostgreSQL cluster than the one that was used before; restart if that is meant")
)

// identity is who a server is. Its copies have the same system identifier, and
// each promotion of one of them begins a new timeline.
type identity struct {
	system   string
	timeline int64
	primary  bool
}

// whoAreYou asks a server who it is. The control file of a new primary names the
// old timeline until its first checkpoint, what it writes to names the new one.
const whoAreYou = `SELECT (SELECT system_identifier FROM pg_control_system()),
	CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
		ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
	NOT pg_is_in_recovery()`

// identify answers ok false where the server does not tell: some that speak
// PostgreSQL's protocol have no timelines.
func identify(ctx context.Context, conn *pgconn.PgConn) (id identity, ok bool, err error) {
	result := conn.ExecParams(ctx, whoAreYou, nil, nil, nil, nil).Read()
	var refused *pgconn.PgError
	switch {
	case errors.As(result.Err, &refused) && (strings.HasPrefix(refused.Code, "42") || refused.Code == "0A000"):
		return identity{}, false, nil // no such function, no such privilege, not supported
	case result.Err != nil:
		return identity{}, false, result.Err
	case len(result.Rows) != 1:
		return identity{}, false, nil
	}
	row := result.Rows[0]
	timeline, err := strconv.ParseInt(string(row[1]), 10, 64)
	if err != nil {
		return identity{}, false, nil
	}
	return identity{system: string(row[0]), timeline: timeline, primary: string(row[2]) == "t"}, true, nil
}

// fence keeps this process away from a primary that another one has taken over
// from. It remembers the newest timeline that any server has shown; servers,
// and connections, of an older one are refused.
type fence struct {
	logger *slog.Logger
	raised atomic.Int64 // how often it was
	shut   atomic.Int64 // connections that were refused

	mu     sync.Mutex
	newest identity
	told   identity // of whose refusal the log speaks already
}

// see notes who a server is, and says whether it may be used.
func (f *fence) see(id identity) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.newest.system == "":
		f.newest = id
	case f.newest.system != id.system:
		return f.refuse(id, errAnotherCluster)
	case f.newest.timeline > id.timeline:
		return f.refuse(id, errOldPrimary)
	case f.newest.timeline < id.timeline:
		f.logger.Warn("another PostgreSQL server has taken over", "timeline", id.timeline, "before", f.newest.timeline)
		f.newest = id
		f.raised.Add(1)
	}
	return nil
}

func (f *fence) refuse(id identity, why error) error {
	f.shut.Add(1)
	if id.primary && f.told != id { // a standby that is late is no danger
		f.told = id
		f.logger.Error("a PostgreSQL server was refused", "cause", why, "timeline", id.timeline, "newest_timeline", f.newest.timeline)
	}
	return fmt.Errorf("timeline %d, the newest is %d: %w", id.timeline, f.newest.timeline, why)
}

func (f *fence) timeline() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest.timeline
}

// ofTimeline is where a connection keeps its server's.
const ofTimeline = "sekisho.timeline"

// behind has a new connection pass the fence after what was asked of it before.
// If it is refused, pgx goes on to the next host of the DSN.
func (f *fence) behind(before pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := before(ctx, conn); err != nil {
			return err
		}
		id, ok, err := identify(ctx, conn)
		if err != nil || !ok {
			return err
		}
		conn.CustomData()[ofTimeline] = id.timeline
		return f.see(id)
	}
}

// keep is asked before a connection is used again.
func (f *fence) keep(_ context.Context, conn *pgx.Conn) error {
	timeline, ok := conn.PgConn().CustomData()[ofTimeline].(int64)
	if ok && timeline < f.timeline() {
		f.shut.Add(1)
		return driver.ErrBadConn
	}
	return nil
}
