package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/sdk/rs"
)

// Platform is the publisher of the authorization server's own events.
const Platform = "platform"

// Dialect names the database engine under an inbox or an outbox.
type Dialect = rs.Dialect

// The engines the tables of this package are tested on.
const (
	SQLite     = rs.SQLite
	PostgreSQL = rs.PostgreSQL
)

// Event is one thing that happened, as it reached this subsystem.
type Event struct {
	Issuer string
	ID     string // unique for Issuer, and the same at every delivery
	Type   string // the URI

	// Publisher is the subsystem that published the event, Platform for the
	// authorization server itself. A Security Event Token does not say which
	// subsystem it was: there it is the one that Config.Publishers names for
	// the type, or empty.
	Publisher string

	Subject    string    // the person, as this subsystem's own pairwise subject
	User       string    // the same person's internal id; empty if there is no such user here
	Session    string    // the session it is about, as in the sid of tokens; mostly empty
	Stream     string    // the stream it is about: verification and stream-updated alone
	HappenedAt time.Time // as the publisher says
	Data       json.RawMessage
}

// Decode reads the event's data into v. To turn the identifiers of further
// people in it into internal ids, give v to the In of an rs.Mapping.
func (e *Event) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("event: data of %s: %w", e.Type, err)
	}
	return nil
}
