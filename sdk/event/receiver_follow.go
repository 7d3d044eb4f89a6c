package event

import (
	"context"
	"errors"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

const (
	followInterval = 500 * time.Millisecond

	// heardLife is for how long an end is of interest: longer than any token
	// from before lives.
	heardLife = 15 * time.Minute
)

// Follow ends at the guard what other processes of this subsystem have heard of
// through the same SQLInbox, and what was heard before this one started. An
// event is delivered to one of the replicas of an API; run Follow in each, until
// ctx ends, whose error it then returns. While the database is away the guard
// knows what it knows, and catches up afterwards.
func (r *Receiver) Follow(ctx context.Context) error {
	inbox, shared := r.inbox.(*SQLInbox)
	if !shared || r.config.Guard == nil {
		return errors.New("event: Follow needs Config.Guard, and an SQLInbox that the replicas share")
	}
	since := r.now().Add(-heardLife)
	for ctx.Err() == nil {
		now := r.now()
		if err := r.follow(ctx, inbox, since); err == nil {
			// Rows of others may be from a clock that is behind, or not
			// committed yet. To apply one again does no harm.
			since = now.Add(-2 * skew)
		} else if ctx.Err() == nil {
			r.log.ErrorContext(ctx, "ended sessions not read", "error", err)
		}
		r.sleep(ctx, followInterval)
	}
	return ctx.Err()
}

func (r *Receiver) follow(ctx context.Context, inbox *SQLInbox, since time.Time) error {
	events, err := inbox.heard(ctx, r.config.Issuer, since)
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := r.applyPlatform(e); err != nil {
			r.log.ErrorContext(ctx, "end not applied", "id", e.ID, "error", err) // and on to the others
		}
	}
	return nil
}

// share leaves word of an end for the other replicas.
func (r *Receiver) share(ctx context.Context, e *Event) error {
	inbox, shared := r.inbox.(*SQLInbox)
	if !shared || r.config.Guard == nil || e.Publisher != Platform || !ends(e.Type) {
		return nil
	}
	if err := inbox.hear(ctx, e); err != nil {
		return unavailable("the inbox", err)
	}
	return nil
}

// ends reports whether events of a type concern the guard.
func ends(eventType string) bool {
	switch eventType {
	case oauth.EventSessionRevoked, oauth.EventAccountDisabled, oauth.EventAccountPurged, oauth.EventAccountEnabled:
		return true
	}
	return false
}
