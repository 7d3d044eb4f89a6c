package app

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"github.com/sekisho-id/sekisho/internal/courier"
)

// Patterns are the patterns of all public routes.
func (a *App) Patterns() []string {
	var patterns []string
	for pattern := range a.routes() {
		patterns = append(patterns, pattern)
	}
	return patterns
}

// Server is the server of a listener.
func (a *App) Server() *http.Server { return a.server(a.Handler()) }

// TLSConfig is the configuration of the public listener.
func TLSConfig(certificate tls.Certificate) *tls.Config { return tlsConfig(certificate) }

// OpsHandler serves operators.
func (a *App) OpsHandler() http.Handler { return a.opsHandler() }

// Answered tells of one answered request.
func (a *App) Answered(r *http.Request, status int, took time.Duration) { a.observe(r, status, took) }

// CloseTraces sends the spans there are.
func (a *App) CloseTraces(ctx context.Context) { a.tracer.Close(ctx) }

// Tried tells of one try to deliver an event.
func (a *App) Tried(o courier.Outcome) { a.metrics.observeEvent(o) }
