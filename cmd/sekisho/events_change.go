package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// eventsBatch is how many deliveries one transaction changes, so that a running
// server never waits long for it.
const eventsBatch = 500

type eventsResend struct {
	eventsFlags
	Stream string   `required:"" placeholder:"STREAM" help:"The stream, by its id or its client."`
	All    bool     `help:"All that were given up in the stream."`
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of deliveries, as sekisho events dead lists them."`
}

func (c eventsResend) Run(ctx context.Context, term terminal) error {
	if c.All == (len(c.IDs) > 0) {
		return errors.New("name the ids of deliveries, or give --all for every one of the stream")
	}
	return c.found(ctx, c.Stream, func(database *db.DB, report courier.Report) error {
		n, err := c.resend(ctx, database, report.ID)
		if err != nil {
			return err
		}
		if !c.All && n < int64(len(c.IDs)) {
			err = fmt.Errorf("%d of %d ids name nothing that was given up in this stream", int64(len(c.IDs))-n, len(c.IDs))
		}
		return errors.Join(c.say(term, report.ID, n, "%d deliveries are sent again"), err)
	})
}

func (c eventsResend) resend(ctx context.Context, database *db.DB, stream string) (total int64, err error) {
	for now := time.Now(); ; {
		var n int64
		err := database.Update(ctx, func(tx *db.Tx) (err error) {
			n, err = outbox.Resend(ctx, tx, now, stream, c.IDs, eventsBatch)
			return err
		})
		total += n
		if err != nil || n < eventsBatch {
			return total, err
		}
	}
}

type eventsReplay struct {
	eventsFlags
	Stream string        `required:"" placeholder:"STREAM" help:"The stream, by its id or its client."`
	Since  time.Duration `required:"" placeholder:"TIME" help:"What was published within that time, for example 1h. Delivered events are kept for 7 days."`
}

func (c eventsReplay) Run(ctx context.Context, term terminal) error {
	return c.found(ctx, c.Stream, func(database *db.DB, report courier.Report) error {
		since, until := time.Now().Add(-c.Since), int64(0)
		err := database.Read(ctx, func(tx *db.Tx) (err error) {
			until, err = outbox.LastSeq(ctx, tx)
			return err
		})
		var total, after int64
		for err == nil && after < until {
			var last, n int64
			err = database.Update(ctx, func(tx *db.Tx) (err error) { // perhaps more than once
				last, n, err = outbox.Replay(ctx, tx, time.Now(), since, report.ID, after, eventsBatch)
				return err
			})
			if n == 0 {
				break
			}
			after, total = last, total+n
		}
		if err != nil {
			return err
		}
		return c.say(term, report.ID, total, "%d deliveries are sent again")
	})
}

// eventsStatus changes the status of a stream.
type eventsStatus struct {
	eventsFlags
	Stream string `arg:"" help:"The stream, by its id or its client."`
}

func (c eventsStatus) change(ctx context.Context, term terminal, status courier.StreamStatus) error {
	return c.found(ctx, c.Stream, func(database *db.DB, report courier.Report) error {
		changed := false
		err := database.Update(ctx, func(tx *db.Tx) (err error) {
			changed, err = courier.ChangeStatus(ctx, tx, report.ID, status, operator(), time.Now())
			return err
		})
		switch {
		case errors.Is(err, courier.ErrNoStream):
			return errors.New("the logout tokens of a client cannot be held back; its backchannel_logout_uri in the group file says where they go")
		case err != nil:
			return err
		}
		if c.Output == "json" {
			return json.NewEncoder(term.out).Encode(map[string]any{"stream": report.ID, "status": status, "changed": changed})
		}
		word := "is now"
		if !changed {
			word = "was already"
		}
		_, err = fmt.Fprintf(term.out, "the stream of %s %s %s\n", report.Client, word, status)
		return err
	})
}

type eventsPause struct{ eventsStatus }

func (c eventsPause) Run(ctx context.Context, term terminal) error {
	return c.change(ctx, term, courier.StreamPaused)
}

type eventsResume struct{ eventsStatus }

func (c eventsResume) Run(ctx context.Context, term terminal) error {
	return c.change(ctx, term, courier.StreamEnabled)
}

type eventsDisable struct {
	eventsStatus
	Yes bool `help:"Do it. Without this the command only says what it would do."`
}

func (c eventsDisable) Run(ctx context.Context, term terminal) error {
	if !c.Yes {
		return errors.New("this drops what waits in the stream, and whatever comes, until it is resumed; add --yes")
	}
	if err := c.change(ctx, term, courier.StreamDisabled); err != nil {
		return err
	}
	return c.found(ctx, c.Stream, func(database *db.DB, report courier.Report) error {
		for {
			var n int64
			err := database.Update(ctx, func(tx *db.Tx) (err error) {
				n, err = outbox.Drop(ctx, tx, report.ID, eventsBatch)
				return err
			})
			if err != nil || n < eventsBatch {
				return err
			}
		}
	})
}
