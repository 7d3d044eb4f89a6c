package token

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// refusalOf maps the sentinels of the rooms to what a client may know. What it
// does not know passes through and is answered as the server's own failure.
func refusalOf(err error) error {
	var refused *oauth.Error
	var ended grant.Refusal
	var limited tooMany
	var over pairwise.OverBudget
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &ended):
		return oauth.Refuse(oauth.InvalidGrant, "The code or refresh token is refused: "+string(ended)+".")
	case errors.Is(err, registry.ErrClientAuthentication):
		return oauth.Refuse(oauth.InvalidClient,
			"Client authentication failed: unknown client, wrong credentials, or a method that is not the one declared for it.")
	case errors.Is(err, registry.ErrGrantRefused):
		return oauth.Refuse(oauth.UnauthorizedClient, "This "+err.Error()+".")
	case errors.Is(err, mint.ErrInvalid):
		return oauth.Refuse(oauth.InvalidToken, "The access token is not valid: expired, revoked, or not issued here.")
	case errors.Is(err, audit.ErrUnavailable), errors.Is(err, registry.ErrAssertionsFull):
		return oauth.Refuse(oauth.TemporarilyUnavailable, "The server cannot answer at the moment. Try again in a few seconds.")
	case errors.As(err, &limited):
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests,
			Description: "Too many requests. Wait as long as Retry-After says.",
		}
	case errors.As(err, &over):
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests,
			Description: "The daily budget of conversions is used up, and each credential of an event counts as one. Wait as long as Retry-After says, or have the operators raise it.",
		}
	default:
		return err
	}
}

// refuse writes a refusal.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var limited tooMany
	var over pairwise.OverBudget
	switch {
	case errors.As(err, &limited):
		web.SetRetryAfter(w, limited.retryAfter)
	case errors.As(err, &over):
		web.SetRetryAfter(w, over.RetryAfter)
	}
	web.WriteError(w, r, refusalOf(err))
}

// refuse makes a refusal of a format whose arguments are plain words.
func refuse(code oauth.Code, format string, args ...any) *oauth.Error {
	return oauth.Refuse(code, fmt.Sprintf(format, args...))
}

// word is a value that a client sent, if it may stand in an error description
// (RFC 6749 §5.2: no quotes, no backslashes, nothing but printable ASCII).
func word(value string) string {
	if len(value) > 200 {
		return "that was named"
	}
	for i := range len(value) {
		if c := value[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return "that was named"
		}
	}
	return value
}
