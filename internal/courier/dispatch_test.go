package courier_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// E1: what a SET is made of, and what it never has.
func TestPushedSET(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay, crypto := newReceiver(t), newReceiver(t)
	e.stream("pay.backend", pay)
	e.stream("crypto.backend", crypto, func(s *courier.Stream) {
		s.Credential = e.SealCredential(s.ID, "Bearer of the receiver")
	})
	e.sold(0, "teapot")
	e.tick()
	came := pay.take()
	sets := e.readSETs(came)
	if len(sets) != 1 {
		t.Fatalf("%d came", len(sets))
	}
	at := float64(e.clock.Now().Unix())
	want := map[string]any{
		"iss": loopbackIssuer, "aud": "pay", "iat": at, "toe": at, "jti": e.Mint.EventID("market", "pay", "teapot"),
		"sub_id": map[string]any{"format": "iss_sub", "iss": loopbackIssuer, "sub": e.subject("pay", 0)},
		"events": map[string]any{itemSold: map[string]any{"item": "teapot"}},
	}
	if !reflect.DeepEqual(sets[0].raw, want) {
		t.Errorf("got  %v\nwant %v", sets[0].raw, want)
	}
	if sets[0].header["typ"] != "secevent+jwt" || sets[0].header["alg"] != "ES256" {
		t.Errorf("header %v of a client that has ID tokens in ES256", sets[0].header)
	}
	if header, ok := came[0].header["Authorization"]; ok {
		t.Errorf("Authorization %q of a stream that has none", header)
	}

	other := crypto.take()
	of := e.readSETs(other)[0]
	if of.header["alg"] != "RS256" || of.SubjectID.Subject != e.subject("crypto", 0) || of.ID == sets[0].ID {
		t.Errorf("another receiver's: %v %+v", of.header, of.SETClaims)
	}
	if header := other[0].header.Get("Authorization"); header != "Bearer of the receiver" {
		t.Errorf("Authorization %q", header)
	}
	e.wantStanding("stream-pay.backend", 0, 0)
	e.tick()
	if again := pay.take(); len(again) > 0 {
		t.Error("it came twice")
	}
}

// The ID token form: a body, and the token that proves it.
func TestPushedWithIDToken(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	s := e.stream("pay.backend", pay, func(s *courier.Stream) { s.Method = oauth.DeliveryIDToken })
	session := e.signIn(0)
	e.sold(0, "teapot")
	e.update(func(tx *db.Tx) error {
		if err := e.AddStreamEvent(e.ctx, tx, s, oauth.EventVerification, map[string]string{"state": "x"}); err != nil {
			return err
		}
		return e.Grants.EndSession(e.ctx, tx, session.ID)
	})
	e.tick()
	seen := map[string]bool{}
	for _, one := range pay.take() {
		claims, err := e.Keys.Verify(keyring.Event, strings.TrimPrefix(one.header.Get("Authorization"), "Bearer "))
		if err != nil {
			t.Fatal(err)
		}
		var token oauth.EventTokenClaims
		e.must(json.Unmarshal(claims, &token))
		body := map[string]any{}
		e.must(json.Unmarshal([]byte(one.body), &body))
		if one.header.Get("Content-Type") != "application/json" || token.Audience[0] != "pay" || token.ExpiresAt != e.clock.Now().Unix()+120 {
			t.Errorf("header %v, claims %s", one.header, claims)
		}
		for eventType, bound := range token.Events {
			seen[eventType] = true
			if bound.SHA256 != hashOf(one.body) {
				t.Errorf("%s: the body is another one", eventType)
			}
			sub, azp := e.subject("pay", 0), "platform"
			switch eventType {
			case itemSold:
				azp = "market.backend"
			case oauth.EventVerification:
				sub = s.ID
			case oauth.EventSessionRevoked:
				if body["sid"] != e.Pairwise.SessionID(e.subsystem("pay").Sector, session.ID) {
					t.Errorf("body %v", body)
				}
			}
			if token.Subject != sub || token.AuthorizedParty != azp {
				t.Errorf("%s: sub %s, azp %s", eventType, token.Subject, token.AuthorizedParty)
			}
		}
	}
	if !seen[itemSold] || !seen[oauth.EventVerification] || !seen[oauth.EventSessionRevoked] {
		t.Errorf("came %v", seen)
	}
}

// E2: what each answer means.
func TestAnswers(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t)
	for _, test := range []struct {
		status     int
		retryAfter string
		done       bool
		dead       string        // fault
		notBefore  time.Duration // it comes again
		notAfter   time.Duration
	}{
		{status: 200, done: true},
		{status: 202, done: true},
		{status: 204, done: true},
		{status: 201, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 302, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 307, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 400, dead: "answered 400, invalid_key: no such key"},
		{status: 401, notBefore: 8 * time.Minute, notAfter: 12 * time.Minute},
		{status: 403, notBefore: 8 * time.Minute, notAfter: 12 * time.Minute},
		{status: 404, notBefore: 8 * time.Minute, notAfter: 12 * time.Minute},
		{status: 410, notBefore: 8 * time.Minute, notAfter: 12 * time.Minute},
		{status: 405, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 429, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 429, retryAfter: "100", notBefore: 100 * time.Second, notAfter: 100 * time.Second},
		{status: 500, retryAfter: "100", notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 502, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 503, notBefore: 4 * time.Second, notAfter: 6 * time.Second},
		{status: 503, retryAfter: "date", notBefore: 100 * time.Second, notAfter: 100 * time.Second},
	} {
		t.Run(fmt.Sprint(test.status, test.retryAfter), func(t *testing.T) {
			t.Parallel()
			e := openEngine(t)
			pay := newReceiver(t)
			pay.does(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				switch test.retryAfter {
				case "":
				case "date":
					w.Header().Set("Retry-After", e.clock.Now().Add(100*time.Second).Format(http.TimeFormat))
				default:
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.status)
				_, _ = fmt.Fprint(w, `{"err":"invalid_key","description":"no such key"}`)
			})
			s := e.stream("pay.backend", pay)
			e.sold(0, "teapot")
			e.tick()
			pending, dead := e.standing(s.ID)
			if n := len(pay.take()); n != 1 {
				t.Errorf("%d came", n)
			}
			switch {
			case test.done:
				e.wantStanding(s.ID, 0, 0)
			case test.dead != "":
				if len(pending) != 0 || len(dead) != 1 || dead[0].Fault != test.dead {
					t.Errorf("%+v %+v", pending, dead)
				}
			default:
				if len(pending) != 1 || pending[0].Attempts != 1 || pending[0].Fault != fmt.Sprint("answered ", test.status) {
					t.Fatalf("%+v %+v", pending, dead)
				}
				e.after(test.notBefore - time.Second)
				if n := len(pay.take()); n != 0 {
					t.Errorf("it came again too early")
				}
				pay.answers(http.StatusAccepted)
				e.after(test.notAfter - test.notBefore + time.Second)
				e.wantItems("again", pay.take(), "teapot")
				e.wantStanding(s.ID, 0, 0)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(elsewhere.take()); n != 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})
}

// E3: a message that waits across a rotation is signed with a key that is
// published when it is sent.
func TestKeysRotateWhileAnEventWaits(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	pay.answers(http.StatusInternalServerError)
	e.stream("pay.backend", pay)
	e.sold(0, "teapot")
	e.tick()
	before := e.readSETs(pay.take())[0]
	e.must(e.Keys.Rotate(e.ctx, true))
	pay.answers(http.StatusAccepted)
	e.after(10 * time.Second)
	after := e.readSETs(pay.take())[0]
	if after.header["kid"] == before.header["kid"] {
		t.Error("the key is the old one")
	}
	if !reflect.DeepEqual(after.raw, before.raw) {
		t.Errorf("the second try says %v, the first %v", after.raw, before.raw)
	}
}

// E11: one event has one jti and one content, however often it comes: in retries,
// and in a replay.
func TestTheSameEventAgain(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	s := e.stream("pay.backend", pay)
	e.sold(0, "teapot")
	e.sold(0, "teapot") // published again
	e.tick()
	first := e.readSETs(pay.take())
	if len(first) != 1 {
		t.Fatalf("%d came", len(first))
	}
	e.clock.Advance(time.Hour)
	e.update(func(tx *db.Tx) error {
		_, n, err := outbox.Replay(e.ctx, tx, e.clock.Now(), e.clock.Now().Add(-2*time.Hour), s.ID, 0, 10)
		if n != 1 {
			t.Errorf("%d are replayed", n)
		}
		return err
	})
	e.tick()
	again := e.readSETs(pay.take())
	if len(again) != 1 || !reflect.DeepEqual(again[0].raw, first[0].raw) {
		t.Errorf("replayed: %v\nfirst: %v", again, first)
	}
}

// E7: a paused stream holds what comes and sends it later in order; a disabled one
// drops it.
func TestPausedHoldsAndDisabledDrops(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay, crypto := newReceiver(t), newReceiver(t)
	paused, disabled := e.stream("pay.backend", pay), e.stream("crypto.backend", crypto)
	status := func(id string, status courier.StreamStatus) {
		e.update(func(tx *db.Tx) error { return courier.WriteStatus(e.ctx, tx, id, status, e.clock.Now()) })
	}
	status(paused.ID, courier.StreamPaused)
	status(disabled.ID, courier.StreamDisabled)
	list := names("sale", 30)
	for i, id := range list {
		e.sold(i%2, id)
	}
	e.tick()
	if n := len(pay.take()) + len(crypto.take()); n != 0 {
		t.Fatalf("%d came", n)
	}
	e.wantStanding(paused.ID, 30, 0)
	e.wantStanding(disabled.ID, 0, 0)

	e.clock.Advance(time.Hour)
	status(paused.ID, courier.StreamEnabled)
	status(disabled.ID, courier.StreamEnabled)
	e.tick()
	came := map[string][]string{}
	for _, s := range e.readSETs(pay.take()) {
		came[s.SubjectID.Subject] = append(came[s.SubjectID.Subject], items([]set{s})...)
	}
	for person := range 2 {
		var want []string
		for i := person; i < len(list); i += 2 {
			want = append(want, list[i])
		}
		if got := came[e.subject("pay", person)]; !slices.Equal(got, want) {
			t.Errorf("person %d: %v, want %v", person, got, want)
		}
	}
	if n := len(crypto.take()); n != 0 {
		t.Errorf("%d came that were dropped", n)
	}
}

// An event of which the receiver is not declared any more is not sent.
func TestEntitlementIsAskedWhenSending(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	s := e.stream("pay.backend", pay)
	e.update(func(tx *db.Tx) error {
		return courier.WriteStatus(e.ctx, tx, s.ID, courier.StreamPaused, e.clock.Now())
	})
	e.sold(0, "teapot")
	e.regroup("receivers: [pay, crypto, partner] }\n  - { publisher: market, types: [item.seen]", "receivers: [crypto, partner] }\n  - { publisher: market, types: [item.seen]")
	e.update(func(tx *db.Tx) error {
		return courier.WriteStatus(e.ctx, tx, s.ID, courier.StreamEnabled, e.clock.Now())
	})
	e.tick()
	if n := len(pay.take()); n != 0 {
		t.Errorf("%d came", n)
	}
	e.wantStanding(s.ID, 0, 1)
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for slowly, list := range map[bool][]time.Duration{
		false: {5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 12 * time.Hour},
		true:  {10 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 6 * time.Hour},
	} {
		for failures, base := range list {
			for range 100 {
				if wait := courier.Wait(slowly, failures); wait < base*8/10 || wait > base*12/10 {
					t.Errorf("slowly %t, after %d failures: %s", slowly, failures, wait)
				}
			}
		}
	}
	now := time.Unix(1_800_000_000, 0)
	for header, want := range map[string]time.Duration{
		"": -1, "soon": -1, "-5": -1, "1.5": -1, "0": time.Second, "30": 30 * time.Second, "99999999": 6 * time.Hour,
		now.Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).UTC().Format(http.TimeFormat): time.Second,
	} {
		wait, ok := courier.RetryAfter(header, now)
		if ok != (want >= 0) || ok && wait != want {
			t.Errorf("%q: %s, %t", header, wait, ok)
		}
	}
}
