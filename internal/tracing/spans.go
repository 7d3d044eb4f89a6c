package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxValue bounds what a span holds of a request before it is authenticated.
const maxValue = 200

// Handler gives each request a span, which goes on with the caller's trace. Off,
// it is next itself.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Answered is what a span tells of a request.
type Answered struct {
	Route, Method string
	Status        int

	Request   string // its correlation id
	Client    string
	GrantType string
	Error     string // code of a refusal
}

// Tell writes what became of a request on its span, and gives the id of its
// trace where the trace is kept.
func (t *Tracer) Tell(ctx context.Context, a Answered) (id string) {
	if t == nil {
		return ""
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return ""
	}
	span.SetName(a.Route)
	span.SetAttributes(
		attribute.String("http.route", a.Route),
		attribute.String("http.request.method", method(a.Method)),
		attribute.Int("http.response.status_code", a.Status),
		attribute.String("sekisho.request", a.Request))
	for _, one := range []struct{ key, value string }{
		{"sekisho.client", a.Client}, {"oauth.grant_type", a.GrantType}, {"error.type", a.Error},
	} {
		if one.value != "" {
			span.SetAttributes(attribute.String(one.key, one.value[:min(len(one.value), maxValue)]))
		}
	}
	if a.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, a.Error)
	}
	return span.SpanContext().TraceID().String()
}

// method keeps invented methods out of spans.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return name
	}
	return "_OTHER"
}

// Delivery is an event under way to a receiver.
type Delivery struct {
	Request *http.Request // the one to send: it carries the trace on
	span    trace.Span
}

// Delivery begins the span of a request that brings an event to a receiver.
func (t *Tracer) Delivery(request *http.Request, receiver, eventType string) Delivery {
	if t == nil {
		return Delivery{Request: request}
	}
	ctx, span := t.tracer.Start(request.Context(), "deliver "+receiver, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("sekisho.receiver", receiver),
		attribute.String("sekisho.event_type", eventType),
		attribute.String("http.request.method", method(request.Method)),
		attribute.String("server.address", request.URL.Hostname())))
	request = request.WithContext(ctx)
	propagator.Inject(ctx, propagation.HeaderCarrier(request.Header))
	return Delivery{request, span}
}

// Answered ends the span. A status of 0 means that nobody answered.
func (d Delivery) Answered(status int) {
	if d.span == nil {
		return
	}
	defer d.span.End()
	if status == 0 {
		d.span.SetStatus(codes.Error, "no answer")
		return
	}
	d.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusBadRequest {
		d.span.SetStatus(codes.Error, http.StatusText(status))
	}
}
