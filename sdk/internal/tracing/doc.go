// Package tracing carries W3C trace context through the SDK: out with each
// request that it sends, and in with those that a Guard lets through. It depends
// on the OpenTelemetry API alone. A program that makes no spans pays nothing but
// a look into the context.
//
// Spans hold methods, hosts, routes, statuses and client ids, never a person, a
// scope, a token or a path.
package tracing
