package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// The conditions of what is asked for all the time. An index answers each,
// however much else there is.
const (
	whereDue     = "stream = $1 AND state = 'pending' AND due_at <= $2 ORDER BY due_at, seq LIMIT $3"
	wherePending = "stream = $1 AND state = 'pending' ORDER BY seq LIMIT $2"
	whereDead    = "stream = $1 AND state = 'dead' AND seq > $2 ORDER BY seq LIMIT $3"
	whereSettled = `state <> 'pending' AND settled_at >= $1 AND (settled_at > $1 OR seq > $2)
		ORDER BY settled_at, seq LIMIT $3`
)

// Due are the deliveries of a stream that may be sent now, the longest due first;
// of each key one at most. It reads what sending needs: no Key, State, DueAt.
func Due(ctx context.Context, tx *db.Tx, stream string, now time.Time, limit int) (found []Delivery, err error) {
	rows, err := tx.Rows(ctx, "SELECT seq, id, type, sealed, attempts, created_at, fault FROM delivery WHERE "+whereDue,
		stream, db.Millis(now), limit)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		d := Delivery{Stream: stream}
		var created int64
		if err := rows.Scan(&d.Seq, &d.ID, &d.Type, &d.Sealed, &d.Attempts, &created, &d.Fault); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		d.CreatedAt = db.Time(created)
		found = append(found, d)
	}
	return found, rows.Err()
}

// NextDue says when something of the stream is due; ok is false if nothing is
// pending.
func NextDue(ctx context.Context, tx *db.Tx, stream string) (at time.Time, ok bool, err error) {
	var due sql.NullInt64
	err = tx.Row(ctx, "SELECT MIN(due_at) FROM delivery WHERE stream = $1 AND state = 'pending' AND due_at IS NOT NULL", stream).
		Scan(&due)
	if err != nil {
		return at, false, fmt.Errorf("outbox: %w", err)
	}
	if !due.Valid {
		return at, false, nil
	}
	return db.Time(due.Int64), true, nil
}

// Pending are the pending deliveries of a stream, oldest first, due or not.
func Pending(ctx context.Context, tx *db.Tx, stream string, limit int) ([]Delivery, error) {
	return find(ctx, tx, wherePending, stream, limit)
}

// ListDead are the dead deliveries of a stream after the Seq, oldest first.
func ListDead(ctx context.Context, tx *db.Tx, stream string, after int64, limit int) ([]Delivery, error) {
	return find(ctx, tx, whereDead, stream, after, limit)
}

// ListSettled are the deliveries that were settled from a time on, in that order:
// those after the Seq if settled just then.
func ListSettled(ctx context.Context, tx *db.Tx, from time.Time, after int64, limit int) ([]Delivery, error) {
	return find(ctx, tx, whereSettled, db.Millis(from), after, limit)
}

// StreamsSince are the streams with deliveries after the Seq, and the last Seq
// there is.
func StreamsSince(ctx context.Context, tx *db.Tx, after int64) (streams []string, last int64, err error) {
	// The inner query is read by seq, from the end; grouping all at once would
	// have SQLite go through every stream from its beginning.
	rows, err := tx.Rows(ctx, `SELECT stream, MAX(seq) FROM (SELECT stream, seq FROM delivery WHERE seq > $1 ORDER BY seq LIMIT $2) AS latest
		GROUP BY stream`, after, math.MaxInt32)
	if err != nil {
		return nil, after, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	last = after
	for rows.Next() {
		var stream string
		var seq int64
		if err := rows.Scan(&stream, &seq); err != nil {
			return nil, after, fmt.Errorf("outbox: %w", err)
		}
		streams, last = append(streams, stream), max(last, seq)
	}
	return streams, last, rows.Err()
}

// LastSeq is the Seq that was given last.
func LastSeq(ctx context.Context, tx *db.Tx) (seq int64, err error) {
	err = tx.Row(ctx, "SELECT last FROM delivery_count WHERE name = $1", counterDelivery).Scan(&seq)
	return seq, err
}

// LastFault is why something of the stream failed, as a short look at what is
// pending first and what died last tells; empty if it does not.
func LastFault(ctx context.Context, tx *db.Tx, stream string) (fault string, err error) {
	const look = 20
	err = tx.Row(ctx, `SELECT COALESCE((SELECT fault FROM
			(SELECT seq, fault FROM delivery WHERE stream = $1 AND state = 'pending' ORDER BY seq LIMIT $2) AS first
			WHERE fault <> '' ORDER BY seq LIMIT 1),
		(SELECT fault FROM delivery WHERE stream = $1 AND state = 'dead' ORDER BY seq DESC LIMIT 1), '')`,
		stream, look).Scan(&fault)
	if err != nil {
		return "", fmt.Errorf("outbox: %w", err)
	}
	return fault, nil
}

// Count is how many deliveries of a stream stand where.
type Count struct {
	Stream        string
	Pending, Dead int64
	Oldest        time.Time // made first of those pending; zero for none
}

// Counts are the counts of every stream that has any.
func Counts(ctx context.Context, tx *db.Tx) (map[string]Count, error) {
	counts := map[string]Count{}
	for _, query := range []string{
		"SELECT stream, COUNT(*), MIN(seq), 0 FROM delivery WHERE state = 'pending' GROUP BY stream",
		"SELECT stream, 0, 0, COUNT(*) FROM delivery WHERE state = 'dead' GROUP BY stream",
	} {
		if err := addCounts(ctx, tx, query, counts); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
	}
	return counts, nil
}

func addCounts(ctx context.Context, tx *db.Tx, query string, counts map[string]Count) error {
	rows, err := tx.Rows(ctx, query)
	if err != nil {
		return err
	}
	oldest := map[string]int64{}
	for rows.Next() {
		var c Count
		var first int64
		if err := rows.Scan(&c.Stream, &c.Pending, &first, &c.Dead); err != nil {
			_ = rows.Close()
			return err
		}
		had := counts[c.Stream]
		counts[c.Stream] = Count{Stream: c.Stream, Pending: had.Pending + c.Pending, Dead: had.Dead + c.Dead, Oldest: had.Oldest}
		if first > 0 {
			oldest[c.Stream] = first
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for stream, seq := range oldest {
		var at int64
		if err := tx.Row(ctx, "SELECT created_at FROM delivery WHERE seq = $1", seq).Scan(&at); err != nil {
			return err
		}
		c := counts[stream]
		c.Oldest = db.Time(at)
		counts[stream] = c
	}
	return nil
}
