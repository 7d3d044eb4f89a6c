package subjects

import (
	"errors"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// refusalOf maps the sentinels of the rooms to what the asker may know.
func refusalOf(err error) error {
	var over pairwise.OverBudget
	switch {
	case errors.Is(err, mint.ErrInvalid):
		return oauth.Refuse(oauth.InvalidToken, "The access token is not valid: expired, revoked, or not issued here.")
	case errors.As(err, &over):
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests,
			Description: "The daily budget of conversions is used up. Wait as long as Retry-After says, or have the operators raise it.",
		}
	case errors.Is(err, audit.ErrUnavailable), errors.Is(err, pairwise.ErrNoSecret):
		return oauth.Refuse(oauth.TemporarilyUnavailable, "The server cannot answer at the moment. Try again in a few seconds.")
	default:
		return err
	}
}

// refuse writes a refusal.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var over pairwise.OverBudget
	if errors.As(err, &over) {
		web.SetRetryAfter(w, over.RetryAfter)
	}
	web.WriteError(w, r, refusalOf(err))
}

// reasonOf tells why a request was refused, if it was a decision and not a
// failure.
func reasonOf(err error) (string, bool) {
	var refusal *oauth.Error
	var over pairwise.OverBudget
	switch {
	case errors.As(err, &refusal):
		return refusal.Description, true
	case errors.As(err, &over):
		return over.Error(), true
	}
	return "", false
}
