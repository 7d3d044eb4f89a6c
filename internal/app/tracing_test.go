package app_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/tracetest"
)

// traced is a server that sends its traces to the collector.
func traced(t *testing.T) (*world, *tracetest.Collector) {
	t.Helper()
	collector := tracetest.Start(t)
	w := startWith(t, &world{
		t: t, path: seeded.DSN(t), clock: newClock(), log: &logBuffer{},
		adjust: func(c *app.Config) { c.OTLP = collector.URL },
	})
	return w, collector
}

func TestATokenRequestIsASpanALogLineAndAnExemplar(t *testing.T) {
	t.Parallel()
	const callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	w, collector := traced(t)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"subjects:convert"}}
	for _, secret := range []string{secrets["pay.backend"], "a-secret-that-is-wrong"} {
		r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Traceparent", "00-"+callersTrace+"-00f067aa0ba902b7-01")
		r.SetBasicAuth("pay.backend", secret)
		w.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	w.app.CloseTraces(t.Context())

	spans := collector.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	served, refused := spans[0], spans[1]
	if served.Trace != callersTrace || served.Name != "/oauth2/token" || served.Kind != "server" || served.Failed {
		t.Errorf("got %+v", served)
	}
	for key, want := range map[string]string{
		"http.route": "/oauth2/token", "http.request.method": "POST", "http.response.status_code": "200",
		"sekisho.client": "pay.backend", "oauth.grant_type": "client_credentials",
	} {
		if served.Attributes[key] != want {
			t.Errorf("%s = %q, want %q", key, served.Attributes[key], want)
		}
	}
	if refused.Attributes["error.type"] != "invalid_client" || refused.Attributes["http.response.status_code"] != "401" {
		t.Errorf("the refusal is shown as %v", refused.Attributes)
	}
	if line := `"request":"` + served.Attributes["sekisho.request"] + `"`; !strings.Contains(w.log.String(), line) {
		t.Errorf("no line of the log has %s", line)
	}
	if !strings.Contains(w.log.String(), `"trace_id":"`+callersTrace+`"`) {
		t.Error("the log does not name the trace")
	}
	if !strings.Contains(w.metrics(), `{trace_id="`+callersTrace+`"}`) {
		t.Error("the histogram of requests has no exemplar")
	}
}

// metrics are what a Prometheus that knows exemplars reads.
func (w *world) metrics() string {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	a := httptest.NewRecorder()
	w.app.OpsHandler().ServeHTTP(a, r)
	if a.Code != http.StatusOK {
		w.t.Fatalf("/metrics answered %d", a.Code)
	}
	return a.Body.String()
}

func TestWithoutACollectorRequestsCostNoMore(t *testing.T) {
	w := setup(t)
	r := httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil)
	r.Pattern = "GET /oauth2/jwks"
	w.app.Answered(r, http.StatusOK, time.Millisecond)
	if allocated := testing.AllocsPerRun(100, func() { w.app.Answered(r, http.StatusOK, time.Millisecond) }); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
	if strings.Contains(w.log.String(), "trace_id") {
		t.Error("the log names a trace where there are none")
	}
}
