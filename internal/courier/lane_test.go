package courier_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// A message that fails holds back those about the same person, and no other.
func TestAFailureHoldsBackItsPersonOnly(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	bad := e.subject("pay", 0)
	pay.does(func(w http.ResponseWriter, _ *http.Request) {})
	pay.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pay.ServeHTTP(&statusOnly{w}, r)
		last := pay.last()
		if e.readSET(last).SubjectID.Subject == bad {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := e.stream("pay.backend", pay)
	e.sold(0, "bad-1", "bad-2")
	e.sold(1, "good-1", "good-2", "good-3", "good-4")
	e.tick()
	e.wantStanding(s.ID, 2, 0)
	if stream := e.load(s.ID); !stream.RetryAt.IsZero() {
		t.Errorf("the stream waits until %v", stream.RetryAt)
	}
	var came []string
	for _, one := range e.readSETs(pay.take()) {
		came = append(came, items([]set{one})...)
	}
	slices.Sort(came)
	if !slices.Equal(came, []string{"bad-1", "good-1", "good-2", "good-3", "good-4"}) {
		t.Errorf("came %v", came)
	}
}

// statusOnly keeps the receiver's own answer away.
type statusOnly struct{ http.ResponseWriter }

func (statusOnly) WriteHeader(int) {}

func (r *receiver) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[len(r.got)-1].body
}

// A stream that does not work is probed with one request at a time, less and less
// often; when it works again everything goes at once.
func TestAStreamThatDoesNotWorkWaits(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	address := pay.Listener.Addr().String()
	s := e.stream("pay.backend", pay)
	pay.Close() // nobody answers
	list := names("sale", 40)
	e.sold(0, list[0])
	for i := range list[1:] {
		e.sold(1, list[i+1])
	}
	e.tick()
	stream := e.load(s.ID)
	if stream.Failures != 1 || stream.FailingSince.IsZero() || !stream.RetryAt.After(e.clock.Now()) {
		t.Errorf("failures %d, retry at %v", stream.Failures, stream.RetryAt)
	}
	tries := func() (n int) {
		pending, _ := e.standing(s.ID)
		for _, d := range pending {
			n += d.Attempts
		}
		return n
	}
	if n := tries(); n != 2 { // one of each person
		t.Errorf("%d tries", n)
	}
	e.after(time.Second)
	if n := tries(); n != 2 {
		t.Errorf("%d tries though it waits", n)
	}
	e.after(10 * time.Second)
	if n := tries(); n != 3 {
		t.Errorf("%d tries, one probe more was due", n)
	}
	e.after(time.Minute)
	e.after(10 * time.Minute)
	if stream := e.load(s.ID); stream.Failures != 4 {
		t.Errorf("%d failures", stream.Failures)
	}

	back := &receiver{}
	back.answers(http.StatusAccepted)
	back.Server = serveAt(t, address, back)
	e.after(time.Hour)
	e.wantStanding(s.ID, 0, 0)
	if n := len(back.take()); n != len(list) {
		t.Errorf("%d came, want %d", n, len(list))
	}
	if stream := e.load(s.ID); stream.Failures != 0 || !stream.FailingSince.IsZero() || !stream.RetryAt.IsZero() {
		t.Errorf("it still counts as failing: %+v", stream)
	}
}

// Somebody has to look after 401, 403, 404 and 410: after 24 hours the stream is
// paused, with a reason and a record, and nothing is lost.
func TestAStreamNobodyLooksAfterIsPaused(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	pay.answers(http.StatusNotFound)
	s := e.stream("pay.backend", pay)
	e.sold(0, "teapot")
	began := e.clock.Now()
	for e.load(s.ID).Status == courier.StreamEnabled && e.clock.Now().Sub(began) < 72*time.Hour {
		e.after(30 * time.Minute)
	}
	paused := e.load(s.ID)
	if took := e.clock.Now().Sub(began); paused.Status != courier.StreamPaused || took < 24*time.Hour || took > 32*time.Hour {
		t.Errorf("%s after %s", paused.Status, took)
	}
	if paused.Reason != "The endpoint answered 404 for 24 hours." {
		t.Errorf("reason %q", paused.Reason)
	}
	if n := len(pay.take()); n < 5 || n > 9 {
		t.Errorf("%d tries", n)
	}
	records := e.records(audit.StreamPaused)
	if len(records) != 1 || records[0].Client != "pay.backend" || records[0].Detail["stream"] != s.ID {
		t.Errorf("records %+v", records)
	}

	pay.answers(http.StatusAccepted)
	e.after(24 * time.Hour)
	if n := len(pay.take()); n != 0 {
		t.Error("a paused stream sends")
	}
	e.update(func(tx *db.Tx) error {
		changed, err := courier.ChangeStatus(e.ctx, tx, s.ID, courier.StreamEnabled, "operator", e.clock.Now())
		if !changed {
			t.Error("the status did not change")
		}
		return err
	})
	e.tick()
	e.wantItems("enabled again", pay.take(), "teapot")
}

func TestAnEventThatFailsForDaysIsDead(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	pay.answers(http.StatusInternalServerError)
	s := e.stream("pay.backend", pay)
	e.sold(0, "teapot", "pot")
	for range 71 {
		e.after(time.Hour)
	}
	e.wantStanding(s.ID, 2, 0)
	for range 15 {
		e.after(time.Hour)
	}
	_, dead := e.standing(s.ID)
	if len(dead) == 0 || dead[0].Fault != "answered 500" {
		t.Fatalf("dead are %+v", dead)
	}
	pay.answers(http.StatusAccepted)
	e.update(func(tx *db.Tx) error {
		_, err := outbox.Resend(e.ctx, tx, e.clock.Now(), s.ID, nil, 10)
		return err
	})
	pay.take()
	e.after(time.Hour)
	e.after(24 * time.Hour)
	e.wantItems("sent again by hand", pay.take(), "teapot", "pot")
}
