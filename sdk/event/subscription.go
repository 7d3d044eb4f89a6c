package event

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// States of a subscription.
const (
	// Unverified: its address has not shown that it wants events. Nothing is
	// sent there.
	Unverified = "unverified"
	Active     = "active"
	// Paused: the receiver has refused everything for a day, or may not have
	// these events. They are kept for three days, for when it is verified again.
	Paused = "paused"
)

const (
	maxSubscriptions  = 10 // of one subsystem
	secretOverlap     = 24 * time.Hour
	challengeInterval = 10 * time.Second
)

// Subscription is the webhook of one receiver.
type Subscription struct {
	ID        string
	Subsystem string // the receiver
	Client    string // that made it
	URL       string
	Types     []string // names of event types
	State     string   // Unverified, Active or Paused
	Reason    string   // of being paused
	CreatedAt time.Time

	secret       int64 // number of the secret
	rotatedAt    time.Time
	challengedAt time.Time
	verifiedAt   time.Time
	health
}

// health is how deliveries to a subscription go.
type health struct {
	failures  int       // one after the other
	backoff   int       // how often it was waited for since it last answered
	retryAt   time.Time // nothing is sent before
	refusedAt time.Time // since when it does not want us
}

// secretsOf are the secrets that requests to a subscription are signed with:
// the one before, too, for a day after a change.
func (p *Publisher) secretsOf(s *Subscription, now time.Time) []string {
	secrets := []string{p.secretOf(s.ID, s.secret)}
	if s.secret > 1 && now.Before(s.rotatedAt.Add(secretOverlap)) {
		secrets = append(secrets, p.secretOf(s.ID, s.secret-1))
	}
	return secrets
}

func (p *Publisher) secretOf(id string, number int64) string {
	mac := hmac.New(sha256.New, p.Key)
	mac.Write([]byte("secret of an event subscription\n" + id + "\n" + strconv.FormatInt(number, 10)))
	return secretPrefix + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

const subscriptionColumns = `id, subsystem, client, url, types, state, reason, secret, rotated_at,
	created_at, challenged_at, verified_at, failures, backoff, retry_at, refused_at`

type scanner interface{ Scan(into ...any) error }

func scanSubscription(row scanner) (*Subscription, error) {
	s := &Subscription{}
	var types string
	var rotated, created, challenged, verified, retry, refused int64
	err := row.Scan(&s.ID, &s.Subsystem, &s.Client, &s.URL, &types, &s.State, &s.Reason, &s.secret, &rotated,
		&created, &challenged, &verified, &s.failures, &s.backoff, &retry, &refused)
	s.Types = strings.Fields(types)
	s.rotatedAt, s.CreatedAt, s.challengedAt = fromMillis(rotated), fromMillis(created), fromMillis(challenged)
	s.verifiedAt, s.retryAt, s.refusedAt = fromMillis(verified), fromMillis(retry), fromMillis(refused)
	return s, err
}

func fromMillis(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

func millis(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func readSubscription(ctx context.Context, db querier, id string) (*Subscription, error) {
	return scanSubscription(db.QueryRowContext(ctx, "SELECT "+subscriptionColumns+" FROM sekisho_event_subscription WHERE id = $1", id))
}

// Subscriptions lists all webhooks, for the publisher's own operators.
func (o *SQLOutbox) Subscriptions(ctx context.Context) ([]*Subscription, error) {
	return o.list(ctx, "ORDER BY subsystem, created_at, id")
}

func (o *SQLOutbox) active(ctx context.Context) ([]*Subscription, error) {
	return o.list(ctx, "WHERE state = $1 ORDER BY id", Active)
}

func (o *SQLOutbox) list(ctx context.Context, condition string, args ...any) ([]*Subscription, error) {
	rows, err := o.DB.QueryContext(ctx, "SELECT "+subscriptionColumns+" FROM sekisho_event_subscription "+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("event: reading subscriptions: %w", err)
	}
	defer rows.Close()
	var all []*Subscription
	for rows.Next() {
		s, err := scanSubscription(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

var errTooMany = errors.New("the subsystem has as many subscriptions as it may have")

// subscribe adds a subscription, unless its subsystem has enough of them.
func (o *SQLOutbox) subscribe(ctx context.Context, s *Subscription) error {
	s.ID, s.State, s.secret = "evs_"+strings.ToLower(rand.Text()), Unverified, 1
	return o.update(ctx, func(tx *sql.Tx) error {
		// One at a time, so that the number can be relied on.
		if _, err := tx.ExecContext(ctx, "UPDATE sekisho_event_lease SET expires_at = expires_at WHERE name = 'subscribe'"); err != nil {
			return err
		}
		var count int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM sekisho_event_subscription WHERE subsystem = $1", s.Subsystem).Scan(&count)
		switch {
		case err != nil:
			return err
		case count >= maxSubscriptions:
			return errTooMany
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO sekisho_event_subscription (`+subscriptionColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, '', 1, 0, $7, 0, 0, 0, 0, 0, 0)`,
			s.ID, s.Subsystem, s.Client, s.URL, strings.Join(s.Types, " "), s.State, s.CreatedAt.UnixMilli())
		return err
	})
}

// change writes another address and other types. An address is verified anew.
func (o *SQLOutbox) change(ctx context.Context, s *Subscription) error {
	_, err := o.DB.ExecContext(ctx, "UPDATE sekisho_event_subscription SET url = $1, types = $2, state = $3, reason = $4 WHERE id = $5",
		s.URL, strings.Join(s.Types, " "), s.State, s.Reason, s.ID)
	return err
}

// rotate makes the next secret the current one; the one before stays good for a
// day. Of two at once, one does it.
func (o *SQLOutbox) rotate(ctx context.Context, s *Subscription, now time.Time) error {
	rotated, err := o.DB.ExecContext(ctx, "UPDATE sekisho_event_subscription SET secret = secret + 1, rotated_at = $1 WHERE id = $2 AND secret = $3",
		now.UnixMilli(), s.ID, s.secret)
	if err != nil {
		return err
	}
	if rows, err := rotated.RowsAffected(); err != nil || rows != 1 {
		return errors.Join(err, errChanged)
	}
	s.secret, s.rotatedAt = s.secret+1, now
	return nil
}

var errChanged = errors.New("the subscription was changed meanwhile")

// challenge notes that an address is asked, unless it was just asked.
func (o *SQLOutbox) challenge(ctx context.Context, id string, now time.Time) (bool, error) {
	noted, err := o.DB.ExecContext(ctx, "UPDATE sekisho_event_subscription SET challenged_at = $1 WHERE id = $2 AND challenged_at <= $3",
		now.UnixMilli(), id, now.Add(-challengeInterval).UnixMilli())
	if err != nil {
		return false, err
	}
	rows, err := noted.RowsAffected()
	return rows == 1, err
}

// verified makes a subscription active, if it still has the address that was
// asked, and all due that waited for it.
func (o *SQLOutbox) verified(ctx context.Context, s *Subscription, now time.Time) error {
	return o.update(ctx, func(tx *sql.Tx) error {
		active, err := tx.ExecContext(ctx, `UPDATE sekisho_event_subscription
			SET state = 'active', reason = '', verified_at = $1, failures = 0, backoff = 0, retry_at = 0, refused_at = 0
			WHERE id = $2 AND url = $3`, now.UnixMilli(), s.ID, s.URL)
		if err != nil {
			return err
		}
		if rows, err := active.RowsAffected(); err != nil || rows != 1 {
			return errors.Join(err, errChanged)
		}
		return hasten(ctx, tx, s.ID)
	})
}

// unsubscribe removes a subscription and all that was to be sent to it.
func (o *SQLOutbox) unsubscribe(ctx context.Context, id string) error {
	return o.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM sekisho_event_subscription WHERE id = $1", id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM sekisho_event_delivery WHERE subscription = $1", id)
		return err
	})
}

// writeHealth keeps the books of a subscription, and pauses it.
func writeHealth(ctx context.Context, tx *sql.Tx, s *Subscription) error {
	_, err := tx.ExecContext(ctx, `UPDATE sekisho_event_subscription
		SET state = $1, reason = $2, failures = $3, backoff = $4, retry_at = $5, refused_at = $6 WHERE id = $7 AND state = 'active'`,
		s.State, s.Reason, s.failures, s.backoff, millis(s.retryAt), millis(s.refusedAt), s.ID)
	return err
}
