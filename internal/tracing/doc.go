// Package tracing owns the spans that the server sends to an OpenTelemetry
// collector: one for each request that it answers and for each event that it
// brings to a receiver. A trace that a caller began (W3C traceparent) goes on.
//
// Spans hold routes, statuses, grant types and client ids, never a person, a
// scope, a token or a path. Without a collector there is no Tracer: every method
// of a nil *Tracer does nothing and costs nothing.
package tracing
