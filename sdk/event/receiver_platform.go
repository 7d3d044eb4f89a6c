package event

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// platformTypes is what the types of the platform's own events begin with.
const platformTypes = "https://schemas.openid.net/secevent/"

// ofPlatform reports whether events of a type are the platform's own.
func ofPlatform(eventType string) bool {
	return strings.HasPrefix(eventType, platformTypes) || eventType == oauth.EventSubjectsRekeyed
}

// platformEvent is what the platform says about sessions and accounts (CAEP 1.0
// §2), with the person as the subsystems know them that call this one.
type platformEvent struct {
	Timestamp int64    `json:"event_timestamp"`
	Callers   []caller `json:"callers"`
}

// caller is the person as the tokens of a subsystem that calls this one name
// them.
type caller struct {
	Subsystem string `json:"subsystem"`
	Subject   string `json:"sub"`
	Session   string `json:"sid"`
}

// applyPlatform ends at the guard what has ended, so that no token from before
// is let through any more. It may be done again.
func (r *Receiver) applyPlatform(e *Event) error {
	if e.Publisher != Platform || r.config.Guard == nil && r.config.Mapping == nil {
		return nil
	}
	var happened platformEvent
	if err := json.Unmarshal(e.Data, &happened); err != nil {
		return refuse(InvalidRequest, "The event is not of the form of its type.")
	}
	at := e.HappenedAt
	if happened.Timestamp > 0 {
		at = time.Unix(happened.Timestamp, 0)
	}
	// This subsystem's own clients may call it too.
	r.apply(e, at, caller{r.config.Audience, e.Subject, e.Session})
	for _, caller := range happened.Callers {
		r.apply(e, at, caller)
	}
	return nil
}

// apply ends what the clients of one subsystem call with.
func (r *Receiver) apply(e *Event, at time.Time, c caller) {
	switch e.Type {
	case oauth.EventAccountDisabled, oauth.EventAccountPurged, oauth.EventAccountEnabled:
		if r.config.Mapping != nil {
			r.config.Mapping.Forget(c.Subsystem, c.Subject, e.Subject)
		}
	}
	if r.config.Guard == nil {
		return
	}
	switch e.Type {
	case oauth.EventSessionRevoked:
		if c.Session != "" {
			r.config.Guard.EndSession(c.Subsystem, c.Session, at)
		} else { // no session by which to tell: every one of the person
			r.config.Guard.EndUser(c.Subsystem, c.Subject, at)
		}
	case oauth.EventAccountDisabled, oauth.EventAccountPurged:
		r.config.Guard.EndUser(c.Subsystem, c.Subject, at)
	case oauth.EventAccountEnabled:
		r.config.Guard.RestoreUser(c.Subsystem, c.Subject, at)
	}
}
