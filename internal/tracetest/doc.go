// Package tracetest is a collector of traces for tests: an HTTP server that takes
// OTLP as a real one does and tells what it got.
package tracetest
