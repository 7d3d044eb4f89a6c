package courier_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/courier"
)

// F14: what a process that was killed should have sent is sent by another within
// the ten seconds of a lease.
func TestLeasesAreTakenOver(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	e.stream("pay.backend", pay)
	e.tick()
	if n := e.Held(); n != 16 {
		t.Fatalf("alone it holds %d", n)
	}
	other := e.process("", false)
	other.Tick(e.ctx)
	if n := other.Held(); n != 0 {
		t.Fatalf("%d are held twice", n)
	}

	// The first is killed; it does not even give its leases back.
	e.sold(0, "teapot")
	e.clock.Advance(7 * time.Second)
	other.Tick(e.ctx)
	if n := len(pay.take()); n != 0 {
		t.Errorf("%d were sent before the lease had run out", n)
	}
	for range 6 { // the ticks of three seconds
		e.clock.Advance(time.Second / 2)
		other.Tick(e.ctx)
	}
	e.wantItems("after ten seconds", pay.take(), "teapot")
	if e.Held() != 0 {
		t.Error("the first still relies on its lease")
	}
}

// Two processes share the streams, and one that goes leaves all to the other.
func TestProcessesShare(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	first, second := e.Courier, e.process("", false)
	held := func(wantFirst, wantSecond int) {
		t.Helper()
		for range 5 {
			e.clock.Advance(3 * time.Second)
			first.Tick(e.ctx)
			second.Tick(e.ctx)
		}
		if f, s := first.Held(), second.Held(); f != wantFirst || s != wantSecond {
			t.Errorf("they hold %d and %d, want %d and %d", f, s, wantFirst, wantSecond)
		}
	}
	held(8, 8)
	third := e.process("", false)
	for range 5 {
		e.clock.Advance(3 * time.Second)
		for _, process := range []*courier.Courier{first, second, third} {
			process.Tick(e.ctx)
		}
	}
	if f, s, th := first.Held(), second.Held(), third.Held(); f+s+th != 16 || f > 6 || s > 6 || th > 6 {
		t.Errorf("they hold %d, %d and %d", f, s, th)
	}
	held(8, 8) // the third is gone
}

// What was delivered but not written down is delivered once more, under the same
// jti; who lost its lease sends nothing more, and what it writes down late changes
// nothing.
func TestACrashBetweenDeliveryAndRecord(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	pay := newReceiver(t)
	came, answer := make(chan struct{}, 10), make(chan struct{})
	pay.does(func(w http.ResponseWriter, _ *http.Request) {
		came <- struct{}{}
		<-answer
	})
	s := e.stream("pay.backend", pay)
	e.sold(0, "first", "second")
	stuck := make(chan struct{})
	go func() { defer close(stuck); e.tick() }()
	<-came // it is at the receiver, and this process hears nothing any more

	e.clock.Advance(10 * time.Second)
	other := e.process("", false)
	pay.answers(http.StatusAccepted)
	other.Tick(e.ctx)
	e.wantStanding(s.ID, 0, 0)
	close(answer)
	<-stuck
	sets := e.readSETs(pay.take())
	if len(sets) != 3 || sets[0].ID != sets[1].ID || items(sets)[2] != "second" {
		t.Errorf("came %v", items(sets))
	}
	e.wantStanding(s.ID, 0, 0)
}
