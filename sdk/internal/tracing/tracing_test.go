package tracing_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sekisho-id/sekisho/sdk/internal/tracing"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func provider() (*sdktrace.TracerProvider, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)), exporter
}

// next is a server that answers status, and a client that the trace goes through.
func next(t *testing.T, status int) (client *http.Client, url string, got chan string) {
	t.Helper()
	got = make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("traceparent")
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return &http.Client{Transport: tracing.Transport{Next: http.DefaultTransport}}, server.URL + "/people/hanako?sub=hanako", got
}

func fetch(t *testing.T, client *http.Client, r *http.Request) {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if r.Header.Get("traceparent") != "" {
		t.Error("the request of the caller was changed")
	}
}

func TestAServedRequestIsASpanAndItsCallsAreBelowIt(t *testing.T) {
	t.Parallel()
	spans, exporter := provider()
	client, url, got := next(t, http.StatusForbidden)
	r := httptest.NewRequest(http.MethodGet, "/people/hanako", nil)
	r.Pattern = "GET /people/{person}"
	r.Header.Set("traceparent", traceparent)
	tracing.Serve(spans, httptest.NewRecorder(), r, func(w http.ResponseWriter, r *http.Request) {
		tracing.Caller(r, "pay.backend")
		out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		fetch(t, client, out)
		w.WriteHeader(http.StatusBadGateway)
	})
	all := exporter.GetSpans()
	if len(all) != 2 {
		t.Fatalf("%d spans", len(all))
	}
	call, served := all[0], all[1]
	if served.Name != "GET /people/{person}" || served.SpanKind != trace.SpanKindServer || served.Status.Code != codes.Error ||
		served.Parent.SpanID().String() != "00f067aa0ba902b7" {
		t.Errorf("served as %+v", served)
	}
	if call.Parent.SpanID() != served.SpanContext.SpanID() || call.SpanKind != trace.SpanKindClient || call.Status.Code != codes.Error {
		t.Errorf("called as %+v", call)
	}
	if sent := <-got; sent != "00-4bf92f3577b34da6a3ce929d0e0e4736-"+call.SpanContext.SpanID().String()+"-01" {
		t.Errorf("the next server got %q", sent)
	}
	for _, span := range all {
		for _, a := range append(span.Attributes, attribute.String("name", span.Name)) {
			if a.Value.AsString() == "hanako" {
				t.Errorf("%s names the person", a.Key)
			}
		}
	}
	if !contains(served, attribute.String("sekisho.client", "pay.backend")) || !contains(served, attribute.Int("http.response.status_code", 502)) {
		t.Errorf("attributes %v", served.Attributes)
	}
}

func contains(span tracetest.SpanStub, wanted attribute.KeyValue) bool {
	for _, a := range span.Attributes {
		if a == wanted {
			return true
		}
	}
	return false
}

func TestATraceGoesOnWithoutAProvider(t *testing.T) {
	t.Parallel()
	client, url, got := next(t, http.StatusOK)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("traceparent", traceparent)
	tracing.Serve(nil, httptest.NewRecorder(), r, func(_ http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		fetch(t, client, out)
	})
	if sent := <-got; sent != traceparent {
		t.Errorf("the next server got %q", sent)
	}
}

func TestASpanThatIsThereIsTaken(t *testing.T) {
	t.Parallel()
	spans, exporter := provider()
	ctx, around := spans.Tracer("").Start(t.Context(), "around")
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	r.Header.Set("traceparent", traceparent)
	tracing.Serve(spans, httptest.NewRecorder(), r, func(_ http.ResponseWriter, r *http.Request) {
		if trace.SpanFromContext(r.Context()) != around {
			t.Error("the handler sees another span")
		}
	})
	if n := len(exporter.GetSpans()); n != 0 {
		t.Errorf("%d more spans", n)
	}
}

func TestWithoutATraceNothingIsSentOrAllocated(t *testing.T) {
	client, url, got := next(t, http.StatusOK)
	out, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, client, out)
	if sent := <-got; sent != "" {
		t.Errorf("the next server got %q", sent)
	}
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	if allocated := testing.AllocsPerRun(100, func() {
		tracing.Serve(nil, w, r, func(http.ResponseWriter, *http.Request) {})
		_, _ = (tracing.Transport{Next: nobody{}}).RoundTrip(out)
	}); allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) { return nil, nil }
