package courier

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// sweepBatch is how many rows one transaction changes, so that nobody waits long
// for it.
const sweepBatch = 500

// faultFailing is why a message is dead that had no turn before its stream was
// given up.
const faultFailing = "its stream has not worked for 3 days"

// Sweep removes what is over: messages that were delivered or given up long ago,
// what waits in streams that are no more or drop what comes, and what publishers
// can no longer hand in again.
func (c *Courier) Sweep(ctx context.Context) error {
	now := c.Now()
	if err := outbox.Sweep(ctx, c.DB, now); err != nil {
		return err
	}
	err := c.batches(ctx, func(tx *db.Tx) (int64, error) { return sweepPublications(ctx, tx, now, sweepBatch) })
	if err != nil {
		return err
	}
	var streams []string
	rows := map[string]*Stream{}
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		all, err := allStreams(ctx, tx)
		for _, s := range all {
			rows[s.ID] = s
		}
		if err == nil {
			streams, err = outbox.PendingStreams(ctx, tx)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, stream := range streams {
		if err := c.sweepStream(ctx, stream, rows[stream], now); err != nil {
			return err
		}
	}
	return nil
}

// sweepStream goes over what waits in one stream. s is nil if it has no row.
func (c *Courier) sweepStream(ctx context.Context, stream string, s *Stream, now time.Time) error {
	client, isLogout := strings.CutPrefix(stream, logoutPrefix)
	switch {
	case isLogout:
		if declared, ok := c.Registry.Current().Client(client); ok && declared.BackChannelLogoutURI != "" {
			return nil
		}
	case s == nil || s.Status == StreamDisabled:
	case !s.FailingSince.IsZero() && now.Sub(s.FailingSince) > worthSending:
		return c.batches(ctx, func(tx *db.Tx) (int64, error) {
			return outbox.BuryBefore(ctx, tx, now, now.Add(-worthSending), stream, faultFailing, sweepBatch)
		})
	default:
		return nil
	}
	return c.drop(ctx, stream)
}

// batches runs step in transactions of their own until it finds too little to do.
func (c *Courier) batches(ctx context.Context, step func(*db.Tx) (int64, error)) error {
	for {
		var n int64
		err := c.DB.Update(ctx, func(tx *db.Tx) (err error) {
			n, err = step(tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("courier: clear away: %w", err)
		}
		if n < sweepBatch {
			return nil
		}
	}
}
