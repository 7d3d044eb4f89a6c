package web

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// Limits that hold for every request.
const (
	maxURL         = 8 << 10
	maxBody        = 1 << 20
	handlerTimeout = 15 * time.Second
)

// Harden bounds the URL, the body and the time of every request, and sets the
// headers that suit an answer without markup. Pages replace the policy with
// their own.
func Harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains") // browsers ignore it on plain http
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if len(r.RequestURI) > maxURL {
			WriteError(w, r, &oauth.Error{
				Code: oauth.InvalidRequest, Status: http.StatusRequestURITooLong,
				Description: "The URL is longer than this server accepts.",
			})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), handlerTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		// The copy made by WithContext must not hide the matched pattern from
		// the log, which holds the request as it came in.
		inner := r.WithContext(ctx)
		defer func() { r.Pattern = inner.Pattern }()
		next.ServeHTTP(w, inner)
	})
}

// Recover answers a panic with server_error and logs its stack under the
// correlation id. It stands inside Log and outside everything else.
func Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
				panic(cause)
			}
			event := Event(r.Context())
			event.Set("stack", string(debug.Stack()))
			WriteError(w, r, fmt.Errorf("panic: %v", cause))
		}()
		next.ServeHTTP(w, r)
	})
}
