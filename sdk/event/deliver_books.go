package event

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// retry says when a delivery that failed is tried again, or gives it up.
func (d *dispatcher) retry(r *result, now time.Time) {
	switch {
	case r.pause != "":
		r.dueAt = now
	case now.Sub(r.createdAt) > deliverWithin:
		r.state = dead
	case r.slow:
		r.dueAt = now.Add(max(after(slowSchedule, r.attempts-1), r.retryAfter))
	default:
		r.dueAt = now.Add(max(after(fastSchedule, r.attempts-1), r.retryAfter))
	}
}

// keepBooks counts how a subscription's receiver does. A delivery that fails
// holds back the events of its own person; only when several fail, one after
// the other, the receiver as a whole is waited for.
func (d *dispatcher) keepBooks(ctx context.Context, tx *sql.Tx, id string, results []*result, now time.Time) error {
	s, err := readSubscription(ctx, tx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if s.State != Active {
		return nil // verified again, it begins anew
	}
	before := s.health
	for _, r := range results {
		d.count(s, r, now)
	}
	if s.health == before && s.State == Active {
		return nil
	}
	if before.backoff > 0 && s.backoff == 0 {
		if err := hasten(ctx, tx, id); err != nil {
			return err
		}
	}
	if s.State == Paused {
		d.paused = append(d.paused, s)
	}
	return writeHealth(ctx, tx, s)
}

// count takes one result into the books.
func (d *dispatcher) count(s *Subscription, r *result, now time.Time) {
	switch {
	case r.pause != "":
		s.State, s.Reason = Paused, r.pause
	case !r.sent:
		// says nothing of the receiver
	case !r.failed:
		s.failures, s.backoff, s.retryAt, s.refusedAt = 0, 0, time.Time{}, time.Time{}
	default:
		s.failures++
		if r.retryAfter > 0 {
			s.retryAt = later(s.retryAt, now.Add(r.retryAfter))
		}
		if r.slow && s.refusedAt.IsZero() {
			s.refusedAt = now
		} else if !r.slow {
			s.refusedAt = time.Time{}
		}
		if r.slow && now.Sub(s.refusedAt) >= pauseAfter {
			s.State, s.Reason = Paused, "The receiver has refused everything for a day; the last time it "+r.fault+"."
			return
		}
		d.backOff(s, r.slow, now)
	}
}

// backOff moves the next attempt away, one step for all that failed together.
func (d *dispatcher) backOff(s *Subscription, slow bool, now time.Time) {
	if now.Before(s.retryAt) && s.backoff > 0 || !slow && s.failures < backOffAfter {
		return
	}
	wait := after(fastSchedule[:probeSteps], s.backoff)
	if slow {
		wait = after(slowSchedule, s.backoff)
	}
	s.backoff++
	s.retryAt = later(s.retryAt, now.Add(wait))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
