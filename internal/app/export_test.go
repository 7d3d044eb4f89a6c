package app

import (
	"crypto/tls"
	"net/http"
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
