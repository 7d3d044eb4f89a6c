package event

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// Publisher tells other subsystems what happened here to a person. Each
// receiver is told by its own identifier of the person, with an ID token that
// proves the event, at the webhook it subscribed with.
//
// Make it as a literal and share it: it is safe for parallel use. Publish
// writes an event in the transaction of the change; Run delivers; Subscriptions
// is where receivers register their webhooks.
type Publisher struct {
	Client  *rp.Client // this subsystem's own confidential client
	Mapping *rs.Mapping
	Outbox  *SQLOutbox

	// Audience is this API's audience in the group file. The types of events
	// are named under it: Audience + "/events/" + the name.
	Audience string

	// Types are the names of the event types, as in the group file, each with
	// a value of the Go type that its data has: {"item.sold": Sale{}}. Fields of
	// it that are tagged `ppid:"user"` hold internal ids of further people and
	// are turned into the identifiers of each receiver, as rs.Mapping.Out does.
	// Use json.RawMessage for data that names nobody.
	Types map[string]any

	// Key is what the secrets of webhooks are made from: 32 random bytes, kept
	// as long as the subscriptions are. No secret stands in the database.
	Key []byte

	// Networks are private networks that receivers may be in. Everything else
	// is sent to public addresses on port 443 alone.
	Networks     []netip.Prefix
	InsecureHTTP bool           // plain http to this machine, for development
	RootCAs      *x509.CertPool // of receivers; nil: the system's

	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // nil: time.Now

	once   sync.Once
	fault  error
	client *http.Client
	grace  time.Duration
	now    func() time.Time
	log    *slog.Logger
}

const (
	minKeyBytes  = 32
	maxDataBytes = maxBodyBytes
	maxEventID   = 128
	maxAhead     = time.Minute // as the authorization server has it
	maxBehind    = 30 * 24 * time.Hour
)

// typeName is an event type's name as the group file has it.
var typeName = regexp.MustCompile(`^[a-z][a-z0-9]*([.-][a-z0-9]+)*$`)

// prepare checks the configuration once, for whichever method comes first.
func (p *Publisher) prepare() error {
	p.once.Do(func() {
		p.fault = p.check()
		p.client = outgoing.NewClient(p.policy())
		p.grace = drainGrace
		if p.now = p.Now; p.now == nil {
			p.now = time.Now
		}
		if p.log = p.Log; p.log == nil {
			p.log = slog.Default()
		}
	})
	return p.fault
}

func (p *Publisher) policy() outgoing.Policy {
	return outgoing.Policy{Networks: p.Networks, InsecureHTTP: p.InsecureHTTP, RootCAs: p.RootCAs}
}

func (p *Publisher) check() error {
	switch {
	case p.Client == nil || p.Mapping == nil || p.Outbox == nil || p.Audience == "":
		return errors.New("event: Publisher needs a Client, a Mapping, an Outbox and the Audience")
	case len(p.Key) < minKeyBytes:
		return errors.New("event: Publisher.Key needs 32 random bytes")
	case len(p.Types) == 0:
		return errors.New("event: Publisher.Types is empty")
	}
	for name, data := range p.Types {
		if !typeName.MatchString(name) || data == nil {
			return fmt.Errorf("event: Publisher.Types: %q needs a name as in the group file and a value of the type of its data", name)
		}
		// A tag that is wrong should show at start, and not at the first event.
		empty := reflect.New(reflect.TypeOf(data)).Interface()
		err := p.Mapping.Out(context.Background(), p.Client.Subsystem(), empty)
		var field *rs.FieldError
		if err != nil && !errors.As(err, &field) {
			return fmt.Errorf("event: Publisher.Types: %q: %w", name, err)
		}
	}
	return nil
}

// Occurrence is one thing that happened to a person.
type Occurrence struct {
	Type string // its name in Publisher.Types
	User string // internal id
	Data any    // of the type in Publisher.Types, or a pointer to it; at most 64 KiB of JSON, an object

	// ID is the publisher's own name of the event, of up to 128 printable ASCII
	// characters without spaces: publishing it twice tells of it once. Empty: a
	// new one.
	ID string
	At time.Time // zero: now; within the last 30 days
}

// Publish writes an event into the outbox as part of tx, so that it is told
// exactly if tx is committed. Events of one person reach each receiver in the
// order of their writing.
func (p *Publisher) Publish(ctx context.Context, tx *sql.Tx, o Occurrence) error {
	if err := p.prepare(); err != nil {
		return err
	}
	data, err := p.encode(o)
	if err != nil {
		return err
	}
	now := p.now()
	if o.ID == "" {
		o.ID = rand.Text()
	}
	if o.At.IsZero() {
		o.At = now
	}
	switch {
	case o.User == "":
		return errors.New("event: Occurrence.User is empty")
	case o.At.After(now.Add(maxAhead)) || o.At.Before(now.Add(-maxBehind)):
		return errors.New("event: Occurrence.At is in the future, or more than 30 days ago")
	case !isID(o.ID) || len(o.ID) > maxEventID:
		return fmt.Errorf("event: Occurrence.ID %q is not of up to 128 printable ASCII characters without spaces", o.ID)
	}
	return add(ctx, tx, &queued{o.ID, o.Type, o.User, string(data), o.At.UnixMilli(), now.UnixMilli()})
}

// encode checks the data of an event and writes it as JSON, with the people in
// it still under their internal ids.
func (p *Publisher) encode(o Occurrence) ([]byte, error) {
	declared, ok := p.Types[o.Type]
	if !ok {
		return nil, fmt.Errorf("event: Publisher.Types has no %q", o.Type)
	}
	want, got := reflect.TypeOf(declared), reflect.TypeOf(o.Data)
	if got != want && got != reflect.PointerTo(want) {
		return nil, fmt.Errorf("event: the data of %s is of type %T, Publisher.Types says %T", o.Type, o.Data, declared)
	}
	if hidesPeople(reflect.ValueOf(o.Data), false, 0) {
		return nil, fmt.Errorf("event: the data of %s has people in an interface, where they would not be found: name its type", o.Type)
	}
	data, err := encodeJSON(o.Data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("event: the data of %s: %w", o.Type, err)
	case !isObject(data):
		return nil, fmt.Errorf("event: the data of %s is no JSON object", o.Type)
	case len(data) > maxDataBytes:
		return nil, fmt.Errorf("event: the data of %s is larger than 64 KiB", o.Type)
	}
	// What cannot be read back is found out here and not among dead letters.
	if _, err := p.decode(o.Type, string(data)); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return data, nil
}

// encodeJSON is json.Marshal without escapes for HTML, which make the six bytes
// of one where the size is limited.
func encodeJSON(v any) ([]byte, error) {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(encoded.Bytes(), []byte("\n")), err
}

// decode is the data of an event as a pointer to a new value of its type.
func (p *Publisher) decode(name, data string) (any, error) {
	declared, ok := p.Types[name]
	if !ok {
		return nil, fmt.Errorf("the type %s is no longer published", name)
	}
	v := reflect.New(reflect.TypeOf(declared)).Interface()
	if err := json.Unmarshal([]byte(data), v); err != nil {
		return nil, fmt.Errorf("reading the data of %s: %w", name, err)
	}
	return v, nil
}

// maxNesting ends the walk through a value that holds itself, which is no JSON
// either.
const maxNesting = 200

// hidesPeople reports whether a value has fields with people where the type of
// the whole does not show them. Data is kept as JSON, which forgets what type an
// interface held, and the internal ids in it would reach others as they are.
func hidesPeople(v reflect.Value, hidden bool, depth int) bool {
	if depth > maxNesting {
		return false
	}
	switch v.Kind() {
	case reflect.Interface:
		return hidesPeople(v.Elem(), true, depth+1)
	case reflect.Pointer:
		return hidesPeople(v.Elem(), hidden, depth+1)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return false
		}
		for i := range v.Len() {
			if hidesPeople(v.Index(i), hidden, depth+1) {
				return true
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if hidesPeople(entries.Value(), hidden, depth+1) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			tag, tagged := v.Type().Field(i).Tag.Lookup("ppid")
			if tagged && tag != "-" && hidden || hidesPeople(v.Field(i), hidden, depth+1) {
				return true
			}
		}
	}
	return false
}

// uri is the full name of an event type.
func (p *Publisher) uri(name string) string {
	return strings.TrimSuffix(p.Audience, "/") + "/events/" + name
}
