package audit

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Record is one decision.
type Record struct {
	ID      string // set when read
	At      time.Time
	Event   Event
	Outcome Outcome
	Client  string // client id of the asker
	Account string // account id, internal
	Grant   int64
	Reason  string // why, when refused
	Source  string // address of the asker
	Request string // correlation id
	Detail  map[string]any
}

const maxText = 1 << 10 // bytes of one field

// row is a record as the table holds it.
type row struct {
	id                                                       string
	at                                                       int64
	event, outcome, client, account, reason, source, request string
	grant                                                    int64
	detail                                                   string
}

// makeRow checks a record and makes it fit to be written: a record that the
// database would refuse must never stand at the head of the queue.
func makeRow(r Record) (row, error) {
	if r.At.IsZero() || r.Event == "" || r.Outcome == "" {
		return row{}, errors.New("audit: a record needs its time, event and outcome")
	}
	detail, err := formatDetail(r.Detail)
	if err != nil {
		return row{}, fmt.Errorf("audit: detail of %s: %w", r.Event, err)
	}
	return row{
		id: makeID(r.At), at: r.At.UnixMilli(),
		event: clean(string(r.Event)), outcome: clean(string(r.Outcome)),
		client: clean(r.Client), account: clean(r.Account), grant: r.Grant,
		reason: clean(r.Reason), source: clean(r.Source), request: clean(r.Request),
		detail: detail,
	}, nil
}

// makeID gives an id in order of time: 48 bits of milliseconds, 80 random.
func makeID(at time.Time) string {
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(at.UnixMilli())<<16) //nolint:gosec // a time after 1970
	id := hex.AppendEncode(make([]byte, 0, 32), millis[:6])
	return string(append(id, secret.Mark()[:20]...))
}

// credential is what our own tokens and any JWT look like.
var credential = regexp.MustCompile(`sek_[a-z]{2}_[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?`)

func withoutCredentials(text string) string {
	if !strings.Contains(text, "sek_") && !strings.Contains(text, "eyJ") {
		return text // nearly always, and much faster than the expression
	}
	return credential.ReplaceAllString(text, "[removed]")
}

// clean makes a text that both engines take: valid UTF-8, no NUL, bounded,
// without credentials.
func clean(text string) string {
	if len(text) <= maxText && appendjson.Plain(text) {
		return withoutCredentials(text) // nearly always
	}
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
	return withoutCredentials(text)
}
