package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/internal/tracing"
	"github.com/sekisho-id/sekisho/internal/web"
)

// metrics are what operators watch. Labels are bounded: routes come from
// routes.go, never from a request's path.
type metrics struct {
	legacy   *prometheus.CounterVec
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	events   *eventMetrics

	mu  sync.RWMutex
	met map[answered]series // what of the first two was needed before
}

// answered is a kind of answered request.
type answered struct {
	route  string
	status int
}

// series counts and times one kind.
type series struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

func newMetrics(version string) *metrics {
	m := &metrics{
		met:      map[answered]series{},
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sekisho_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sekisho_http_request_seconds", Help: "Time to answer, by route.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"route"}),
		legacy: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sekisho_legacy_exchanges_total", Help: "Tokens of systems of before that were exchanged, by their name in the group file and the client that asked.",
		}, []string{"legacy", "client"}),
		events: newEventMetrics(),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "sekisho_build_info", Help: "Always 1; the labels say what runs.",
	}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.legacy, build, m.events.tries, m.events.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts and times one answered request. A route is a pattern of
// routes.go, so the number of series is bounded.
// A trace that is kept becomes the exemplar of its bucket.
func (m *metrics) observe(route string, status int, took time.Duration, traceID string) {
	of := m.of(answered{route, status})
	of.requests.Inc()
	if traceID == "" {
		of.seconds.Observe(took.Seconds())
		return
	}
	of.seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": traceID}) // as histograms are
}

// observe is told of each answered request.
func (a *App) observe(r *http.Request, status int, took time.Duration) {
	route := r.Pattern
	if route == "" {
		route = "none" // refused before it was matched
	}
	traceID := ""
	if a.tracer != nil {
		event := web.Event(r.Context())
		traceID = a.tracer.Tell(r.Context(), tracing.Answered{
			Route: route, Method: r.Method, Status: status, Request: event.ID,
			Client: event.Text("client"), GrantType: event.Text("grant_type"), Error: event.Text("error"),
		})
		if traceID != "" {
			event.Set("trace_id", traceID)
		}
	}
	a.metrics.observe(route, status, took, traceID)
	if route != token.PathToken || status != http.StatusOK {
		return
	}
	if event := web.Event(r.Context()); event.Text("legacy") != "" {
		a.metrics.legacy.WithLabelValues(event.Text("legacy"), event.Text("client")).Inc()
	}
}

// of finds the series of a kind. Only the first time it asks the vectors, which
// build and hash the labels at each call.
func (m *metrics) of(kind answered) series {
	m.mu.RLock()
	found, ok := m.met[kind]
	m.mu.RUnlock()
	if ok {
		return found
	}
	found = series{
		requests: m.requests.WithLabelValues(kind.route, strconv.Itoa(kind.status)),
		seconds:  m.seconds.WithLabelValues(kind.route),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.met[kind] = found
	return found
}

// opsHandler serves operators: never mounted on the public listener.
func (a *App) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", a.readiness)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

const readinessTimeout = 2 * time.Second

// readiness says part by part whether requests can be served: 200 or 503.
func (a *App) readiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readinessTimeout)
	defer cancel()
	status, parts := http.StatusOK, map[string]string{}
	for _, part := range a.parts() {
		parts[part.name] = "ok"
		if err := part.check(ctx); err != nil {
			status, parts[part.name] = http.StatusServiceUnavailable, err.Error()
		}
	}
	writeHealth(w, status, parts)
}

func writeHealth(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the prober hung up; nobody is left to tell
}
