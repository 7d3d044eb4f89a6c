package demo

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Traces gives a system what it makes spans with, so that each is shown under
// its own name. It may give nil.
type Traces func(ctx context.Context, party string) (trace.TracerProvider, error)

// The market's and pay's spans are made by their guards, and those of requests to
// the authorization server by the SDK. What is left is what any web site does.

var propagator = propagation.TraceContext{}

// traced begins a trace with each visit to a site.
func (s *site) traced(next http.Handler) http.Handler {
	if s.spans == nil {
		return next
	}
	tracer := s.spans.Tracer(s.party)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), r.Pattern, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// carrying has a system's calls carry its trace on.
type carrying struct{ next http.RoundTripper }

func (c carrying) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace.SpanContextFromContext(r.Context()).IsValid() {
		r = r.Clone(r.Context())
		propagator.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
	}
	return c.next.RoundTrip(r)
}
