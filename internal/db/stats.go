package db

import (
	"database/sql"
	"time"
)

// PoolStats are the figures of one pool of connections.
type PoolStats = sql.DBStats

// Stats are figures for operators.
type Stats struct {
	Writers, Readers PoolStats
	Reads, Commits   int64 // transactions that read, begun; and that wrote, done

	Skew     time.Duration // how far our clock is ahead of PostgreSQL's
	Timeline int64         // of PostgreSQL; 0 where there are none
	Refused  int64         // connections to servers that another has taken over from
}

// Stats tells of the pools and, on PostgreSQL, of the server.
func (d *DB) Stats() Stats {
	stats := Stats{Writers: d.engine.writer.Stats(), Readers: d.engine.readers.Stats(), Reads: d.reads.Load(), Commits: d.commits.Load()}
	if p := d.engine.postgres; p != nil {
		stats.Skew = time.Duration(p.skew.Load())
		stats.Timeline, stats.Refused = p.fence.timeline(), p.fence.shut.Load()
	}
	return stats
}
