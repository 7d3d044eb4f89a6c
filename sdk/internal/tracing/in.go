package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Serve serves a request under the trace that it came with. Where nothing around
// it has made a span, and there is a provider, it makes one.
func Serve(provider trace.TracerProvider, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	ctx := r.Context()
	if trace.SpanContextFromContext(ctx).IsValid() || provider == nil && len(r.Header["Traceparent"]) == 0 {
		next(w, r) // another middleware was here before, or there is no trace
		return
	}
	ctx = propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	if provider == nil {
		next(w, r.WithContext(ctx))
		return
	}
	name := r.Pattern // never the path, which may name a person
	if name == "" {
		name = r.Method
	}
	ctx, span := provider.Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.route", name)))
	defer span.End()
	answer := &recorder{ResponseWriter: w}
	next(answer, r.WithContext(ctx))
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	span.SetAttributes(attribute.Int("http.response.status_code", answer.status))
	if answer.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(answer.status))
	}
}

// Caller notes on the span of a request which client calls.
func Caller(r *http.Request, client string) {
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetAttributes(attribute.String("sekisho.client", client))
	}
}

// recorder remembers the status that was answered.
type recorder struct {
	http.ResponseWriter
	status int
}

func (a *recorder) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *recorder) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *recorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }
