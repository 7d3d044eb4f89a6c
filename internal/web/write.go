package web

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

// retryAfter is what a caller is told to wait, in seconds, when a part of the
// server cannot answer at the moment.
const retryAfter = "2"

// WriteJSON answers with v. It is not to be stored by any cache unless the
// door has set another Cache-Control before.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// Only a type that cannot be written at all gets here, never a value.
		panic("web: answer cannot be written as JSON: " + err.Error())
	}
	WriteRawJSON(w, status, body)
}

// WriteRawJSON is WriteJSON of what has been written as JSON already.
func WriteRawJSON(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	if header.Get("Cache-Control") == "" {
		header["Cache-Control"] = noStore
		header["Pragma"] = noCache
	}
	header["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails; nobody is left to tell
}

// The values of headers that every answer of JSON has. They are shared: they
// are only ever replaced.
var (
	noStore  = []string{"no-store"}
	noCache  = []string{"no-cache"} // RFC 6749 §5.1
	jsonType = []string{"application/json"}
)

// WriteError answers with err as JSON. What is not an *oauth.Error tells the
// caller nothing: it is logged under the correlation id alone.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	refusal := Refusal(r.Context(), err)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		// The caller hung up. Nobody reads the answer, and it is no failure of
		// ours that would have to be looked into.
		w.WriteHeader(statusHungUp)
		return
	}
	if refusal.Code == oauth.TemporarilyUnavailable && header.Get("Retry-After") == "" {
		header.Set("Retry-After", retryAfter)
	}
	challenge(header, r, refusal)
	if refusal.Code == "" {
		// RFC 6750 §3.1: a request without any token learns the scheme only.
		w.WriteHeader(refusal.HTTPStatus())
		return
	}
	WriteJSON(w, refusal.HTTPStatus(), refusal)
}

// statusHungUp is what the log shows of a request whose caller did not wait.
const statusHungUp = 499

// NoToken is the refusal of a request that carries no bearer token at all: 401
// and the scheme, without an error code (RFC 6750 §3.1).
var NoToken = &oauth.Error{Status: http.StatusUnauthorized}

// challenge adds WWW-Authenticate: Basic for a client that used the header
// (RFC 6749 §5.2), Bearer for errors about tokens (RFC 6750 §3). A client that did
// not use it gets none: a browser would ask the person for a password.
func challenge(header http.Header, r *http.Request, refusal *oauth.Error) {
	if header.Get("WWW-Authenticate") != "" {
		return // the door knows more, a scope for example
	}
	switch refusal.Code {
	case oauth.InvalidClient:
		if r.Header.Get("Authorization") != "" {
			header.Set("WWW-Authenticate", `Basic realm="clients", charset="UTF-8"`)
		}
	case oauth.InvalidToken, oauth.InsufficientScope:
		header.Set("WWW-Authenticate",
			scheme(r)+` error="`+string(refusal.Code)+`", error_description="`+refusal.Description+`"`+algorithms(r))
	case oauth.InvalidDPoPProof, oauth.UseDPoPNonce:
		if refusal.HTTPStatus() == http.StatusUnauthorized { // at a resource, RFC 9449 §7.1, §9
			header.Set("WWW-Authenticate",
				`DPoP error="`+string(refusal.Code)+`", error_description="`+refusal.Description+`"`+dpopAlgorithms)
		}
	case "":
		header.Set("WWW-Authenticate", "Bearer")
		header.Add("WWW-Authenticate", "DPoP"+strings.TrimPrefix(dpopAlgorithms, ","))
	}
}

// dpopAlgorithms ends a challenge of the scheme DPoP (RFC 9449 §7.1).
var dpopAlgorithms = `, algs="` + strings.Join(dpop.Algorithms, " ") + `"`

// scheme is the scheme that a request came with, which is that of the challenge.
func scheme(r *http.Request) string {
	if sentDPoP(r) {
		return oauth.DPoP
	}
	return oauth.Bearer
}

func algorithms(r *http.Request) string {
	if sentDPoP(r) {
		return dpopAlgorithms
	}
	return ""
}

func sentDPoP(r *http.Request) bool {
	sent, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(sent, oauth.DPoP)
}

// Refusal maps err to what the caller may know of it, and notes it in the
// request's event.
func Refusal(ctx context.Context, err error) *oauth.Error {
	event := Event(ctx)
	var refusal *oauth.Error
	if errors.As(err, &refusal) {
		event.Set("error", string(refusal.Code))
		event.Set("reason", refusal.Description)
		return refusal
	}
	event.Set("cause", err.Error())
	if unavailable(err) {
		event.Set("error", string(oauth.TemporarilyUnavailable))
		return oauth.Refuse(oauth.TemporarilyUnavailable,
			"The server cannot answer at the moment. Try again in a few seconds.")
	}
	event.Set("error", string(oauth.ServerError))
	return oauth.Refuse(oauth.ServerError,
		"The server could not answer. The operator finds the cause under correlation id "+event.ID+".")
}

// unavailable reports whether err is of the kind that passes by itself.
func unavailable(err error) bool {
	return errors.Is(err, db.ErrUnavailable) ||
		errors.Is(err, audit.ErrUnavailable) ||
		errors.Is(err, secret.ErrBusy) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled)
}

// AllowMethods refuses the methods that an endpoint does not have (RFC 9110
// §15.5.6).
func AllowMethods(w http.ResponseWriter, r *http.Request, methods ...string) error {
	if slices.Contains(methods, r.Method) {
		return nil
	}
	allowed := strings.Join(methods, ", ")
	w.Header().Set("Allow", allowed)
	return &oauth.Error{
		Code: oauth.InvalidRequest, Status: http.StatusMethodNotAllowed,
		Description: "This endpoint takes " + allowed + " requests only.",
	}
}

// SetRetryAfter says after how long to come again, in whole seconds (RFC 9110
// §10.2.3).
func SetRetryAfter(w http.ResponseWriter, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
}
