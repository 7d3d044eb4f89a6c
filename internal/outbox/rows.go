package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// settling is how pending deliveries of a stream end.
type settling struct {
	now    time.Time
	stream string
	state  State
	fault  string
}

// settleBatch is how many deliveries one statement settles: SQLite takes some
// thousands of parameters.
const settleBatch = 500

// settle ends those that are still pending, and makes due what waited behind
// them. column is seq or id.
func settle[T any](ctx context.Context, tx *db.Tx, s settling, column string, values []T) (n int64, err error) {
	if len(values) == 0 {
		return 0, nil
	}
	if err := hold(ctx, tx); err != nil {
		return 0, err
	}
	for part := range slices.Chunk(values, settleBatch) {
		args := append([]any{string(s.state), db.Millis(s.now), CleanFault(s.fault), s.stream}, anys(part)...)
		keys, err := changed(ctx, tx, `UPDATE delivery SET state = $1, settled_at = $2, fault = $3, attempts = attempts + 1, due_at = NULL
			WHERE stream = $4 AND state = 'pending' AND `+column+` IN (`+placeholders(5, len(part))+`) RETURNING key`, args)
		if err != nil {
			return n, err
		}
		n += int64(len(keys))
		if err := promote(ctx, tx, s.now, s.stream, keys); err != nil {
			return n, err
		}
	}
	return n, nil
}

// revive makes settled deliveries pending again. What is pending of their keys
// already stands behind them if it is younger, whatever it waited for.
func revive(ctx context.Context, tx *db.Tx, now time.Time, stream, list string, args []any) (n int64, err error) {
	if err := hold(ctx, tx); err != nil {
		return 0, err
	}
	keys, err := changed(ctx, tx, `UPDATE delivery SET state = 'pending', settled_at = NULL, attempts = 0, due_at = NULL
		WHERE seq IN (`+list+`) RETURNING key`, args)
	if err != nil {
		return 0, err
	}
	for part := range slices.Chunk(keys, settleBatch) {
		_, err := tx.Exec(ctx, `UPDATE delivery SET due_at = NULL
			WHERE stream = $1 AND state = 'pending' AND key IN (`+placeholders(2, len(part))+`)`,
			append([]any{stream}, part...)...)
		if err != nil {
			return 0, fmt.Errorf("outbox: %w", err)
		}
		if err := promote(ctx, tx, now, stream, part); err != nil {
			return 0, err
		}
	}
	tx.Changed(Topic)
	return int64(len(keys)), nil
}

// hold keeps others from adding and settling until the transaction ends: one who
// adds must not see as pending what is being settled, or what it adds would wait
// behind nothing.
func hold(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE delivery_count SET last = last WHERE name = $1", counterDelivery)
	if err != nil {
		return fmt.Errorf("outbox: count: %w", err)
	}
	return nil
}

// changed runs an update that gives the keys of the rows it changed.
func changed(ctx context.Context, tx *db.Tx, update string, args []any) (keys []any, err error) {
	rows, err := tx.Rows(ctx, update, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// promote makes due the first pending delivery of each key, if it only waited for
// its turn.
func promote(ctx context.Context, tx *db.Tx, now time.Time, stream string, keys []any) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE delivery SET due_at = $1 WHERE due_at IS NULL AND state = 'pending' AND seq IN
		(SELECT MIN(seq) FROM delivery WHERE stream = $2 AND state = 'pending' AND key IN (`+placeholders(3, len(keys))+`) GROUP BY key)`,
		append([]any{db.Millis(now), stream}, keys...)...)
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

// oldPending are the oldest pending deliveries made before a time. They are looked
// for among the first of the stream only, so that a long queue costs nothing.
func oldPending(ctx context.Context, tx *db.Tx, stream string, before time.Time, limit int) (seqs []int64, err error) {
	rows, err := tx.Rows(ctx, `SELECT seq FROM
		(SELECT seq, created_at FROM delivery WHERE stream = $1 AND state = 'pending' ORDER BY seq LIMIT $2) AS oldest
		WHERE created_at < $3`, stream, limit, db.Millis(before))
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		seqs = append(seqs, seq)
	}
	return seqs, rows.Err()
}

const columns = "seq, stream, id, type, key, sealed, state, attempts, due_at, created_at, settled_at, fault"

// find reads the deliveries that the rest of the query selects and orders.
func find(ctx context.Context, tx *db.Tx, rest string, args ...any) ([]Delivery, error) {
	rows, err := tx.Rows(ctx, "SELECT "+columns+" FROM delivery WHERE "+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var found []Delivery
	for rows.Next() {
		var d Delivery
		var key []byte
		var created int64
		var due, settled sql.NullInt64
		err := rows.Scan(&d.Seq, &d.Stream, &d.ID, &d.Type, &key, &d.Sealed, &d.State, &d.Attempts,
			&due, &created, &settled, &d.Fault)
		if err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		copy(d.Key[:], key)
		d.CreatedAt = db.Time(created)
		if due.Valid {
			d.DueAt = db.Time(due.Int64)
		}
		if settled.Valid {
			d.SettledAt = db.Time(settled.Int64)
		}
		found = append(found, d)
	}
	return found, rows.Err()
}

// places are placeholders for a list, which it fills up to a power of two by
// repeating its last value: with few different texts, statements stay prepared.
func places(first int, list *[]any) string {
	for n := len(*list); n&(n-1) != 0; n++ {
		*list = append(*list, (*list)[n-1])
	}
	return placeholders(first, len(*list))
}

// placeholders are n of them, beginning with $first: "$3,$4,$5".
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	return b.String()
}

func anys[T any](values []T) []any {
	list := make([]any, len(values))
	for i := range values {
		list[i] = values[i]
	}
	return list
}
