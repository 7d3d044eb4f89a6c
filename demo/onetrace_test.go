package demo_test

import (
	"context"
	"io"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/tracetest"
	"github.com/sekisho-id/sekisho/internal/tracing"
)

// TestOneTraceShowsTheWholeCall plays the example before a collector: the purchase
// is one trace from the app through pay and the exchange to market.
func TestOneTraceShowsTheWholeCall(t *testing.T) {
	t.Parallel()
	collector := tracetest.Start(t)
	var systems []*tracing.Tracer
	group, server := startWith(t, func(ctx context.Context, party string) (trace.TracerProvider, error) {
		tracer, err := tracing.Open(ctx, tracing.Config{Collector: collector.URL, Service: party})
		systems = append(systems, tracer)
		return tracer.Provider(), err
	}, app.Config{OTLP: collector.URL})
	if err := group.Check(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, one := range systems {
		one.Close(t.Context())
	}
	if err := server(); err != nil { // ends, and sends its last spans
		t.Fatal(err)
	}

	spans := collector.Spans()
	find := func(service, name, trace string) tracetest.Span {
		t.Helper()
		i := slices.IndexFunc(spans, func(s tracetest.Span) bool {
			return s.Service == service && s.Name == name && s.Kind == "server" && (trace == "" || s.Trace == trace) &&
				(service != "sekisho" || s.Attributes["oauth.grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange")
		})
		if i < 0 {
			t.Fatalf("no span %s of %s in the trace %q", name, service, trace)
		}
		return spans[i]
	}
	byID := map[string]tracetest.Span{}
	for _, one := range spans {
		byID[one.ID] = one
	}
	under := func(inner, outer tracetest.Span) bool {
		for inner.Parent != "" && inner.ID != outer.ID {
			inner = byID[inner.Parent]
		}
		return inner.ID == outer.ID
	}

	buy := find("market-app", "POST /buy", "")
	charge := find("pay", "POST /charges", buy.Trace)
	exchange := find("sekisho", "/oauth2/token", buy.Trace)
	item := find("market", "GET /items/{id}", buy.Trace)
	if !under(charge, buy) || !under(exchange, charge) || !under(item, charge) {
		t.Errorf("the spans do not stand under each other: %+v", []tracetest.Span{buy, charge, exchange, item})
	}
	if got := exchange.Attributes["sekisho.client"]; got != "pay.backend" {
		t.Errorf("the exchange is shown as one of %q", got)
	}
	if got := item.Attributes["sekisho.client"]; got != "pay.backend" {
		t.Errorf("market shows a call of %q", got)
	}
}
