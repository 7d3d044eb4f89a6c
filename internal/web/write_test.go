package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// serve runs a handler behind the middleware every URL has, and gives the
// answer and the log line.
func serve(t *testing.T, r *http.Request, handler http.HandlerFunc) (*httptest.ResponseRecorder, map[string]any, string) {
	t.Helper()
	var log bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc("/page/{handle}", handler)
	w := httptest.NewRecorder()
	web.Log(slog.New(slog.NewJSONHandler(&log, nil)), nil, web.Recover(web.Harden(mux))).ServeHTTP(w, r)
	if strings.Count(log.String(), "\n") != 1 {
		t.Fatalf("%d log lines:\n%s", strings.Count(log.String(), "\n"), log.String())
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	return w, line, log.String()
}

func request() *http.Request {
	return httptest.NewRequest(http.MethodGet, "/page/the-handle?query=canary", nil)
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	cause := errors.New("SELECT secret FROM canary")
	for name, test := range map[string]struct {
		err       error
		header    string // Authorization
		status    int
		code      string
		challenge string
		retry     string
	}{
		"refusal":             {oauth.Refuse(oauth.InvalidGrant, "The code has expired."), "", 400, "invalid_grant", "", ""},
		"wrapped":             {fmt.Errorf("door: %w", oauth.Refuse(oauth.InvalidTarget, "No edge.")), "", 400, "invalid_target", "", ""},
		"own status":          {&oauth.Error{Code: oauth.InvalidRequest, Status: 413}, "", 413, "invalid_request", "", ""},
		"client":              {oauth.Refuse(oauth.InvalidClient, "No."), "", 401, "invalid_client", "", ""},
		"client by basic":     {oauth.Refuse(oauth.InvalidClient, "No."), "Basic YTpi", 401, "invalid_client", `Basic realm="clients", charset="UTF-8"`, ""},
		"client by Bearer":    {oauth.Refuse(oauth.InvalidClient, "No."), "Bearer abc", 401, "invalid_client", `Basic realm="clients", charset="UTF-8"`, ""},
		"token":               {oauth.Refuse(oauth.InvalidToken, "It has expired."), "", 401, "invalid_token", `Bearer error="invalid_token", error_description="It has expired."`, ""},
		"scope":               {oauth.Refuse(oauth.InsufficientScope, "It lacks openid."), "", 403, "insufficient_scope", `Bearer error="insufficient_scope", error_description="It lacks openid."`, ""},
		"no token":            {web.NoToken, "", 401, "", "Bearer", ""},
		"database":            {fmt.Errorf("x: %w: %w", db.ErrUnavailable, cause), "", 503, "temporarily_unavailable", "", "2"},
		"audit":               {fmt.Errorf("x: %w", audit.ErrUnavailable), "", 503, "temporarily_unavailable", "", "2"},
		"hashing":             {fmt.Errorf("x: %w", secret.ErrBusy), "", 503, "temporarily_unavailable", "", "2"},
		"deadline":            {fmt.Errorf("x: %w", context.DeadlineExceeded), "", 503, "temporarily_unavailable", "", "2"},
		"anything else":       {cause, "", 500, "server_error", "", ""},
		"not found in a room": {db.ErrNotFound, "", 500, "server_error", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request()
			if test.header != "" {
				r.Header.Set("Authorization", test.header)
			}
			w, line, _ := serve(t, r, func(w http.ResponseWriter, r *http.Request) { web.WriteError(w, r, test.err) })
			var body struct {
				Error string `json:"error"`
			}
			if test.code != "" {
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
					t.Fatal(err)
				}
			} else if w.Body.Len() > 0 {
				t.Errorf("body %q", w.Body)
			}
			if w.Code != test.status || body.Error != test.code || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
			}
			if w.Header().Get("WWW-Authenticate") != test.challenge || w.Header().Get("Retry-After") != test.retry {
				t.Errorf("challenge %q, retry %q", w.Header().Get("WWW-Authenticate"), w.Header().Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "canary") {
				t.Errorf("the caller learns %s", w.Body)
			}
			if test.status >= 500 && (line["request"] != w.Header().Get("X-Request-Id") || line["cause"] == nil || line["level"] != "ERROR") {
				t.Errorf("log line %v", line)
			}
		})
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	w, line, _ := serve(t, request(), func(http.ResponseWriter, *http.Request) { panic("canary") })
	if w.Code != 500 || strings.Contains(w.Body.String(), "canary") || !strings.Contains(w.Body.String(), w.Header().Get("X-Request-Id")) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(fmt.Sprint(line["stack"]), "TestRecover") || line["status"] != 500.0 {
		t.Errorf("log line %v", line)
	}
}

// TestLogLine: one line whatever is put in, cut and escaped, with the pattern
// of the route and neither path nor query (W9).
func TestLogLine(t *testing.T) {
	t.Parallel()
	r := request()
	r.Header.Set("X-Request-Id", "chosen by the client")
	w, line, text := serve(t, r, func(w http.ResponseWriter, r *http.Request) {
		event := web.Event(r.Context())
		event.Set("client", "a\r\n{\"level\":\"fake\"}\x1b[31m\u2028\xff")
		event.Set("huge", strings.Repeat("名", 1<<20))
		event.Set("client", "b\r\n\x1b[31m\u2028\xff")
		for i := range 30 {
			event.Set(fmt.Sprint("field", i), strings.Repeat("\x01", 1000))
		}
		w.WriteHeader(http.StatusTeapot)
	})
	if len(text) > 8<<10 || strings.ContainsAny(text, "\r\x1b\u2028") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
	if line["route"] != "/page/{handle}" || line["status"] != 418.0 || line["dropped_fields"] == nil {
		t.Errorf("line %v", line)
	}
	if strings.Contains(text, "canary") || strings.Contains(text, "the-handle") || strings.Contains(text, "fake") {
		t.Errorf("line %s", text)
	}
	if id := w.Header().Get("X-Request-Id"); len(id) != 32 || line["request"] != id {
		t.Errorf("correlation id %q, in the line %v", id, line["request"])
	}
}

// TestLogLineOfAStrangePath: the path of a request that no route matched takes
// from the room that the fields have.
func TestLogLineOfAStrangePath(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for i := range 9 {
			web.Event(r.Context()).Set(fmt.Sprint("field", i), strings.Repeat("x", 1000))
		}
	})
	r := httptest.NewRequest(http.MethodGet, "/"+strings.Repeat("%01", 1000), nil)
	r.Method = strings.Repeat("\x01", 1000)
	web.Log(slog.New(slog.NewJSONHandler(&log, nil)), nil, handler).ServeHTTP(httptest.NewRecorder(), r)
	if log.Len() > 8<<10 || !json.Valid(log.Bytes()) {
		t.Errorf("%d bytes: %s", log.Len(), log.String())
	}
}

func TestHarden(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/page/x?"+strings.Repeat("x", 9<<10), nil)
	w, _, _ := serve(t, r, func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	if w.Code != http.StatusRequestURITooLong {
		t.Errorf("%d", w.Code)
	}
	w, _, _ = serve(t, request(), func(w http.ResponseWriter, _ *http.Request) {
		web.WriteJSON(w, http.StatusOK, map[string]int{"a": 1})
	})
	if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v", w.Header())
	}
}

func TestClientIP(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, test := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy":                 {"192.0.2.7:1", nil, "192.0.2.7"},
		"header not believed":      {"192.0.2.7:1", []string{"1.2.3.4"}, "192.0.2.7"},
		"behind a proxy":           {"10.1.1.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		"client wrote one too":     {"10.1.1.1:1", []string{"9.9.9.9, 1.2.3.4"}, "1.2.3.4"},
		"two proxies":              {"10.1.1.1:1", []string{"9.9.9.9, 1.2.3.4, 10.2.2.2"}, "1.2.3.4"},
		"two headers":              {"10.1.1.1:1", []string{"9.9.9.9", "1.2.3.4"}, "1.2.3.4"},
		"garbage":                  {"10.1.1.1:1", []string{"not an address"}, "10.1.1.1"},
		"proxy without a header":   {"10.1.1.1:1", nil, "10.1.1.1"},
		"IPv6":                     {"[::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv4 in IPv6":             {"[::ffff:10.1.1.1]:1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		"no address (unix socket)": {"@", nil, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request()
			r.RemoteAddr, r.Header["X-Forwarded-For"] = test.peer, test.forwarded
			if got := web.ClientIP(r, proxies).String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	var read error
	handler := web.Bound(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, limited := r.Context().Deadline(); !limited {
			t.Error("a request may take for ever")
		}
		_, read = io.Copy(io.Discard, r.Body)
	}))
	for size, fits := range map[int]bool{1 << 20: true, 1<<20 + 1: false} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size)))
		handler.ServeHTTP(httptest.NewRecorder(), r)
		if (read == nil) != fits {
			t.Errorf("a body of %d bytes: %v", size, read)
		}
	}
}

// A caller that hangs up is no failure of the server.
func TestCallerThatHungUp(t *testing.T) {
	t.Parallel()
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody)
	w := httptest.NewRecorder()
	web.WriteError(w, r, fmt.Errorf("wait: %w", context.Canceled))
	if w.Code != 499 || w.Body.Len() > 0 {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
	// The same from within, while the caller waits, is one.
	w = httptest.NewRecorder()
	web.WriteError(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody), context.Canceled)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}
