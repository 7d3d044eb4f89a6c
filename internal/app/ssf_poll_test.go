package app_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// publishN has market publish n events about the person.
func (w *world) publishN(n int, prefix string) {
	w.t.Helper()
	list := make([]members, n)
	for i := range list {
		list[i] = w.event(prefix + strconv.Itoa(i))
	}
	if a := w.publisher().send(http.MethodPost, "/events", list); a.status != http.StatusAccepted {
		w.t.Fatalf("publish: %d %s", a.status, a.body)
	}
}

func ids(p pollAnswer) []string { return slices.Sorted(maps.Keys(p.Sets)) }

// TestPoll (modules stream-verification-poll-only, -poll-and-ack, -ack-only;
// check E4; RFC 8936 §2.4).
func TestPoll(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	if got := crypto.poll(id, members{}); len(got.Sets) != 0 || got.MoreAvailable {
		t.Errorf("nothing happened, and came %v", got)
	}
	w.publishN(5, "sale-")
	all := crypto.poll(id, members{})
	if len(all.Sets) != 5 || all.MoreAvailable {
		t.Fatalf("five were published, and came %v", all)
	}
	// Unacknowledged ones come again, with the same jti and what they said.
	again := crypto.poll(id, members{"ack": []string{"unknown", ""}})
	if !slices.Equal(ids(all), ids(again)) {
		t.Errorf("came %v, then %v", ids(all), ids(again))
	}
	for jti, set := range again.Sets {
		if segment(t, set, 1) != segment(t, all.Sets[jti], 1) {
			t.Errorf("%s says something else the second time", jti)
		}
	}
	first := crypto.poll(id, members{"maxEvents": 2})
	if len(first.Sets) != 2 || !first.MoreAvailable {
		t.Errorf("two were asked for, and came %v", first)
	}
	// Acknowledge only.
	if got := crypto.poll(id, members{"maxEvents": 0, "ack": ids(first)}); len(got.Sets) != 0 || !got.MoreAvailable {
		t.Errorf("none was asked for, and came %v", got)
	}
	// Acknowledge and poll.
	rest := crypto.poll(id, members{"maxEvents": 1})
	if len(rest.Sets) != 1 || all.Sets[ids(rest)[0]] == "" || first.Sets[ids(rest)[0]] != "" {
		t.Errorf("came %v", rest)
	}
	last := crypto.poll(id, members{"ack": ids(rest)})
	if len(last.Sets) != 2 || last.MoreAvailable {
		t.Errorf("two are left, and came %v", last)
	}
	crypto.poll(id, members{"ack": ids(last)})
	if got := crypto.poll(id, members{"ack": ids(last)}); len(got.Sets) != 0 {
		t.Errorf("all were acknowledged, and came %v", got)
	}
	for name, form := range map[string]any{
		"negative": members{"maxEvents": -1}, "a fraction": members{"maxEvents": 1.5}, "no list": members{"ack": "x"}, "no object": "[]", "nothing": "",
		"too much": members{"ack": slices.Repeat([]string{"x"}, 1001)}, "twice": `{"ack":[],"ack":[]}`,
	} {
		crypto.refused(name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/ssf/poll/"+id, form)
	}
	crypto.refused("GET", http.StatusMethodNotAllowed, oauth.InvalidRequest, http.MethodGet, "/ssf/poll/"+id, nil)
}

// Of a stream of another what is acknowledged is not touched (check E4, E5).
func TestAcknowledgingForOthers(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto, other := w.receiver("crypto.worker"), w.receiver("pay.backend")
	id, others := crypto.makeStream(pollDelivery), other.makeStream(pollDelivery)
	w.publishN(1, "sale-")
	mine, theirs := crypto.poll(id, members{}), other.poll(others, members{})
	if slices.Equal(ids(mine), ids(theirs)) {
		t.Error("two receivers can match an event by its jti")
	}
	fault := members{"err": "invalid_request", "description": "no"}
	other.poll(others, members{"ack": ids(mine), "setErrs": members{ids(mine)[0]: fault}})
	if got := crypto.poll(id, members{}); !slices.Equal(ids(got), ids(mine)) {
		t.Errorf("came %v", got)
	}
}

// TestSetErrsAreRecorded (check E4; RFC 8936 §2.6): what a receiver cannot take
// is dead, with what it said, and comes no more.
func TestSetErrsAreRecorded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	w.publishN(3, "sale-")
	all := ids(crypto.poll(id, members{}))
	const person = "AbcDefGhiJklMnoPqrStuVwxYz0123456789_-AbcDe"
	left := crypto.poll(id, members{"setErrs": members{
		all[2]: members{"err": "invalid_key", "description": strings.Repeat("no ", 55) + person}, // at the cut
		all[0]: members{"err": "invalid_key", "description": "unknown\nkey " + strings.Repeat("no ", 200)}, "unknown": members{"err": "invalid_request"},
	}})
	if !slices.Equal(ids(left), all[1:2]) {
		t.Errorf("came %v", left)
	}
	var dead []outbox.Delivery
	err := w.app.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		dead, err = outbox.ListDead(t.Context(), tx, id, 0, 10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dead = slices.DeleteFunc(dead, func(d outbox.Delivery) bool { return d.ID == all[2] && !strings.Contains(d.Fault, person[:5]) })
	if len(dead) != 1 || dead[0].ID != all[0] || !strings.HasPrefix(dead[0].Fault, "receiver: invalid_key: unknown key no no") || len(dead[0].Fault) > 250 {
		t.Errorf("dead: %+v", dead)
	}
}

// TestPollWaits (RFC 8936 §2.2, returnImmediately): until something comes.
func TestPollWaits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	came := make(chan answer)
	const most = 4
	for range most + 1 {
		go func() { came <- crypto.send(http.MethodPost, "/ssf/poll/"+id, members{}) }()
	}
	// So many may wait, and the one too many is sent away at once.
	if a := <-came; a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Fatalf("one poll too many: %d %s", a.status, a.body)
	}
	w.publishN(1, "sale-")
	for range most {
		if a := <-came; len(decode[pollAnswer](t, a.body).Sets) != 1 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	// What is there is given at once.
	if got := crypto.poll(id, members{"returnImmediately": false}); len(got.Sets) != 1 {
		t.Errorf("came %v", got)
	}
}

// TestPausedAndDisabled (check E7): paused holds and later gives in order,
// disabled drops.
func TestPausedAndDisabled(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	set := func(status string) {
		t.Helper()
		crypto.want(http.StatusOK, http.MethodPost, "/ssf/status", members{"stream_id": id, "status": status})
	}
	w.publishN(1, "before-")
	set("paused")
	w.publishN(3, "paused-")
	if got := crypto.poll(id, members{}); len(got.Sets) != 0 {
		t.Errorf("a paused stream gives %v", got)
	}
	set("enabled")
	var order []string
	for range 4 {
		got := crypto.poll(id, members{"maxEvents": 1})
		if len(got.Sets) != 1 {
			t.Fatalf("came %v", got)
		}
		order = append(order, ids(got)[0])
		crypto.poll(id, members{"maxEvents": 0, "ack": ids(got)})
	}
	want := []string{}
	for _, name := range []string{"before-0", "paused-0", "paused-1", "paused-2"} {
		want = append(want, w.app.Mint.EventID("market", "crypto", name))
	}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	w.publishN(1, "held-")
	set("disabled")
	w.publishN(2, "dropped-")
	set("enabled")
	if got := crypto.poll(id, members{}); len(got.Sets) != 0 {
		t.Errorf("a stream that was disabled gives %v", got)
	}
	for name, form := range map[string]members{
		"no stream": {"status": "paused"}, "no status": {"stream_id": id}, "another status": {"stream_id": id, "status": "Paused"},
		"a long reason": {"stream_id": id, "status": "paused", "reason": strings.Repeat("x", 300)}, "a number": {"stream_id": 1, "status": "paused"},
	} {
		crypto.refused(name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/ssf/status", form)
	}
	crypto.refused("no stream_id", http.StatusBadRequest, oauth.InvalidRequest, http.MethodGet, "/ssf/status", nil)
}

// TestVerification (module stream-verification; check E6): the state comes back
// in a SET about the stream, and not more often than the interval allows.
func TestVerification(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	verify := func(form members) { crypto.want(http.StatusNoContent, http.MethodPost, "/ssf/verify", form) }
	state := "VGhpcyBpcyBhbiBleGFtcGxlIHN0YXRlIHZhbHVlLgo= \" ☃"
	verify(members{"stream_id": id, "state": state})
	got := crypto.sets(id)[oauth.EventVerification]
	if len(got) != 1 {
		t.Fatalf("%d verifications", len(got))
	}
	subject, payload := got[0]["sub_id"].(members), got[0]["events"].(members)[oauth.EventVerification].(members)
	if subject["format"] != "opaque" || subject["id"] != id || len(subject) != 2 || payload["state"] != state || got[0]["aud"] != "crypto" {
		t.Errorf("claims %v", got[0])
	}
	crypto.poll(id, members{"ack": []string{got[0]["jti"].(string)}})
	w.clock.Advance(29 * time.Second)
	a := crypto.refused("too soon", http.StatusTooManyRequests, oauth.TemporarilyUnavailable, http.MethodPost, "/ssf/verify", members{"stream_id": id})
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	w.clock.Advance(time.Second)
	verify(members{"stream_id": id})
	got = crypto.sets(id)[oauth.EventVerification]
	if len(got) != 1 || len(got[0]["events"].(members)[oauth.EventVerification].(members)) != 0 {
		t.Errorf("without state came %v", got)
	}
	w.clock.Advance(time.Minute)
	for name, form := range map[string]members{"no stream": {"state": "x"}, "a long state": {"stream_id": id, "state": strings.Repeat("x", 1025)}, "a number": {"stream_id": id, "state": 1}} {
		crypto.refused(name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/ssf/verify", form)
	}
	crypto.want(http.StatusOK, http.MethodPost, "/ssf/status", members{"stream_id": id, "status": "disabled"})
	crypto.refused("disabled", http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, "/ssf/verify", members{"stream_id": id})
}

// TestStreamSubjects (module stream-subject-control): somebody taken off is not
// told of until put back, and nobody learns who is there.
func TestStreamSubjects(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	other := w.newPerson("bea")
	subject := func(iss, sub string) members {
		return members{"stream_id": id, "subject": members{"format": "iss_sub", "iss": iss, "sub": sub}, "verified": true}
	}
	mine := w.sub("crypto", w.person.Ref)
	add := func(form members) { crypto.want(http.StatusOK, http.MethodPost, "/ssf/subjects/add", form) }
	remove := func(form members) { crypto.want(http.StatusNoContent, http.MethodPost, "/ssf/subjects/remove", form) }
	for _, nobody := range []members{
		subject(issuer, "nobody"), subject(issuer, strings.Repeat("a", 26)), subject(issuer, w.sub("pay", w.person.Ref)), subject("https://other.test", mine),
	} {
		add(nobody)
		remove(nobody)
	}
	w.publishN(1, "one-")
	if got := crypto.poll(id, members{}); len(got.Sets) != 1 {
		t.Errorf("everybody is on the stream, and came %v", got)
	}
	remove(subject(issuer, mine))
	remove(subject(issuer, mine))
	w.publishN(1, "two-")
	w.publisher().want(http.StatusAccepted, http.MethodPost, "/events", w.event("three", "subject", w.sub("market", other.Ref)))
	if got := crypto.poll(id, members{}); len(got.Sets) != 2 || got.Sets[w.app.Mint.EventID("market", "crypto", "two-0")] != "" {
		t.Errorf("one was taken off, and came %v", got)
	}
	add(subject(issuer, mine))
	w.publishN(1, "four-")
	if got := crypto.poll(id, members{}); len(got.Sets) != 3 {
		t.Errorf("one was put back, and came %v", got)
	}
	for name, form := range map[string]members{
		"no stream": {"subject": subject(issuer, mine)["subject"]}, "no subject": {"stream_id": id},
		"another format": {"stream_id": id, "subject": members{"format": "email", "email": email}},
		"no sub":         subject(issuer, ""), "no iss": subject("", mine), "a text": {"stream_id": id, "subject": mine},
	} {
		for _, path := range []string{"/ssf/subjects/add", "/ssf/subjects/remove"} {
			crypto.refused(name, http.StatusBadRequest, oauth.InvalidRequest, http.MethodPost, path, form)
		}
	}
	for place, content := range w.dump() {
		if strings.Contains(string(content), mine) {
			t.Errorf("%s holds a subject", place)
		}
	}
}

// TestPollIsInOrder: the SETs of an answer are written in the order of the
// stream (check E7), which those who read them one after the other rely on.
func TestPollIsInOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	crypto := w.receiver("crypto.worker")
	id := crypto.makeStream(pollDelivery)
	w.publishN(12, "sale-")
	var waiting []outbox.Delivery
	err := w.app.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		waiting, err = outbox.Pending(t.Context(), tx, id, 100)
		return err
	})
	if err != nil || len(waiting) != 12 {
		t.Fatalf("%d wait, %v", len(waiting), err)
	}
	body := crypto.send(http.MethodPost, "/ssf/poll/"+id, members{"returnImmediately": true}).body
	last := -1
	for i, d := range waiting {
		at := strings.Index(body, strconv.Quote(d.ID)+":")
		if at <= last {
			t.Errorf("delivery %d stands at %d, the one before at %d", i, at, last)
		}
		last = at
	}
}
