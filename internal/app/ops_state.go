package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// part is one thing that must be so for requests to be served.
type part struct {
	name  string
	check func(context.Context) error
}

func (a *App) parts() []part {
	return []part{
		{"database", a.DB.Ready},
		{"clock", a.DB.CheckClock},
		{"audit", a.auditReady},
		{"group", a.groupReady},
		{"ppid_secrets", a.generationsReady},
		{"draining", a.notDraining},
	}
}

// stateMetrics are how the server is, at the moment somebody asks.
type stateMetrics struct{ app *App }

var (
	readyDesc = prometheus.NewDesc("sekisho_ready", "1 if the part is ready, as /readyz has it.", []string{"part"}, nil)

	auditWaiting = prometheus.NewDesc("sekisho_audit_queue_records", "Audit records that wait to be written.", nil, nil)
	auditMost    = prometheus.NewDesc("sekisho_audit_queue_limit", "Audit records that may wait; then requests are refused.", nil, nil)

	keyDue = prometheus.NewDesc("sekisho_signing_key_due_timestamp_seconds",
		"When the signing key is to be replaced. It is done by itself: long past means that it cannot be.", []string{"purpose"}, nil)
)

func (s stateMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, one := range []*prometheus.Desc{readyDesc, auditWaiting, auditMost, keyDue} {
		descriptions <- one
	}
}

func (s stateMetrics) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), readinessTimeout)
	defer cancel()
	for _, part := range s.app.parts() {
		ready := 1.0
		if part.check(ctx) != nil {
			ready = 0
		}
		gauge(readyDesc, ready, part.name)
	}
	waiting, most := s.app.Audit.Queued()
	gauge(auditWaiting, float64(waiting))
	gauge(auditMost, float64(most))
	for purpose, at := range s.app.Keys.Due() {
		gauge(keyDue, float64(at.Unix()), string(purpose))
	}
}
