package event

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// hear keeps an event of the platform for the other replicas.
func (s *SQLInbox) hear(ctx context.Context, e *Event) error {
	_, err := s.DB.ExecContext(ctx, `INSERT INTO sekisho_event_heard (issuer, event_id, heard_at, type, subject, session, happened_at, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (issuer, event_id) DO NOTHING`,
		e.Issuer, e.ID, s.now().UnixMilli(), e.Type, e.Subject, e.Session, e.HappenedAt.Unix(), string(e.Data))
	if err != nil {
		return fmt.Errorf("keeping an event for other replicas: %w", err)
	}
	s.sweep(ctx)
	return nil
}

// heard are the events that were kept since a time.
func (s *SQLInbox) heard(ctx context.Context, issuer string, since time.Time) ([]*Event, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT event_id, type, subject, session, happened_at, data
		FROM sekisho_event_heard WHERE issuer = $1 AND heard_at >= $2`, issuer, since.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []*Event
	for rows.Next() {
		e := &Event{Issuer: issuer, Publisher: Platform}
		var happenedAt int64
		var data string
		if err := rows.Scan(&e.ID, &e.Type, &e.Subject, &e.Session, &happenedAt, &data); err != nil {
			return nil, err
		}
		e.HappenedAt, e.Data = time.Unix(happenedAt, 0), json.RawMessage(data)
		events = append(events, e)
	}
	return events, rows.Err()
}
