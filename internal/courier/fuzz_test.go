package courier

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sekisho-id/sekisho/oauth"
)

// Of the three bodies that strangers write: what is taken is within its limits,
// and encoding/json, which is less strict, reads the same in it.

func FuzzPublish(f *testing.F) {
	const good = `{"id":"sale-1","type":"item.sold","subject":"abc","people":{"buyer":"def"},"happened_at":1700000000,"data":{"a":[1,{"b":null}]}}`
	for _, seed := range []string{
		good, "[" + good + "," + good + "]", ` [` + good + `]`, "[]", "", "null", `{"id":"x","id":"x"}`, `{"ID":"x"}`, good + good, "[" + good + `],"events":[]`,
		`{"id":"x","type":"t","subject":"s","data":{"people":{}}}`, `{"id":"x","type":"t","subject":"s","data":{"a":"\ud800"}}`,
		`{"id":"x","type":"t","subject":"s","data":{"s":"s"}}`, `{"id":"x","type":"t","subject":"s","data":` + strings.Repeat(`{"a":`, 15) + "1" + strings.Repeat("}", 16),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, isList, err := readEvents(bytes.Clone(body))
		if err != nil {
			return
		}
		var want []published
		if !isList {
			want = make([]published, 1)
			err = json.Unmarshal(body, &want[0])
		} else {
			err = json.Unmarshal(body, &want)
		}
		if err != nil || len(events) != len(want) || len(events) > maxPublished {
			t.Fatalf("%d events were read, %d with %v", len(events), len(want), err)
		}
		for i, event := range events {
			checkPublished(t, event, want[i])
		}
	})
}

func checkPublished(t *testing.T, got, want published) {
	t.Helper()
	if got.ID != want.ID || got.Type != want.Type || got.Subject != want.Subject || !reflect.DeepEqual(got.HappenedAt, want.HappenedAt) || len(got.People) != len(want.People) {
		t.Errorf("read %+v, which says %+v", got, want)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, want.Data); err != nil || !bytes.Equal(got.Data, compact.Bytes()) {
		t.Errorf("data %s is read as %s", want.Data, got.Data)
	}
	if got.Data[0] != '{' || len(got.Data) > maxData || !utf8.Valid(got.Data) || !isEventID(got.ID) || len(got.People) > maxPeople || strings.Contains(string(got.Data), got.Subject) {
		t.Errorf("%+v was taken", got)
	}
}

func FuzzStreamForm(f *testing.F) {
	for _, seed := range []string{
		`{"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://a.test/","authorization_header":"Bearer x"},"events_requested":["a","b"],"description":"d"}`,
		`{"stream_id":"x","aud":["a","b"],"iss":"i","events_supported":[],"events_delivered":null,"min_verification_interval":30}`, `{"aud":"a"}`, `{"delivery":null}`,
		`{"Delivery":{}}`, `{"delivery":{"method":"a","method":"b"}}`, "[]", "null", "{}", `{"description":"\u0000"}`, `{"events_requested":["\ud800"]}`, `{"unknown":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := readStreamForm(body)
		if err != nil {
			return
		}
		if len(form.EventsRequested) > maxRequested || form.Description != nil && (len(*form.Description) > maxDescription || strings.Contains(*form.Description, "\x00")) {
			t.Errorf("%+v was taken", form)
		}
		c := &Courier{}
		s := &Stream{Method: oauth.DeliveryPoll}
		if form.Delivery != nil {
			return // needs the group
		}
		if err := c.apply(&form, s); err != nil {
			t.Error(err)
		}
		if form.EventsRequested != nil && (!slices.IsSorted(s.Requested) || s.Requested == nil) {
			t.Errorf("%q became %q", form.EventsRequested, s.Requested)
		}
		text, err := formatTypes(s.Requested)
		if err != nil || (text == "") != (s.Requested == nil) {
			t.Errorf("%q is written %q, %v", s.Requested, text, err)
		}
	})
}

func FuzzPollForm(f *testing.F) {
	for _, seed := range []string{
		`{"maxEvents":1,"returnImmediately":true,"ack":["a"],"setErrs":{"b":{"err":"e","description":"d"}}}`, `{"maxEvents":-1}`, `{"maxEvents":1e3}`, `{"maxEvents":99999999999999999999}`,
		`{"ack":null}`, `{"ack":["a",null]}`, `{"setErrs":{"a":null}}`, `{"setErrs":{"a":{},"a":{}}}`, `{"MaxEvents":1}`, "{}", "[]", "null", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		form, err := readPollForm(body)
		if err != nil {
			return
		}
		if form.MaxEvents != nil && *form.MaxEvents < 0 || len(form.Ack) > maxSettled || len(form.SetErrs) > maxSettled {
			t.Errorf("%+v was taken", form)
		}
		for _, fault := range form.SetErrs {
			if text := fault.String(); len(text) > maxPollErr {
				t.Errorf("%d bytes are kept", len(text))
			}
		}
	})
}
