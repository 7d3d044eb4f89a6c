package event

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// State of one delivery.
const (
	pending = "pending"
	done    = "done"
	skipped = "skipped" // nobody the receiver may hear of
	dead    = "dead"
)

// Retention: what is settled is kept for a while, to be looked at and sent
// again, and an event as long as it may be published a second time by mistake.
const (
	deliverWithin = 3 * 24 * time.Hour // then it is dead
	keepDone      = 7 * 24 * time.Hour
	keepDead      = 30 * 24 * time.Hour
	sweepBatch    = 1000
	fanOutEvents  = 200
)

// delivery is one event for one subscription.
type delivery struct {
	subscription string
	seq          int64 // of the event, in the order of publishing
	member       string
	attempts     int
	createdAt    time.Time

	eventID, eventType, data string
	happenedAt               time.Time
}

// due finds what may be sent to a subscription now, in order: of each person
// the first event that is not settled, if its time has come.
func (o *SQLOutbox) due(ctx context.Context, subscription string, now time.Time, limit int) ([]*delivery, error) {
	rows, err := o.DB.QueryContext(ctx, `SELECT d.seq, d.member, d.attempts, d.created_at, e.event_id, e.type, e.data, e.happened_at
		FROM sekisho_event_delivery d JOIN sekisho_event_outbox e ON e.seq = d.seq
		WHERE d.subscription = $1 AND d.state = 'pending' AND d.due_at <= $2 AND NOT EXISTS (
			SELECT 1 FROM sekisho_event_delivery p
			WHERE p.subscription = d.subscription AND p.member = d.member AND p.state = 'pending' AND p.seq < d.seq)
		ORDER BY d.seq LIMIT $3`, subscription, now.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	defer rows.Close()
	var all []*delivery
	for rows.Next() {
		d := &delivery{subscription: subscription}
		var createdAt, happenedAt int64
		if err := rows.Scan(&d.seq, &d.member, &d.attempts, &createdAt, &d.eventID, &d.eventType, &d.data, &happenedAt); err != nil {
			return nil, err
		}
		d.createdAt, d.happenedAt = time.UnixMilli(createdAt), time.UnixMilli(happenedAt)
		all = append(all, d)
	}
	return all, rows.Err()
}

// settle writes how a delivery went. Whoever settled it first is right.
func settle(ctx context.Context, tx *sql.Tx, now time.Time, r *result) error {
	settledAt := now.UnixMilli()
	if r.state == pending {
		settledAt = 0
	}
	_, err := tx.ExecContext(ctx, `UPDATE sekisho_event_delivery
		SET state = $1, attempts = $2, due_at = $3, settled_at = $4, fault = $5
		WHERE subscription = $6 AND seq = $7 AND state = 'pending'`,
		r.state, r.attempts, r.dueAt.UnixMilli(), settledAt, r.fault, r.subscription, r.seq)
	return err
}

// hasten makes all due that waits for a subscription: it answers again.
func hasten(ctx context.Context, tx *sql.Tx, subscription string) error {
	_, err := tx.ExecContext(ctx, `UPDATE sekisho_event_delivery SET due_at = 0
		WHERE subscription = $1 AND state = 'pending' AND due_at > 0`, subscription)
	return err
}

// DeadLetter is a delivery that was given up: the receiver refused it, or did
// not take it for three days.
type DeadLetter struct {
	Subscription string
	Subsystem    string // the receiver
	Seq          int64  // of the event
	EventID      string
	Type         string
	User         string // internal id
	Attempts     int
	Fault        string // why, in short
	At           time.Time
}

// DeadLetters lists what was given up, the latest first. They are kept for 30
// days.
func (o *SQLOutbox) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	rows, err := o.DB.QueryContext(ctx, `SELECT d.subscription, s.subsystem, d.seq, e.event_id, e.type, d.member, d.attempts, d.fault, d.settled_at
		FROM sekisho_event_delivery d
		JOIN sekisho_event_outbox e ON e.seq = d.seq
		JOIN sekisho_event_subscription s ON s.id = d.subscription
		WHERE d.state = 'dead' ORDER BY d.settled_at DESC, d.seq DESC LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("event: reading dead letters: %w", err)
	}
	defer rows.Close()
	var all []DeadLetter
	for rows.Next() {
		var letter DeadLetter
		var at int64
		err := rows.Scan(&letter.Subscription, &letter.Subsystem, &letter.Seq, &letter.EventID, &letter.Type,
			&letter.User, &letter.Attempts, &letter.Fault, &at)
		if err != nil {
			return nil, err
		}
		letter.At = time.UnixMilli(at)
		all = append(all, letter)
	}
	return all, rows.Err()
}

// Resend puts dead letters of a subscription back among what is to be delivered,
// those of the given events or, without any, all. It answers how many they
// were. A receiver that had one of them after all knows it by its jti.
func (o *SQLOutbox) Resend(ctx context.Context, subscription string, seqs ...int64) (int64, error) {
	query := `UPDATE sekisho_event_delivery SET state = 'pending', attempts = 0, due_at = 0, settled_at = 0, fault = '', created_at = $1
		WHERE subscription = $2 AND state = 'dead'`
	args := []any{o.now().UnixMilli(), subscription}
	if len(seqs) > 0 {
		var list string
		list, args = in(seqs, args...)
		query += " AND seq IN " + list
	}
	sent, err := o.DB.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("event: resending: %w", err)
	}
	return sent.RowsAffected()
}

// sweep gives up what waited too long (for a subscription that is paused, say)
// and forgets what was settled long ago, a batch of each. It answers whether
// there may be more.
func (o *SQLOutbox) sweep(ctx context.Context, now time.Time) (bool, error) {
	before := func(age time.Duration) int64 { return now.Add(-age).UnixMilli() }
	more := false
	for _, step := range []struct {
		query string
		args  []any
	}{
		{
			`UPDATE sekisho_event_delivery SET state = 'dead', settled_at = $3, fault = 'not taken for three days'
			WHERE state = 'pending' AND (subscription, seq) IN (SELECT subscription, seq FROM sekisho_event_delivery
				WHERE state = 'pending' AND created_at < $1 ORDER BY created_at LIMIT $2)`,
			[]any{before(deliverWithin + time.Hour), sweepBatch, now.UnixMilli()},
		}, // an hour for the last try
		{`DELETE FROM sekisho_event_delivery WHERE (subscription, seq) IN (SELECT subscription, seq FROM sekisho_event_delivery
			WHERE state IN ('done', 'skipped') AND settled_at < $1 LIMIT $2)`, []any{before(keepDone), sweepBatch}},
		{`DELETE FROM sekisho_event_delivery WHERE (subscription, seq) IN (SELECT subscription, seq FROM sekisho_event_delivery
			WHERE state = 'dead' AND settled_at < $1 LIMIT $2)`, []any{before(keepDead), sweepBatch}},
		{`DELETE FROM sekisho_event_outbox WHERE seq IN (SELECT e.seq FROM sekisho_event_outbox e
			WHERE e.fanned_at < $1 AND NOT EXISTS (SELECT 1 FROM sekisho_event_delivery d WHERE d.seq = e.seq)
			ORDER BY e.seq LIMIT $2)`, []any{before(keepDone), sweepBatch}},
	} {
		gone, err := o.DB.ExecContext(ctx, step.query, step.args...)
		if err != nil {
			return false, fmt.Errorf("sweeping: %w", err)
		}
		rows, err := gone.RowsAffected()
		if err != nil {
			return false, err
		}
		more = more || rows == sweepBatch
	}
	return more, nil
}
