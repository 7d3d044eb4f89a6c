package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Codes of refusals (RFC 8935 §2.4).
const (
	InvalidRequest       = "invalid_request"
	InvalidKey           = "invalid_key"
	InvalidIssuer        = "invalid_issuer"
	InvalidAudience      = "invalid_audience"
	AuthenticationFailed = "authentication_failed"
	AccessDenied         = "access_denied"
)

// Refusal is the answer to an event that is not accepted and need not come
// again (RFC 8935 §2.4). A handler may return one; any other error of a handler
// makes the event come again.
type Refusal struct {
	Code        string `json:"err"`
	Description string `json:"description"`
}

func (e *Refusal) Error() string { return "event: " + e.Code + ": " + e.Description }

func refuse(code, description string) error { return &Refusal{code, description} }

// handlerError is an error of a handler: an answer of 500, unless it refuses.
type handlerError struct {
	eventType string
	err       error
}

func (e *handlerError) Error() string {
	return fmt.Sprintf("event: handling %s: %v", e.eventType, e.err)
}
func (e *handlerError) Unwrap() error { return e.err }

// unavailableError is a failure on our side that has to do with no event in
// particular: an answer of 503.
type unavailableError struct {
	what string
	err  error
}

func (e *unavailableError) Error() string { return fmt.Sprintf("event: %s: %v", e.what, e.err) }
func (e *unavailableError) Unwrap() error { return e.err }

func unavailable(what string, err error) error { return &unavailableError{what, err} }

// retryAfter is when a sender should come again, in seconds.
const retryAfter = "5"

// fail answers an error. What a refusal says is made to be read by senders;
// of our own failures they learn nothing.
func (r *Receiver) fail(w http.ResponseWriter, request *http.Request, err error) {
	ctx := request.Context()
	w.Header().Set("Cache-Control", "no-store")
	var refusal *Refusal
	var handler *handlerError
	switch {
	case errors.As(err, &refusal):
		r.log.WarnContext(ctx, "event refused", "code", refusal.Code, "description", refusal.Description)
		w.Header().Set("Content-Language", "en")
		writeJSON(w, http.StatusBadRequest, refusal)
		return
	case errors.As(err, &handler):
		r.log.ErrorContext(ctx, "event not handled", "type", handler.eventType, "error", handler.err)
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusInternalServerError)
	default:
		r.log.ErrorContext(ctx, "event not taken", "error", err)
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The status is sent; an answer that cannot be written has nobody to tell.
	_ = json.NewEncoder(w).Encode(v)
}

func readAll(body io.ReadCloser) ([]byte, error) {
	defer body.Close()
	return io.ReadAll(body)
}
