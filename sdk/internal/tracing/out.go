package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/sekisho-id/sekisho/sdk"

// propagator writes and reads traceparent and tracestate. Baggage stays with
// those who want it.
var propagator = propagation.TraceContext{}

// Transport sends requests through next. Under a span of the caller each becomes
// a span of its own, made by the same provider, and carries the trace on.
type Transport struct{ Next http.RoundTripper }

// RoundTrip sends one request.
func (t Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	around := trace.SpanFromContext(request.Context())
	if !around.SpanContext().IsValid() {
		return t.Next.RoundTrip(request)
	}
	ctx, span := around.TracerProvider().Tracer(scope).Start(request.Context(), request.Method+" "+request.URL.Host,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("http.request.method", request.Method),
			attribute.String("server.address", request.URL.Hostname())))
	defer span.End()
	request = request.Clone(ctx) // a RoundTripper must not change the request it was given
	propagator.Inject(ctx, propagation.HeaderCarrier(request.Header))
	response, err := t.Next.RoundTrip(request)
	if err != nil {
		span.SetStatus(codes.Error, "no answer")
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
	if response.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, http.StatusText(response.StatusCode))
	}
	return response, nil
}

// CloseIdleConnections is found by http.Client.
func (t Transport) CloseIdleConnections() {
	if closer, ok := t.Next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
