package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SQLOutbox keeps what a Publisher still has to deliver, and to whom, in tables
// of the subsystem's own database, so that an event is there exactly if the
// change is that it tells of:
//
//	sekisho_event_outbox        events, by Publish, in the caller's transaction
//	sekisho_event_subscription  who asked for them, at which address
//	sekisho_event_delivery      one row for each event and subscription
//	sekisho_event_lease         which replica delivers
type SQLOutbox struct {
	DB      *sql.DB
	Dialect Dialect
	Now     func() time.Time // nil: time.Now
}

// schema is the same for both engines but for how a number is given to a row.
const schema = `
CREATE TABLE IF NOT EXISTS sekisho_event_outbox (
	seq         %s,
	event_id    TEXT   NOT NULL UNIQUE,
	type        TEXT   NOT NULL,
	member      TEXT   NOT NULL,
	data        TEXT   NOT NULL,
	happened_at BIGINT NOT NULL,
	created_at  BIGINT NOT NULL,
	fanned_at   BIGINT
);
CREATE INDEX IF NOT EXISTS sekisho_event_outbox_new ON sekisho_event_outbox (seq) WHERE fanned_at IS NULL;
CREATE TABLE IF NOT EXISTS sekisho_event_subscription (
	id            TEXT   NOT NULL PRIMARY KEY,
	subsystem     TEXT   NOT NULL,
	client        TEXT   NOT NULL,
	url           TEXT   NOT NULL,
	types         TEXT   NOT NULL,
	state         TEXT   NOT NULL,
	reason        TEXT   NOT NULL,
	secret        BIGINT NOT NULL,
	rotated_at    BIGINT NOT NULL,
	created_at    BIGINT NOT NULL,
	challenged_at BIGINT NOT NULL,
	verified_at   BIGINT NOT NULL,
	failures      BIGINT NOT NULL,
	backoff       BIGINT NOT NULL,
	retry_at      BIGINT NOT NULL,
	refused_at    BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS sekisho_event_subscription_of ON sekisho_event_subscription (subsystem, created_at);
CREATE TABLE IF NOT EXISTS sekisho_event_delivery (
	subscription TEXT   NOT NULL,
	seq          BIGINT NOT NULL,
	member       TEXT   NOT NULL,
	state        TEXT   NOT NULL,
	attempts     BIGINT NOT NULL,
	due_at       BIGINT NOT NULL,
	created_at   BIGINT NOT NULL,
	settled_at   BIGINT NOT NULL,
	fault        TEXT   NOT NULL,
	PRIMARY KEY (seq, subscription)
);
CREATE INDEX IF NOT EXISTS sekisho_event_delivery_next ON sekisho_event_delivery (subscription, seq) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS sekisho_event_delivery_person ON sekisho_event_delivery (subscription, member, seq) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS sekisho_event_delivery_age ON sekisho_event_delivery (created_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS sekisho_event_delivery_over ON sekisho_event_delivery (state, settled_at) WHERE state <> 'pending';
CREATE TABLE IF NOT EXISTS sekisho_event_lease (
	name       TEXT   NOT NULL PRIMARY KEY,
	holder     TEXT   NOT NULL,
	expires_at BIGINT NOT NULL
);
INSERT INTO sekisho_event_lease (name, holder, expires_at) VALUES ('deliver', '', 0), ('subscribe', '', 0) ON CONFLICT (name) DO NOTHING`

// Migrate makes the tables where they are missing. For SQLite it also checks
// that the database waits for its lock, without which parallel writers fail.
func (o *SQLOutbox) Migrate(ctx context.Context) error {
	numbered := ""
	switch o.Dialect {
	case PostgreSQL:
		numbered = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	case SQLite:
		numbered = "INTEGER PRIMARY KEY AUTOINCREMENT" // never the number of a row that is gone
		if err := checkWait(ctx, o.DB); err != nil {
			return err
		}
	default:
		return errors.New("event: SQLOutbox.Dialect must be SQLite or PostgreSQL")
	}
	for statement := range strings.SplitSeq(fmt.Sprintf(schema, numbered), ";\n") {
		if _, err := o.DB.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("event: making the tables of the outbox: %w", err)
		}
	}
	return nil
}

func (o *SQLOutbox) update(ctx context.Context, work func(tx *sql.Tx) error) error {
	return update(ctx, o.DB, o.Dialect, work)
}

// hold takes or renews the lease of delivering, and answers whether it is
// holder's. One replica delivers at a time: that keeps the order of one
// person's events, and another takes over when it is gone.
func (o *SQLOutbox) hold(ctx context.Context, holder string, now time.Time) (bool, error) {
	taken, err := o.DB.ExecContext(ctx, `UPDATE sekisho_event_lease SET holder = $1, expires_at = $2
		WHERE name = 'deliver' AND (holder = $1 OR expires_at <= $3)`, holder, now.Add(leaseLife).UnixMilli(), now.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("taking the lease: %w", err)
	}
	rows, err := taken.RowsAffected()
	return rows == 1, err
}

// release lets another replica begin at once.
func (o *SQLOutbox) release(ctx context.Context, holder string) error {
	_, err := o.DB.ExecContext(ctx, "UPDATE sekisho_event_lease SET holder = '', expires_at = 0 WHERE name = 'deliver' AND holder = $1", holder)
	return err
}

// queued is an event on its way into the outbox.
type queued struct {
	eventID, eventType, member, data string
	happenedAt, createdAt            int64
}

// add puts an event into the outbox in the caller's transaction. One whose id
// was there before is the same event.
func add(ctx context.Context, tx *sql.Tx, q *queued) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO sekisho_event_outbox (event_id, type, member, data, happened_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_id) DO NOTHING`,
		q.eventID, q.eventType, q.member, q.data, q.happenedAt, q.createdAt)
	if err != nil {
		return fmt.Errorf("event: writing to the outbox: %w", err)
	}
	return nil
}

// fanOut makes the deliveries of events that are new, for all who want them,
// and answers how many events those were. A subscription that was verified once
// has its events kept while it is not: it may be verified again.
func (o *SQLOutbox) fanOut(ctx context.Context, now time.Time) (int, error) {
	var some bool
	err := o.DB.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sekisho_event_outbox WHERE fanned_at IS NULL)").Scan(&some)
	if err != nil || !some {
		return 0, err
	}
	count := 0
	err = o.update(ctx, func(tx *sql.Tx) error {
		// Whatever is committed between these two statements waits for the
		// next time, since the second goes by the numbers of the first.
		taken, err := numbers(tx.QueryContext(ctx, `UPDATE sekisho_event_outbox SET fanned_at = $1 WHERE seq IN
			(SELECT seq FROM sekisho_event_outbox WHERE fanned_at IS NULL ORDER BY seq LIMIT $2) RETURNING seq`, now.UnixMilli(), fanOutEvents))
		if err != nil {
			return err
		}
		count = len(taken)
		list, args := in(taken, now.UnixMilli())
		_, err = tx.ExecContext(ctx, `INSERT INTO sekisho_event_delivery
				(subscription, seq, member, state, attempts, due_at, created_at, settled_at, fault)
			SELECT s.id, e.seq, e.member, 'pending', 0, 0, CAST($1 AS BIGINT), 0, ''
			FROM sekisho_event_outbox e
			JOIN sekisho_event_subscription s ON s.verified_at > 0 AND ' ' || s.types || ' ' LIKE '% ' || e.type || ' %'
			WHERE e.seq IN `+list+` ON CONFLICT (seq, subscription) DO NOTHING`, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("fanning out: %w", err)
	}
	return count, nil
}

// in writes a list of numbers for IN, with first as the parameter before them.
func in(seqs []int64, first ...any) (string, []any) {
	places := make([]string, len(seqs))
	args := first
	for i, seq := range seqs {
		args = append(args, seq)
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	return "(" + strings.Join(places, ", ") + ")", args
}

// numbers reads rows of one number each.
func numbers(rows *sql.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, rows.Err()
}

func (o *SQLOutbox) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}
