package courier

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a request of a publisher.
const (
	maxPublishBody = 1 << 20
	maxPublished   = 100     // events of one request
	maxPeople      = 20      // beside the subject
	maxData        = 5 << 10 // with people and the claims around them no more than the 8 KiB of a token
	maxEventID     = 128
	maxPersonName  = 64
	aheadAtMost    = time.Minute // a publisher's clock may be before ours
)

// accepted is the answer for one event. It never tells who receives it.
type accepted struct {
	ID string `json:"id"`
}

// Publish takes events of a publisher and hands them to their receivers:
// POST /events.
func (c *Courier) Publish(w http.ResponseWriter, r *http.Request) {
	answer, err := c.takeEvents(w, r)
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	web.WriteJSON(w, http.StatusAccepted, answer)
}

// takeEvents is the road of a request, in order.
func (c *Courier) takeEvents(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := web.AllowMethods(w, r, http.MethodPost); err != nil {
		return nil, err
	}
	k, err := c.publisher(w, r)
	if err != nil {
		return nil, err
	}
	if !c.doors.rates.Take(c.Now(), k.client.ID, k.client.Rate, k.client.Burst) {
		return nil, tooMany{what: "Too many requests.", retryAfter: time.Second}
	}
	body, err := web.ReadJSON(w, r, maxPublishBody)
	if err != nil {
		return nil, err
	}
	events, isList, err := readEvents(body)
	if err != nil {
		return nil, err
	}
	web.Event(r.Context()).Set("events", len(events))
	publications, err := c.publications(k, events)
	if err != nil {
		return nil, c.notPublished(k, len(events), err)
	}
	record := c.record(k, audit.Record{
		Event: audit.EventsPublished, Outcome: audit.OK, Detail: map[string]any{"events": len(events), "types": typesOf(publications)},
	})
	err = c.doors.publishing.do(r.Context(), &submission{
		publisher: k.client.Subsystem, publications: publications, record: record,
	})
	if err != nil {
		return nil, c.notPublished(k, len(events), err)
	}
	answer := make([]accepted, len(events))
	for i := range events {
		answer[i].ID = events[i].ID
	}
	if !isList {
		return answer[0], nil
	}
	return answer, nil
}

// notPublished records a refusal and gives it back, or the reason why it could
// not be recorded.
func (c *Courier) notPublished(k call, events int, err error) error {
	refusal, ok := refusalOf(err).(*oauth.Error) //nolint:errorlint // refusalOf gives it unwrapped or not at all
	if !ok || refusal.HTTPStatus() >= http.StatusInternalServerError {
		return err // the server's own failure, not a decision
	}
	if failed := c.Audit.Enqueue(c.record(k, audit.Record{
		Event: audit.EventsRefused, Outcome: audit.Refused, Reason: refusal.Description, Detail: map[string]any{"events": events},
	})); failed != nil {
		return failed
	}
	return err
}

// published is an event as a publisher hands it in.
type published struct {
	ID         string            `json:"id"`
	Type       string            `json:"type"`
	Subject    string            `json:"subject"`
	People     map[string]string `json:"people"`
	HappenedAt *int64            `json:"happened_at"`
	Data       json.RawMessage   `json:"data"`
}

// readEvents reads the body: one event, or a list of them.
func readEvents(body []byte) (events []published, isList bool, err error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '[' {
		event, err := readEvent(body, readStrict)
		return []published{event}, false, err
	}
	// As the one member of an object the list is read as strictly as an object.
	var list struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := readStrict(append(append([]byte(`{"events":`), body...), '}'), &list, "events"); err != nil {
		return nil, true, invalid("The body is neither an event nor a list of events, without repeated members and not nested too deep.")
	}
	switch n := len(list.Events); {
	case n == 0:
		return nil, true, invalid("The list has no event.")
	case n > maxPublished:
		return nil, true, invalid("The list has more than %d events; send them in several requests.", maxPublished)
	}
	for i, raw := range list.Events {
		event, err := readEvent(raw, readPart)
		if err != nil {
			return nil, true, inList(i, len(list.Events), err)
		}
		events = append(events, event)
	}
	return events, true, nil
}

// readEvent reads one event, strictly, and checks what can be checked by itself.
func readEvent(raw []byte, read func([]byte, any, ...string) error) (published, error) {
	var event published
	if err := read(raw, &event, "id", "type", "subject", "people", "happened_at", "data"); err != nil {
		return event, err
	}
	switch {
	case !isEventID(event.ID):
		return event, invalid("The member id must be 1 to %d printable ASCII characters without spaces.", maxEventID)
	case event.Type == "":
		return event, invalid("The member type is missing.")
	case event.Subject == "":
		return event, invalid("The member subject is missing: your own identifier of the person whom the event is about.")
	case len(event.People) > maxPeople:
		return event, invalid("The member people names more than %d people.", maxPeople)
	case event.HappenedAt != nil && *event.HappenedAt <= 0:
		return event, invalid("The member happened_at must be a time after 1970, in seconds.")
	}
	if len(event.People) == 0 {
		event.People = nil // naming nobody is the same as leaving it out
	}
	for name := range event.People {
		if !isPersonName(name) {
			return event, invalid("A name in people must be 1 to %d letters, digits, dots, dashes or underscores.", maxPersonName)
		}
	}
	return event, event.checkData()
}

// checkData checks the data and puts them into their shortest form. An
// identifier of the publisher's in them would reach every receiver unchanged,
// and two receivers could tell by it that they mean the same person.
func (p *published) checkData() error {
	var data bytes.Buffer
	if len(p.Data) == 0 || p.Data[0] != '{' || json.Compact(&data, p.Data) != nil {
		return invalid("The member data must be a JSON object.")
	}
	if data.Len() > maxData {
		return invalid("The member data is larger than %d KiB; publish a reference to what is large, or publish direct.", maxData>>10)
	}
	p.Data = data.Bytes()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(p.Data, &members); err != nil {
		return invalid("The member data must be a JSON object.")
	}
	if _, taken := members["people"]; taken {
		return invalid("The member data has a member people; name people in the member people of the event, which each receiver gets in its own terms.")
	}
	names := [][]byte{[]byte(p.Subject)}
	for _, sub := range p.People {
		names = append(names, []byte(sub))
	}
	for _, name := range names {
		if len(name) > 0 && bytes.Contains(p.Data, name) {
			return invalid("The member data has the subject or one of the people in it; receivers must not get your own identifiers.")
		}
	}
	return nil
}

// inList names the event of a list that a refusal is about.
func inList(i, n int, err error) error {
	refusal, ok := err.(*oauth.Error) //nolint:errorlint // made in this file, never wrapped
	if !ok || n == 1 {
		return err
	}
	named := *refusal
	named.Description = invalid("Event %d of %d: ", i+1, n).Description + refusal.Description
	return &named
}

func isEventID(id string) bool {
	if id == "" || len(id) > maxEventID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

func isPersonName(name string) bool {
	if name == "" || len(name) > maxPersonName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// typesOf lists the types of some events, for the record, which is short.
func typesOf(publications []publication) []string {
	const most = 10
	var types []string
	seen := map[*registry.Event]bool{}
	for _, p := range publications {
		if !seen[p.Event] && len(types) < most {
			seen[p.Event] = true
			types = append(types, p.Event.Name)
		}
	}
	return types
}
