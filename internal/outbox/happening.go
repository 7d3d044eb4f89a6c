package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// Topic of the change feed: something is to be told.
const Topic = "outbox"

// Happening is something the platform must tell of.
type Happening struct {
	Type    string         // event type URI, or oauth.EventBackChannelLogout
	Handle  [12]byte       // of the person
	Gen     int            // of the person's handle
	Session *[16]byte      // the session it is about
	Clients []string       // the session ended: the clients that had grants under it
	KnownTo []string       // the clients that held something of the person when it happened; nil: look when it is told
	Payload map[string]any // members of the event
	At      time.Time
}

// Initiator is who brought something about (CAEP 1.0 §2).
type Initiator string

// The initiators there are.
const (
	ByUser   Initiator = "user"   // the person
	ByAdmin  Initiator = "admin"  // an operator
	ByPolicy Initiator = "policy" // a rule of the server
	BySystem Initiator = "system" // the server itself
)

// About is a payload that says who brought something about and, if there is more to
// say than the event's type does, why, with the members that the type has.
func About(by Initiator, reason string, more map[string]any) map[string]any {
	payload := map[string]any{"initiating_entity": string(by)}
	if reason != "" {
		payload["reason_admin"] = map[string]any{"en": reason}
	}
	maps.Copy(payload, more)
	return payload
}

// Append writes a happening in the transaction that causes it.
func Append(ctx context.Context, tx *db.Tx, h Happening) error {
	clients, err := json.Marshal(h.Clients)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(h.Payload)
	if err != nil {
		return fmt.Errorf("outbox: payload of %s: %w", h.Type, err)
	}
	var knownTo, session any
	if h.KnownTo != nil {
		text, err := json.Marshal(h.KnownTo)
		if err != nil {
			return err
		}
		knownTo = string(text)
	}
	if h.Session != nil {
		session = h.Session[:]
	}
	seq, err := take(ctx, tx, counterHappening, 1)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO outbox_happening (seq, type, handle, gen, session, clients, known_to, payload, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		seq, h.Type, h.Handle[:], h.Gen, session, string(clients), knownTo, string(payload), db.Millis(h.At))
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	tx.Changed(Topic)
	return nil
}

// AnyHappenings reports whether there is something to take.
func AnyHappenings(ctx context.Context, tx *db.Tx) (found bool, err error) {
	err = tx.Row(ctx, "SELECT EXISTS (SELECT 1 FROM outbox_happening)").Scan(&found)
	return found, err
}

// TakeHappenings removes the oldest happenings and gives them, oldest first. If
// the transaction fails they are still there.
func TakeHappenings(ctx context.Context, tx *db.Tx, limit int) ([]Happening, error) {
	rows, err := tx.Rows(ctx, `DELETE FROM outbox_happening WHERE seq IN
		(SELECT seq FROM outbox_happening ORDER BY seq LIMIT $1)
		RETURNING seq, type, handle, gen, session, clients, known_to, payload, at`, limit)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var taken []numbered
	for rows.Next() {
		h, err := scanHappening(rows)
		if err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
		taken = append(taken, h)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(taken, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	happenings := make([]Happening, len(taken))
	for i := range taken {
		happenings[i] = taken[i].Happening
	}
	return happenings, nil
}

// numbered is a happening with its place in the order.
type numbered struct {
	Happening
	seq int64
}

func scanHappening(row interface{ Scan(...any) error }) (h numbered, err error) {
	var (
		handle, session  []byte
		clients, payload string
		knownTo          *string
		at               int64
	)
	if err := row.Scan(&h.seq, &h.Type, &handle, &h.Gen, &session, &clients, &knownTo, &payload, &at); err != nil {
		return h, err
	}
	copy(h.Handle[:], handle)
	if len(session) == 16 {
		h.Session = (*[16]byte)(session)
	}
	h.At = db.Time(at)
	if err := json.Unmarshal([]byte(clients), &h.Clients); err != nil {
		return h, err
	}
	if knownTo != nil {
		h.KnownTo = []string{}
		if err := json.Unmarshal([]byte(*knownTo), &h.KnownTo); err != nil {
			return h, err
		}
	}
	return h, json.Unmarshal([]byte(payload), &h.Payload)
}

// The counters there are.
const (
	counterHappening = "happening"
	counterDelivery  = "delivery"
)

// take takes n numbers and gives the first. The counter's row is held to the end
// of the transaction, so that numbers become visible in their order.
func take(ctx context.Context, tx *db.Tx, counter string, n int) (first int64, err error) {
	var last int64
	err = tx.Row(ctx, "UPDATE delivery_count SET last = last + $1 WHERE name = $2 RETURNING last", n, counter).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("outbox: count: %w", err)
	}
	return last - int64(n) + 1, nil
}
