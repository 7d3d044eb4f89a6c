package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sekisho-id/sekisho/internal/courier"
)

// eventMetrics are what operators watch of events. The label receiver is the name
// of a declared subsystem, so the number of series is bounded.
type eventMetrics struct {
	tries   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newEventMetrics() *eventMetrics {
	return &eventMetrics{
		tries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sekisho_event_tries_total", Help: "Tries to deliver an event, by receiver and what came of it: delivered, failed (it is tried again), dead (it is not).",
		}, []string{"receiver", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sekisho_event_delivery_seconds", Help: "Time from an event to its delivery, by receiver.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 30, 300, 3600, 86400},
		}, []string{"receiver"}),
	}
}

// observeEvent counts one try.
func (m *metrics) observeEvent(o courier.Outcome) {
	m.events.tries.WithLabelValues(o.Receiver, string(o.Result)).Inc()
	if o.Result == courier.ResultDelivered {
		m.events.seconds.WithLabelValues(o.Receiver).Observe(o.Waited.Seconds())
	}
}

// eventBacklog is what waits, as the database has it when somebody asks.
type eventBacklog struct{ courier *courier.Courier }

var (
	eventsPending = prometheus.NewDesc("sekisho_event_deliveries_pending", "Events that wait to be delivered, by receiver.", []string{"receiver"}, nil)
	eventsDead    = prometheus.NewDesc("sekisho_event_deliveries_dead", "Events that were given up and can be sent again, by receiver.", []string{"receiver"}, nil)
	eventsStreams = prometheus.NewDesc("sekisho_event_streams", "Streams of events, by receiver and how they are: enabled, failing (its endpoint does not take them), paused, disabled.", []string{"receiver", "state"}, nil)
	eventsAge     = prometheus.NewDesc("sekisho_event_oldest_pending_seconds", "Age of the event that has waited longest, by receiver.", []string{"receiver"}, nil)
)

func (b eventBacklog) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- eventsPending
	descriptions <- eventsDead
	descriptions <- eventsAge
	descriptions <- eventsStreams
}

func (b eventBacklog) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readinessTimeout)
	defer cancel()
	backlogs, err := b.courier.Backlogs(ctx)
	if err != nil {
		return // readiness says that the database does not answer; the other metrics matter all the more
	}
	for receiver, backlog := range backlogs {
		metrics <- prometheus.MustNewConstMetric(eventsPending, prometheus.GaugeValue, float64(backlog.Pending), receiver)
		metrics <- prometheus.MustNewConstMetric(eventsDead, prometheus.GaugeValue, float64(backlog.Dead), receiver)
		metrics <- prometheus.MustNewConstMetric(eventsAge, prometheus.GaugeValue, backlog.Age.Seconds(), receiver)
		for state, count := range backlog.Streams {
			metrics <- prometheus.MustNewConstMetric(eventsStreams, prometheus.GaugeValue, float64(count), receiver, state)
		}
	}
}
