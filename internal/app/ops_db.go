package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sekisho-id/sekisho/internal/db"
)

// databaseFigures tell of the connections to the database at each scrape.
type databaseFigures struct{ db *db.DB }

var (
	dbOpen = prometheus.NewDesc("sekisho_db_connections_open", "Connections to the database, by pool.", []string{"pool"}, nil)
	dbUsed = prometheus.NewDesc("sekisho_db_connections_in_use", "Connections in a transaction, by pool.", []string{"pool"}, nil)
	dbMost = prometheus.NewDesc("sekisho_db_connections_max", "Connections a pool may have.", []string{"pool"}, nil)
	dbWait = prometheus.NewDesc("sekisho_db_waits_total", "How often a transaction waited for a connection, by pool.", []string{"pool"}, nil)
	dbTime = prometheus.NewDesc("sekisho_db_wait_seconds_total", "How long transactions waited for a connection, by pool.", []string{"pool"}, nil)

	dbTransactions = prometheus.NewDesc("sekisho_db_transactions_total", "Transactions: read, begun, and write, committed. Those of background work are among them.", []string{"kind"}, nil)

	dbSkew     = prometheus.NewDesc("sekisho_db_clock_skew_seconds", "How far this clock was ahead of PostgreSQL's when it was last looked at, twice a second.", nil, nil)
	dbTimeline = prometheus.NewDesc("sekisho_db_timeline", "Newest timeline of PostgreSQL that was seen; it rises with each fail-over. 0 on SQLite.", nil, nil)
	dbRefused  = prometheus.NewDesc("sekisho_db_old_primary_refused_total", "Connections refused because another primary had taken over.", nil, nil)
)

func (databaseFigures) Describe(to chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{dbOpen, dbUsed, dbMost, dbWait, dbTime, dbTransactions, dbSkew, dbTimeline, dbRefused} {
		to <- one
	}
}

func (d databaseFigures) Collect(to chan<- prometheus.Metric) {
	stats := d.db.Stats()
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	counter := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.CounterValue, value, labels...)
	}
	for pool, one := range map[string]*db.PoolStats{"writers": &stats.Writers, "readers": &stats.Readers} {
		gauge(dbOpen, float64(one.OpenConnections), pool)
		gauge(dbUsed, float64(one.InUse), pool)
		gauge(dbMost, float64(one.MaxOpenConnections), pool)
		counter(dbWait, float64(one.WaitCount), pool)
		counter(dbTime, one.WaitDuration.Seconds(), pool)
	}
	counter(dbTransactions, float64(stats.Reads), "read")
	counter(dbTransactions, float64(stats.Commits), "write")
	gauge(dbSkew, stats.Skew.Seconds())
	gauge(dbTimeline, float64(stats.Timeline))
	counter(dbRefused, float64(stats.Refused))
}
