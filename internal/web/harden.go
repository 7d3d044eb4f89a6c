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

// machineHeaders suit an answer without markup. Pages replace the policy with
// their own. The values are shared: they are only ever replaced.
var machineHeaders = []struct {
	name  string
	value []string
}{
	{"Content-Security-Policy", []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Strict-Transport-Security", []string{"max-age=63072000; includeSubDomains"}}, // browsers ignore it on plain http
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
}

// Harden sets the headers that suit an answer without markup and refuses a URL
// that is too long.
func Harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for _, h := range machineHeaders {
			header[h.name] = h.value
		}
		if len(r.RequestURI) > maxURL {
			WriteError(w, r, &oauth.Error{
				Code: oauth.InvalidRequest, Status: http.StatusRequestURITooLong,
				Description: "The URL is longer than this server accepts.",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Bound bounds the body and the time of a request.
func Bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), handlerTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r.WithContext(ctx))
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
