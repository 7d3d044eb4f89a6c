package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Limits of the log line of a request: one value, and all of them together.
// The rest of the 8 KiB is left for names, time and message.
const (
	maxLogValue  = 1 << 10
	maxLogMethod = 32
	maxLogLine   = 7 << 10

	usualFields = 4 // of an event; more of them cost an allocation
)

// RequestEvent gathers what is worth knowing of one request; the Log middleware
// writes it as one line when the request ends. Doors put in names, ids and
// reasons, never a token, code, password, cookie, verifier or assertion.
type RequestEvent struct {
	ID string // the correlation id, also sent as X-Request-Id

	mu     sync.Mutex
	fields []field
}

type field struct {
	key   string
	value any
}

// Set notes value under key; a later value replaces an earlier one.
func (e *RequestEvent) Set(key string, value any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.fields {
		if e.fields[i].key == key {
			e.fields[i].value = value
			return
		}
	}
	e.fields = append(e.fields, field{key, value})
}

// addTo gives a log record the fields, each cut to its limit; those for which
// the line has no room are left out and counted.
func (e *RequestEvent) addTo(record *slog.Record, room int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	attrs := make([]slog.Attr, 0, usualFields) // does not leave the stack
	dropped := 0
	for _, f := range e.fields {
		value := logValue(f.value)
		size := len(f.key) + escapedSize(value)
		if size > room {
			dropped++
			continue
		}
		room -= size
		attrs = append(attrs, slog.Any(f.key, value))
	}
	if dropped > 0 {
		attrs = append(attrs, slog.Int("dropped_fields", dropped))
	}
	record.AddAttrs(attrs...)
}

// logValue turns whatever a door noted into a bounded number, boolean or text.
// Escaping of control characters is the JSON handler's work.
func logValue(value any) any {
	switch v := value.(type) {
	case bool, int, int64, float64:
		return v
	case string:
		return cut(v)
	case []string:
		return cut(strings.Join(v, " "))
	case time.Duration:
		return v.Milliseconds()
	default:
		return cut(fmt.Sprint(v))
	}
}

func cut(s string) string { return cutTo(s, maxLogValue) }

func cutTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// escapedSize is the room a value takes in the line: an escaped control
// character takes six bytes.
func escapedSize(value any) int {
	text, ok := value.(string)
	if !ok {
		return 24
	}
	if appendjson.Plain(text) {
		return len(text) + len(`""`)
	}
	written, err := json.Marshal(text)
	if err != nil {
		return len(text) * 6
	}
	return len(written)
}

type eventKey struct{}

// Event is the event of the request ctx belongs to. Outside a request it is one
// that nobody reads, so that callers need not ask.
func Event(ctx context.Context) *RequestEvent {
	if e, ok := ctx.Value(eventKey{}).(*RequestEvent); ok {
		return e
	}
	return &RequestEvent{}
}

// Text is what was noted under key, if that is text, cut as in the log.
func (e *RequestEvent) Text(key string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.fields {
		if text, ok := e.fields[i].value.(string); ok && e.fields[i].key == key {
			return cut(text)
		}
	}
	return ""
}

// Observe is told of each answered request, before its line is written: the
// request, whose Pattern is empty where none matched, the status, and how long it
// took.
type Observe func(r *http.Request, status int, took time.Duration)

// visit is all that one request carries through the middleware, in one piece:
// its context, which knows the event, and the recorder of its answer.
type visit struct {
	context.Context
	event  RequestEvent
	answer statusRecorder
	began  time.Time
	id     [1]string // the correlation id as the value of a header
	fields [usualFields]field
}

func (v *visit) Value(key any) any {
	if key == (eventKey{}) {
		return &v.event
	}
	return v.Context.Value(key)
}

// Log gives each request its event and correlation id, writes one line when it
// ends and tells observe, which may be nil. The correlation id is always our
// own: one sent by the client could carry anything into the log.
func Log(logger *slog.Logger, observe Observe, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{
			Context: r.Context(), answer: statusRecorder{ResponseWriter: w},
			began: time.Now(), //nolint:forbidigo // measures a duration, decides nothing
		}
		v.event.ID, v.event.fields = secret.Mark(), v.fields[:0]
		v.id[0] = v.event.ID
		w.Header()["X-Request-Id"] = v.id[:]
		r = r.WithContext(v)
		defer func() { v.end(r, logger, observe) }()
		next.ServeHTTP(&v.answer, r)
	})
}

// end writes the line of the request. The handler is called itself, since the
// logger would look up the line of code for every request.
func (v *visit) end(r *http.Request, logger *slog.Logger, observe Observe) {
	now := time.Now() //nolint:forbidigo // when it was logged
	status, took := v.answer.statusOr200(), now.Sub(v.began)
	if observe != nil {
		observe(r, status, took)
	}
	level := level(status)
	if !logger.Enabled(v, level) {
		return
	}
	method, route := cutTo(r.Method, maxLogMethod), route(r)
	record := slog.NewRecord(now, level, "request", 0)
	record.AddAttrs(
		slog.String("request", v.event.ID),
		slog.String("method", method),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Int64("ms", took.Milliseconds()),
	)
	v.event.addTo(&record, maxLogLine-escapedSize(method)-escapedSize(route))
	_ = logger.Handler().Handle(v, record) // as the logger: a log that cannot be written has nowhere to say so
}

// route is the pattern that served the request. The path itself may hold the
// handle of a sign-in, so it is told only for requests no pattern matched.
func route(r *http.Request) string {
	if r.Pattern != "" {
		return r.Pattern
	}
	return cut(r.URL.Path)
}

func level(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// statusRecorder remembers the status that was answered.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *statusRecorder) statusOr200() int {
	if s.status == 0 {
		return http.StatusOK
	}
	return s.status
}
