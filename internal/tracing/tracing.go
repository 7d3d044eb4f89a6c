package tracing

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	scope        = "github.com/sekisho-id/sekisho"
	closeTimeout = 3 * time.Second // for the last spans, when the process ends
	complainGap  = time.Minute     // between two complaints about one collector
)

// Config says where spans go.
type Config struct {
	Collector string // base URL of an OTLP/HTTP collector; empty: no traces
	Service   string // the name that spans are shown under
	Version   string
	Complain  func(error) // told now and then of spans that did not arrive; optional
}

// Tracer makes spans. A nil one makes none.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// propagator writes and reads traceparent and tracestate, and nothing else:
// baggage would carry what a caller likes to whomever we call.
var propagator = propagation.TraceContext{}

// Open makes a Tracer, or none where no collector is named. A collector that
// does not answer is no fault: spans are dropped, requests never wait for them.
// The variables OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and their like are
// read by the libraries themselves.
func Open(ctx context.Context, config Config) (*Tracer, error) {
	if config.Collector == "" {
		return nil, nil
	}
	options, err := target(config.Collector)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, otlptracehttp.NewClient(options...))
	if err != nil {
		return nil, fmt.Errorf("collector of traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", config.Service), attribute.String("service.version", config.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("attributes of traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithBatcher(&complaining{SpanExporter: exporter, complain: config.Complain}))
	return &Tracer{provider: provider, tracer: provider.Tracer(scope, trace.WithInstrumentationVersion(config.Version))}, nil
}

// target is where spans are posted: /v1/traces below the base URL, as the OTLP
// specification has it, unless the variable for traces alone names another place.
func target(collector string) ([]otlptracehttp.Option, error) {
	u, err := url.Parse(collector)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("collector of traces: %q is no http or https URL", collector)
	}
	if os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" {
		return nil, nil
	}
	return []otlptracehttp.Option{otlptracehttp.WithEndpointURL(u.JoinPath("v1", "traces").String())}, nil
}

// Close sends the last spans. It does not wait long for a collector that is away.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what did not arrive was complained about
}

// Provider gives spans to the SDK, in the example group. It is nil without a
// collector.
func (t *Tracer) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// complaining tells of spans that did not arrive, once a minute.
type complaining struct {
	sdktrace.SpanExporter
	complain func(error)
	last     time.Time // exports come one at a time
}

func (c *complaining) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	now := time.Now() //nolint:forbidigo // spaces complaints, decides nothing
	if err == nil || c.complain == nil || now.Sub(c.last) < complainGap {
		return nil
	}
	c.last = now
	c.complain(err)
	return nil
}
