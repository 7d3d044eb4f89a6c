package courier

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// topicStreams is the topic of the change feed that tells of streams: made,
// changed, removed. How sending goes does not count as a change.
const topicStreams = "event_stream"

// StreamStatus says whether a stream delivers (SSF 1.0 §8.1.2).
type StreamStatus string

// The states of a stream.
const (
	StreamEnabled  StreamStatus = "enabled"
	StreamPaused   StreamStatus = "paused"   // holds what comes, and sends it later
	StreamDisabled StreamStatus = "disabled" // drops what comes
)

// Stream is where events for one receiving client go (SSF 1.0 §8.1.1).
type Stream struct {
	ID          string
	Client      string   // who made it; one stream for each client
	Receiver    string   // its subsystem
	Method      string   // oauth.DeliveryPush, DeliveryPoll or DeliveryIDToken
	Endpoint    string   // empty for poll
	Credential  []byte   // the sealed authorization_header of a push; nil for none
	Requested   []string // event types; nil: all it is entitled to
	Description string
	Status      StreamStatus
	Reason      string // of a status that is not enabled

	CreatedAt  time.Time
	UpdatedAt  time.Time
	VerifiedAt time.Time // when a verification was last asked for

	RetryAt      time.Time // it is sent nothing until then
	FailingSince time.Time
	Failures     int
}

// Sentinels of streams.
var (
	errNoStream  = errors.New("courier: no such stream")
	errHasStream = errors.New("courier: the client has a stream already")
)

const streamColumns = `id, client, receiver, method, endpoint, credential, requested, description, status, reason,
	created_at, updated_at, verified_at, retry_at, failing_since, failures`

// createStream writes a new stream, or gives errHasStream.
func createStream(ctx context.Context, tx *db.Tx, s *Stream) error {
	requested, err := formatTypes(s.Requested)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `INSERT INTO event_stream (`+streamColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, 0, 0)
		ON CONFLICT (client) DO NOTHING`,
		s.ID, s.Client, s.Receiver, s.Method, s.Endpoint, s.Credential, requested, s.Description, string(s.Status), s.Reason,
		db.Millis(s.CreatedAt), db.Millis(s.UpdatedAt))
	if err != nil {
		return fmt.Errorf("courier: create stream: %w", err)
	}
	if n == 0 {
		return errHasStream
	}
	tx.Changed(topicStreams)
	return nil
}

// updateStream writes what its receiver decides about a stream: how it is
// delivered, what it wants, and the status. What went wrong with the old
// address does not count against the new one.
func updateStream(ctx context.Context, tx *db.Tx, s *Stream) error {
	requested, err := formatTypes(s.Requested)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE event_stream SET method = $1, endpoint = $2, credential = $3, requested = $4, description = $5,
			status = $6, reason = $7, updated_at = $8, retry_at = 0, failing_since = 0, failures = 0
		WHERE id = $9`,
		s.Method, s.Endpoint, s.Credential, requested, s.Description, string(s.Status), s.Reason, db.Millis(s.UpdatedAt), s.ID)
	if err != nil {
		return fmt.Errorf("courier: update stream: %w", err)
	}
	if n == 0 {
		return errNoStream
	}
	tx.Changed(topicStreams)
	return nil
}

// deleteStream removes a stream and what hangs on it here; its deliveries are
// the outbox's to drop.
func deleteStream(ctx context.Context, tx *db.Tx, id string) error {
	n, err := tx.Exec(ctx, "DELETE FROM event_stream WHERE id = $1", id)
	if err != nil {
		return fmt.Errorf("courier: delete stream: %w", err)
	}
	if n == 0 {
		return errNoStream
	}
	if _, err := tx.Exec(ctx, "DELETE FROM event_stream_without WHERE stream = $1", id); err != nil {
		return fmt.Errorf("courier: delete stream: %w", err)
	}
	tx.Changed(topicStreams)
	return nil
}

// loadStream gives one stream, or errNoStream.
func loadStream(ctx context.Context, tx *db.Tx, id string) (*Stream, error) {
	return oneStream(tx.Row(ctx, "SELECT "+streamColumns+" FROM event_stream WHERE id = $1", id))
}

// streamOf gives the stream of a client, or errNoStream.
func streamOf(ctx context.Context, tx *db.Tx, client string) (*Stream, error) {
	return oneStream(tx.Row(ctx, "SELECT "+streamColumns+" FROM event_stream WHERE client = $1", client))
}

// allStreams gives every stream there is, by id. Receivers are declared by
// hand, so there are a few hundred at most.
func allStreams(ctx context.Context, tx *db.Tx) ([]*Stream, error) {
	rows, err := tx.Rows(ctx, "SELECT "+streamColumns+" FROM event_stream ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("courier: streams: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var streams []*Stream
	for rows.Next() {
		s, err := scanStream(rows.Scan)
		if err != nil {
			return nil, err
		}
		streams = append(streams, s)
	}
	return streams, rows.Err()
}

// takeVerification notes that a verification is asked for now; false if the
// last one was after the given time. The condition is in the statement, so that
// two requests at once cannot both pass.
func takeVerification(ctx context.Context, tx *db.Tx, id string, now, notAfter time.Time) (bool, error) {
	n, err := tx.Exec(ctx, "UPDATE event_stream SET verified_at = $1 WHERE id = $2 AND verified_at <= $3",
		db.Millis(now), id, db.Millis(notAfter))
	return n == 1, err
}

func oneStream(row *sql.Row) (*Stream, error) {
	s, err := scanStream(row.Scan)
	if errors.Is(err, db.ErrNotFound) {
		return nil, errNoStream
	}
	return s, err
}

func scanStream(scan func(...any) error) (*Stream, error) {
	var (
		s                                          Stream
		requested                                  string
		created, updated, verified, retry, failing int64
	)
	err := scan(&s.ID, &s.Client, &s.Receiver, &s.Method, &s.Endpoint, &s.Credential, &requested, &s.Description, &s.Status, &s.Reason,
		&created, &updated, &verified, &retry, &failing, &s.Failures)
	if err != nil {
		return nil, fmt.Errorf("courier: stream: %w", err)
	}
	if requested != "" {
		if err := json.Unmarshal([]byte(requested), &s.Requested); err != nil {
			return nil, fmt.Errorf("courier: event types of stream %s: %w", s.ID, err)
		}
	}
	s.CreatedAt, s.UpdatedAt = db.Time(created), db.Time(updated)
	s.VerifiedAt, s.RetryAt, s.FailingSince = timeOrNever(verified), timeOrNever(retry), timeOrNever(failing)
	return &s, nil
}

// formatTypes writes a list of event types; nil, which is not the empty list,
// becomes nothing.
func formatTypes(types []string) (string, error) {
	if types == nil {
		return "", nil
	}
	text, err := json.Marshal(types)
	return string(text), err
}

// timeOrNever reads a time of which 0 stands for never, the zero Time.
func timeOrNever(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return db.Time(ms)
}

// millisOrNever is the way back from timeOrNever.
func millisOrNever(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Millis(t)
}
