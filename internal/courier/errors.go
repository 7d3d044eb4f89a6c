package courier

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// tooMany is the refusal of a request over a limit.
type tooMany struct {
	what       string
	retryAfter time.Duration
}

func (t tooMany) Error() string { return t.what }

// refusalOf maps the sentinels of the rooms to what the caller may know.
func refusalOf(err error) error {
	var many tooMany
	switch {
	case errors.Is(err, mint.ErrInvalid):
		return oauth.Refuse(oauth.InvalidToken, "The access token is not valid: expired, revoked, or not issued here.")
	case errors.Is(err, errNoStream):
		return &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusNotFound,
			Description: "This client has no such stream.",
		}
	case errors.Is(err, errHasStream):
		return &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusConflict,
			Description: "This client has a stream already; read, update or delete that one.",
		}
	case errors.As(err, &many):
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests,
			Description: many.what + " Wait as long as Retry-After says.",
		}
	case errors.Is(err, audit.ErrUnavailable):
		return oauth.Refuse(oauth.TemporarilyUnavailable, "The server cannot answer at the moment. Try again in a few seconds.")
	default:
		return err
	}
}

// refuse writes a refusal.
func (c *Courier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var many tooMany
	if errors.As(err, &many) {
		web.SetRetryAfter(w, many.retryAfter)
	}
	web.WriteError(w, r, refusalOf(err))
}

// invalid is the refusal of a request that says something wrong. What is put
// into the text must be words of ours.
func invalid(format string, args ...any) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, fmt.Sprintf(format, args...))
}
