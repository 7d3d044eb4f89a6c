package rs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
)

// errNoToken is answered without an error code: the caller has not tried yet
// (RFC 6750 §3.1).
var errNoToken = &oauth.Error{Description: "This needs an access token in the Authorization header.", Status: http.StatusUnauthorized}

func refuseToken(why string) error { return oauth.Refuse(oauth.InvalidToken, why) }

// scopeError is a refusal that names what would have been enough.
type scopeError struct {
	refusal *oauth.Error
	need    requirement
}

func (e *scopeError) Error() string { return e.refusal.Error() }
func (e *scopeError) Unwrap() error { return e.refusal }

func refuseScope(why string, need requirement) error {
	return &scopeError{oauth.Refuse(oauth.InsufficientScope, why), need}
}

// unavailable is the answer while a token cannot be judged: never a yes, and
// no blame on the token either.
func unavailable() error {
	return oauth.Refuse(oauth.TemporarilyUnavailable, "The token cannot be checked at the moment; try again.")
}

// body is a refusal as JSON. Without a code it has only words.
type body struct {
	Code        oauth.Code `json:"error,omitempty"`
	Description string     `json:"error_description"`
}

// refuse writes an error as RFC 6750 §3 and RFC 9449 §7.1 have it.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error, need requirement) {
	var refusal *oauth.Error
	if !errors.As(err, &refusal) {
		refusal = oauth.Refuse(oauth.ServerError, "The token could not be checked.")
	}
	status := refusal.HTTPStatus()
	header := w.Header()
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest:
		header["Www-Authenticate"] = g.challenges(r, refusal, need)
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "2")
	}
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The status is sent; an answer that cannot be written has nobody to tell.
	_ = json.NewEncoder(w).Encode(body{refusal.Code, refusal.Description})
}

// challenges are the scheme that the request came with, and where it may be the wrong
// one, the other.
func (g *Guard) challenges(r *http.Request, refusal *oauth.Error, need requirement) []string {
	if g.boundOnly || sentDPoP(r) {
		return []string{g.challenge(oauth.DPoP, refusal, need)}
	}
	bearer := g.challenge(oauth.Bearer, refusal, need)
	if refusal.Code != "" && refusal.Code != oauth.InvalidToken {
		return []string{bearer}
	}
	return []string{bearer, g.challenge(oauth.DPoP, &oauth.Error{}, need)}
}

func sentDPoP(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, oauth.DPoP)
}

// challenge is the WWW-Authenticate header. Every text in it is of a kind that
// needs no escaping: descriptions are our own, scopes are checked.
func (g *Guard) challenge(scheme string, refusal *oauth.Error, need requirement) string {
	parts := []string{`realm="` + quotable(g.audience) + `"`}
	if refusal.Code != "" {
		parts = append(parts, `error="`+string(refusal.Code)+`"`, `error_description="`+quotable(refusal.Description)+`"`)
	}
	if refusal.Code == oauth.InsufficientUserAuthentication {
		if len(need.acr) > 0 {
			parts = append(parts, `acr_values="`+quotable(strings.Join(need.acr, " "))+`"`)
		}
		if need.maxAge > 0 {
			parts = append(parts, fmt.Sprintf(`max_age="%d"`, int(need.maxAge/time.Second)))
		}
	}
	if g.metadataURL != "" {
		parts = append(parts, `resource_metadata="`+quotable(g.metadataURL)+`"`)
	}
	if len(need.scopes) > 0 && refusal.Code != oauth.InvalidRequest {
		parts = append(parts, `scope="`+need.scopes.String()+`"`)
	}
	if scheme == oauth.DPoP {
		parts = append(parts, `algs="`+strings.Join(dpop.Algorithms, " ")+`"`)
	}
	return scheme + " " + strings.Join(parts, ", ")
}

// quotable keeps what may stand between quotes in a header (RFC 6750 §3).
func quotable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, text)
}
