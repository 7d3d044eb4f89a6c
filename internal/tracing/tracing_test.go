package tracing_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/tracetest"
	"github.com/sekisho-id/sekisho/internal/tracing"
)

const (
	callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan  = "00f067aa0ba902b7"
)

func open(t *testing.T, collector string) *tracing.Tracer {
	t.Helper()
	tracer, err := tracing.Open(t.Context(), tracing.Config{Collector: collector, Service: "sekisho", Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// answer serves one request through the tracer as the server does.
func answer(tracer *tracing.Tracer, r *http.Request, a tracing.Answered) (id string) {
	tracer.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id = tracer.Tell(r.Context(), a)
	})).ServeHTTP(httptest.NewRecorder(), r)
	return id
}

func TestTheTraceOfTheCallerGoesOn(t *testing.T) {
	t.Parallel()
	collector := tracetest.Start(t)
	tracer := open(t, collector.URL)
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", nil)
	r.Header.Set("traceparent", "00-"+callersTrace+"-"+callersSpan+"-01")
	r.Header.Set("baggage", "person=hanako")
	id := answer(tracer, r, tracing.Answered{
		Route: "/oauth2/token", Method: "BREW", Status: 503, Client: strings.Repeat("c", 1000), GrantType: "refresh_token", Error: "server_error",
	})
	tracer.Close(t.Context())

	spans := collector.Spans()
	if len(spans) != 1 {
		t.Fatalf("%d spans arrived", len(spans))
	}
	got := spans[0]
	if got.Trace != callersTrace || got.Parent != callersSpan || id != callersTrace {
		t.Errorf("trace %s under %s, told %s", got.Trace, got.Parent, id)
	}
	if got.Service != "sekisho" || got.Name != "/oauth2/token" || got.Kind != "server" || !got.Failed {
		t.Errorf("got %+v", got)
	}
	for key, want := range map[string]string{
		"http.route": "/oauth2/token", "http.response.status_code": "503", "http.request.method": "_OTHER",
		"oauth.grant_type": "refresh_token", "error.type": "server_error", "sekisho.client": strings.Repeat("c", 200),
	} {
		if got.Attributes[key] != want {
			t.Errorf("%s = %q, want %q", key, got.Attributes[key], want)
		}
	}
	if strings.Contains(collector.Raw(), "hanako") {
		t.Error("baggage of the caller reached the collector")
	}
}

func TestACallerMayDecideThatATraceIsNotKept(t *testing.T) {
	t.Parallel()
	collector := tracetest.Start(t)
	tracer := open(t, collector.URL)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("traceparent", "00-"+callersTrace+"-"+callersSpan+"-00")
	id := answer(tracer, r, tracing.Answered{Route: "/"})
	tracer.Close(t.Context())
	if id != "" || len(collector.Spans()) != 0 {
		t.Errorf("id %q, %d spans", id, len(collector.Spans()))
	}
}

func TestDeliveriesCarryTheirTraceToTheReceiver(t *testing.T) {
	t.Parallel()
	collector := tracetest.Start(t)
	tracer := open(t, collector.URL)
	for _, status := range []int{202, 500, 0} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://pay.example/events?token=secret", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		delivery := tracer.Delivery(request, "pay", "https://market.example/events/sold")
		if parent := delivery.Request.Header.Get("Traceparent"); !strings.HasPrefix(parent, "00-") {
			t.Errorf("traceparent is %q", parent)
		}
		delivery.Answered(status)
	}
	tracer.Close(t.Context())
	failed := 0
	for _, span := range collector.Spans() {
		if span.Kind != "client" || span.Name != "deliver pay" || span.Attributes["server.address"] != "pay.example" {
			t.Errorf("got %+v", span)
		}
		if span.Failed {
			failed++
		}
	}
	if failed != 2 {
		t.Errorf("%d deliveries are shown as failed, want 2", failed)
	}
	if strings.Contains(collector.Raw(), "secret") {
		t.Error("the address of a receiver was sent with its query")
	}
}

func TestOffNothingIsDoneAndNothingAllocated(t *testing.T) {
	tracer := open(t, "")
	if tracer != nil || tracer.Provider() != nil {
		t.Fatal("there is a tracer without a collector")
	}
	request := httptest.NewRequest(http.MethodPost, "/", nil)
	if allocated := testing.AllocsPerRun(100, func() {
		tracer.Tell(request.Context(), tracing.Answered{Route: "/", Client: "pay.backend"})
		tracer.Delivery(request, "pay", "sold").Answered(200)
	}); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
	tracer.Close(t.Context())
}

func TestACollectorThatIsAwayIsToldOnce(t *testing.T) {
	t.Parallel()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refusing.Close()
	var told []error
	tracer, err := tracing.Open(t.Context(), tracing.Config{
		Collector: refusing.URL, Service: "sekisho", Complain: func(err error) { told = append(told, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		answer(tracer, httptest.NewRequest(http.MethodGet, "/", nil), tracing.Answered{Route: "/"})
		if err := tracer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tracer.Close(t.Context())
	if len(told) != 1 {
		t.Errorf("told %d times: %v", len(told), errors.Join(told...))
	}
}

func TestAWrongCollectorIsNamed(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"localhost:4318", "grpc://collector", "http://", "://"} {
		if _, err := tracing.Open(context.Background(), tracing.Config{Collector: wrong}); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
