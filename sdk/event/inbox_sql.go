package event

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sweepInterval is how often an inbox looks for what it need not remember any
// more, and sweepRows how much of it goes at a time.
const (
	sweepInterval = time.Hour
	sweepRows     = 1000
)

// SQLInbox remembers events in a table of the subsystem's own database,
// sekisho_event_inbox(issuer, event_id, handled_at). An event is marked in the
// transaction that its handler writes in: both are kept or none. All replicas
// share the table. A second one, sekisho_event_heard, holds for a quarter of an
// hour what the guards of all replicas must know (Receiver.Follow). Rows go by
// themselves once nothing can come again.
type SQLInbox struct {
	DB      *sql.DB
	Dialect Dialect
	Now     func() time.Time // nil: time.Now

	mu      sync.Mutex
	sweepAt time.Time
}

// Migrate makes the table where it is missing. For SQLite it also checks that
// the database waits for its lock, without which parallel writers fail.
func (s *SQLInbox) Migrate(ctx context.Context) error {
	if s.Dialect != SQLite && s.Dialect != PostgreSQL {
		return errors.New("event: SQLInbox.Dialect must be SQLite or PostgreSQL")
	}
	if s.Dialect == SQLite {
		if err := checkWait(ctx, s.DB); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS sekisho_event_inbox (
			issuer     TEXT   NOT NULL,
			event_id   TEXT   NOT NULL,
			handled_at BIGINT NOT NULL,
			PRIMARY KEY (issuer, event_id)
		)`,
		"CREATE INDEX IF NOT EXISTS sekisho_event_inbox_age ON sekisho_event_inbox (handled_at)",
		`CREATE TABLE IF NOT EXISTS sekisho_event_heard (
			issuer      TEXT   NOT NULL,
			event_id    TEXT   NOT NULL,
			heard_at    BIGINT NOT NULL,
			type        TEXT   NOT NULL,
			subject     TEXT   NOT NULL,
			session     TEXT   NOT NULL,
			happened_at BIGINT NOT NULL,
			data        TEXT   NOT NULL,
			PRIMARY KEY (issuer, event_id)
		)`,
		"CREATE INDEX IF NOT EXISTS sekisho_event_heard_age ON sekisho_event_heard (heard_at)",
	} {
		if _, err := s.DB.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("event: making the tables of the inbox: %w", err)
		}
	}
	return nil
}

// Once does work in the transaction that marks the event.
func (s *SQLInbox) Once(ctx context.Context, issuer, id string, work func(tx *sql.Tx) error) error {
	err := s.claim(ctx, issuer, id, work)
	if errors.Is(err, errHandled) {
		return nil
	}
	if err == nil {
		s.sweep(ctx)
	}
	return err
}

var errHandled = errors.New("the event was handled")

func (s *SQLInbox) claim(ctx context.Context, issuer, id string, work func(tx *sql.Tx) error) error {
	return update(ctx, s.DB, s.Dialect, func(tx *sql.Tx) error {
		// Who comes second waits, and finds the row unless the first one failed.
		marked, err := tx.ExecContext(ctx, `INSERT INTO sekisho_event_inbox (issuer, event_id, handled_at)
			VALUES ($1, $2, $3) ON CONFLICT (issuer, event_id) DO NOTHING`, issuer, id, s.now().UnixMilli())
		if err != nil {
			return fmt.Errorf("marking an event: %w", err)
		}
		if rows, err := marked.RowsAffected(); err != nil {
			return err
		} else if rows == 0 {
			return errHandled
		}
		return work(tx)
	})
}

// sweep forgets, now and then, what can no longer come again. A failure is not
// the event's: it is tried again an hour later.
func (s *SQLInbox) sweep(ctx context.Context) {
	now := s.now()
	s.mu.Lock()
	due := !now.Before(s.sweepAt)
	if due {
		s.sweepAt = now.Add(sweepInterval)
	}
	s.mu.Unlock()
	if !due {
		return
	}
	more := false
	for statement, before := range map[string]time.Time{
		`DELETE FROM sekisho_event_inbox WHERE (issuer, event_id) IN
			(SELECT issuer, event_id FROM sekisho_event_inbox WHERE handled_at < $1 ORDER BY handled_at LIMIT $2)`: now.Add(-inboxLife),
		`DELETE FROM sekisho_event_heard WHERE (issuer, event_id) IN
			(SELECT issuer, event_id FROM sekisho_event_heard WHERE heard_at < $1 ORDER BY heard_at LIMIT $2)`: now.Add(-heardLife),
	} {
		gone, err := s.DB.ExecContext(ctx, statement, before.UnixMilli(), sweepRows)
		if err != nil {
			return
		}
		rows, err := gone.RowsAffected()
		more = more || err == nil && rows == sweepRows
	}
	if more {
		s.mu.Lock()
		s.sweepAt = time.Time{}
		s.mu.Unlock()
	}
}

func (s *SQLInbox) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
