package registration

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// refuse makes a refusal of the metadata.
func refuse(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidClientMetadata, description)
}

// refusalOf maps the sentinels of the rooms to what the asker may know.
func refusalOf(err error) error {
	var refused *oauth.Error
	var faults registry.Faults
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &faults) && len(faults) > 0:
		return told(faults)
	case errors.Is(err, registry.ErrRegistrationToken):
		return oauth.Refuse(oauth.InvalidToken, "The initial access token is unknown, expired or withdrawn. The operators of the group make another.")
	case errors.Is(err, registry.ErrRegistrationAccess):
		return oauth.Refuse(oauth.InvalidToken, "There is no such client, or this is not its registration access token.")
	case errors.Is(err, registry.ErrRegistrationsFull):
		return oauth.Refuse(oauth.AccessDenied, "There are as many registered clients as there may be. Delete those that are not in use.")
	case errors.Is(err, audit.ErrUnavailable):
		return oauth.Refuse(oauth.TemporarilyUnavailable, "The server cannot answer at the moment. Try again in a few seconds.")
	}
	if _, limited := waiting(err); limited {
		return &oauth.Error{
			Code: oauth.TemporarilyUnavailable, Status: http.StatusTooManyRequests,
			Description: "Too many requests. Wait as long as Retry-After says.",
		}
	}
	return err
}

// waiting is how long to wait before another try, where that is what is wrong.
func waiting(err error) (time.Duration, bool) {
	var often tooMany
	var spent registry.RegistrationsSpent
	switch {
	case errors.As(err, &often):
		return often.retryAfter, true
	case errors.As(err, &spent):
		return spent.RetryAfter, true
	}
	return 0, false
}

// names are what RFC 7591 calls the keys of a client in the group file.
var names = map[string]string{
	"auth":              "token_endpoint_auth_method",
	"id_token_alg":      "id_token_signed_response_alg",
	"name":              "client_name",
	"jar":               "require_signed_request_object",
	"sender_constraint": "dpop_bound_access_tokens",
	"par":               "require_pushed_authorization_requests",
	"type":              "application_type",
	"cors_origins":      "redirect_uris", // of which they are made
}

// told is the first of the faults, and how many there are.
func told(faults registry.Faults) *oauth.Error {
	first := faults[0]
	key, place, _ := strings.Cut(first.Path, "[")
	if place != "" {
		place = "[" + place
	}
	if key, _, _ = strings.Cut(key, "."); names[key] != "" {
		key = names[key]
	}
	code := oauth.InvalidClientMetadata
	if key == "redirect_uris" {
		code = oauth.InvalidRedirectURI
	}
	description := key + place + ": " + plain(first.What) + "."
	if len(faults) > 1 {
		description += fmt.Sprintf(" There are %d faults more.", len(faults)-1)
	}
	return oauth.Refuse(code, description)
}

const maxTold = 300

// plain keeps a text to the characters of an error description (RFC 6749 §5.2).
func plain(text string) string {
	text = strings.NewReplacer(`"`, "'", "§", "section ").Replace(text)
	text = strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '\\' {
			return '?'
		}
		return c
	}, text)
	if len(text) > maxTold {
		text = text[:maxTold] + "..."
	}
	return text
}

// refuse records a refusal and writes it.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, client string, err error) {
	if recordErr := d.recordRefusal(r, client, err); recordErr != nil {
		err = recordErr
	}
	if wait, limited := waiting(err); limited {
		web.SetRetryAfter(w, wait)
	}
	web.WriteError(w, r, refusalOf(err))
}

// recordRefusal writes a refusal down. A source that asks too often, and what is
// no decision, are not.
func (d *Door) recordRefusal(r *http.Request, client string, err error) error {
	var refusal *oauth.Error
	var often tooMany
	if errors.As(err, &often) || !errors.As(refusalOf(err), &refusal) || refusal.Code == "" ||
		refusal.Status == http.StatusMethodNotAllowed || refusal.Code == oauth.TemporarilyUnavailable && refusal.Status == 0 {
		return nil
	}
	from := d.origin(r)
	return d.Audit.Enqueue(audit.Record{
		At: d.Now(), Event: audit.RegistrationRefused, Outcome: audit.Refused, Client: client, Reason: string(refusal.Code),
		Source: from.Source, Request: from.Request, Detail: map[string]any{"method": r.Method, "why": refusal.Description},
	})
}
