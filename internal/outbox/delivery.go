package outbox

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sekisho-id/sekisho/internal/db"
)

// State is what has become of a delivery.
type State string

// The states of a delivery.
const (
	StatePending State = "pending"
	StateDone    State = "done"
	StateDead    State = "dead" // given up; it can be sent again by hand
)

// Delivery is one message for one stream.
type Delivery struct {
	Stream   string
	Seq      int64   // order within the stream; given by Add
	ID       string  // the same for every try
	Type     string  // event type URI
	Key      [8]byte // names the person within the stream; deliveries of one key go in order
	Sealed   []byte  // what is sent; no subject stands readable in the database
	State    State
	Attempts int

	DueAt     time.Time // zero: it waits behind an earlier one of its key
	CreatedAt time.Time
	SettledAt time.Time // zero while pending
	Fault     string    // of the last try: short, without secrets
}

// maxFault is how much of a fault is kept.
const maxFault = 300

// Add writes deliveries and gives them their Seq. They are due at once. One whose
// ID the stream has already is left out.
func Add(ctx context.Context, tx *db.Tx, now time.Time, deliveries []Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	seq, err := take(ctx, tx, counterDelivery, len(deliveries))
	if err != nil {
		return err
	}
	at := db.Millis(now)
	lists := make([][]any, len(deliveries))
	for i := range deliveries {
		d := &deliveries[i]
		d.Seq, d.State, d.CreatedAt, d.DueAt = seq+int64(i), StatePending, db.Time(at), db.Time(at)
		lists[i] = []any{d.Seq, d.Stream, d.ID, d.Type, d.Key[:], d.Sealed, at}
	}
	err = tx.ExecEach(ctx, `INSERT INTO delivery
			(seq, stream, id, type, key, sealed, state, attempts, due_at, created_at, settled_at, fault)
		VALUES ($1, $2, $3, $4, $5, $6, 'pending', 0,
			CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE stream = $2 AND key = $5 AND state = 'pending') THEN NULL ELSE CAST($7 AS BIGINT) END,
			$7, NULL, '')
		ON CONFLICT (stream, id) DO NOTHING`, lists)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	tx.Changed(Topic)
	return nil
}

// Done settles pending deliveries, of whatever streams, as delivered.
func Done(ctx context.Context, tx *db.Tx, now time.Time, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	if err := hold(ctx, tx); err != nil {
		return err
	}
	for part := range slices.Chunk(seqs, settleBatch) {
		list := anys(part)
		_, err := tx.Exec(ctx, `UPDATE delivery SET state = 'done', settled_at = $1, fault = '', attempts = attempts + 1, due_at = NULL
			WHERE state = 'pending' AND seq IN (`+places(2, &list)+`)`, append([]any{db.Millis(now)}, list...)...)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		// What waited behind them has its turn. Where another has settled them
		// meanwhile it had it already, and this changes nothing.
		_, err = tx.Exec(ctx, `UPDATE delivery SET due_at = $1 WHERE due_at IS NULL AND state = 'pending' AND seq IN
			(SELECT (SELECT MIN(next.seq) FROM delivery AS next WHERE next.stream = settled.stream AND next.key = settled.key AND next.state = 'pending')
			FROM delivery AS settled WHERE settled.seq IN (`+places(2, &list)+`))`, append([]any{db.Millis(now)}, list...)...)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
	}
	return nil
}

// DoneByID is Done for IDs of one stream; those that are not pending in the stream, or not
// there, count for nothing. n is how many were settled.
func DoneByID(ctx context.Context, tx *db.Tx, now time.Time, stream string, ids []string) (n int64, err error) {
	return settle(ctx, tx, settling{now: now, stream: stream, state: StateDone}, "id", ids)
}

// Bury gives up a pending delivery: it is dead.
func Bury(ctx context.Context, tx *db.Tx, now time.Time, stream string, seq int64, fault string) error {
	_, err := settle(ctx, tx, settling{now: now, stream: stream, state: StateDead, fault: fault}, "seq", []int64{seq})
	return err
}

// BuryByID is Bury for an ID, and reports whether such a delivery was pending.
func BuryByID(ctx context.Context, tx *db.Tx, now time.Time, stream, id, fault string) (found bool, err error) {
	n, err := settle(ctx, tx, settling{now: now, stream: stream, state: StateDead, fault: fault}, "id", []string{id})
	return n > 0, err
}

// BuryBefore gives up the oldest pending deliveries that were made before a time,
// limit at most, and says how many.
func BuryBefore(ctx context.Context, tx *db.Tx, now, before time.Time, stream, fault string, limit int) (int64, error) {
	seqs, err := oldPending(ctx, tx, stream, before, limit)
	if err != nil {
		return 0, err
	}
	return settle(ctx, tx, settling{now: now, stream: stream, state: StateDead, fault: fault}, "seq", seqs)
}

// Retry notes that a try failed and when the next one is due.
func Retry(ctx context.Context, tx *db.Tx, stream string, seq int64, dueAt time.Time, fault string) error {
	_, err := tx.Exec(ctx, `UPDATE delivery SET attempts = attempts + 1, due_at = $1, fault = $2
		WHERE seq = $3 AND stream = $4 AND state = 'pending'`, db.Millis(dueAt), CleanFault(fault), seq, stream)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// Hurry makes due at once what failed before and is due later.
func Hurry(ctx context.Context, tx *db.Tx, now time.Time, stream string) error {
	_, err := tx.Exec(ctx, `UPDATE delivery SET due_at = $1 WHERE stream = $2 AND state = 'pending' AND due_at > $1`,
		db.Millis(now), stream)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	tx.Changed(Topic)
	return nil
}

// Resend makes deliveries pending again that have died by now: those with the IDs,
// or all for nil, limit at most. n says how many. Who calls it again and again keeps
// now, or what dies anew meanwhile would have no end.
func Resend(ctx context.Context, tx *db.Tx, now time.Time, stream string, ids []string, limit int) (n int64, err error) {
	condition, args := "", []any{stream, limit, db.Millis(now)}
	if ids != nil {
		if len(ids) == 0 {
			return 0, nil
		}
		condition, args = " AND id IN ("+placeholders(4, len(ids))+")", append(args, anys(ids)...)
	}
	return revive(ctx, tx, now, stream, `SELECT seq FROM delivery
		WHERE stream = $1 AND state = 'dead' AND settled_at <= $3`+condition+` ORDER BY seq LIMIT $2`, args)
}

// Replay makes deliveries pending again that were made since a time and
// delivered, those after the Seq, limit at most. They keep ID and content. It
// gives the last Seq, for the next call, and how many there were.
func Replay(ctx context.Context, tx *db.Tx, now, since time.Time, stream string, after int64, limit int) (last, n int64, err error) {
	// The newest one before that time is found from the end, and Seq is in the
	// order of CreatedAt, so that nothing older is looked at.
	var before int64
	err = tx.Row(ctx, `SELECT COALESCE((SELECT seq FROM delivery WHERE stream = $1 AND created_at < $2
		ORDER BY seq DESC LIMIT 1), 0)`, stream, db.Millis(since)).Scan(&before)
	if err != nil {
		return 0, 0, fmt.Errorf("outbox: %w", err)
	}
	list := `SELECT seq FROM delivery WHERE stream = $1 AND seq > $3 AND state = 'done' ORDER BY seq LIMIT $2`
	args := []any{stream, limit, max(before, after)}
	err = tx.Row(ctx, "SELECT COALESCE(MAX(seq), 0) FROM ("+list+") AS replayed", args...).Scan(&last)
	if err != nil {
		return 0, 0, fmt.Errorf("outbox: %w", err)
	}
	n, err = revive(ctx, tx, now, stream, list, args)
	return last, n, err
}

// Drop removes pending deliveries of a stream, limit at most, and says how many.
func Drop(ctx context.Context, tx *db.Tx, stream string, limit int) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM delivery WHERE state = 'pending' AND seq IN
		(SELECT seq FROM delivery WHERE stream = $1 AND state = 'pending' ORDER BY seq LIMIT $2)`, stream, limit)
	if err != nil {
		return 0, fmt.Errorf("outbox: %w", err)
	}
	return n, nil
}

// telling is what a token or an identifier of a person looks like. A receiver may
// say back what it was sent.
var telling = regexp.MustCompile(`[A-Za-z0-9_-]{20,}`)

// CleanFault makes a fault short, valid and of one line, without what names anybody.
// It is done to every fault that is kept; who logs one does it too.
func CleanFault(fault string) string {
	fault = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(fault, " "))
	fault = telling.ReplaceAllString(fault, "[removed]")
	if len(fault) > maxFault {
		fault = strings.ToValidUTF8(fault[:maxFault], "")
	}
	return fault
}
