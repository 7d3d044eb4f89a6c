package event_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
)

// E2: what each answer to a delivery means. Again says when it is tried again:
// not before, and by then at the latest; zero is never.
func TestAnswersToADelivery(t *testing.T) {
	t.Parallel()
	never := [2]time.Duration{}
	fast := [2]time.Duration{4 * time.Second, 6 * time.Second}
	slow := [2]time.Duration{8 * time.Minute, 12 * time.Minute}
	refusal := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"err":"invalid_audience","description":"not\nmine"}`)
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		again  [2]time.Duration
		dead   string
	}{
		"200":                   {status(200), never, ""},
		"202":                   {status(202), never, ""},
		"204":                   {status(204), never, ""},
		"200 with a body":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "thanks") }, never, ""},
		"201":                   {status(201), fast, ""},
		"301":                   {status(301, "Location", "https://1.1.1.1/"), fast, ""},
		"302":                   {status(302, "Location", "/elsewhere"), fast, ""},
		"308":                   {status(308, "Location", "/elsewhere"), fast, ""},
		"400":                   {status(400), never, "answered 400"},
		"400 with its reason":   {refusal, never, "answered 400: invalid_audience: not.mine"},
		"401":                   {status(401), slow, ""},
		"403":                   {status(403), slow, ""},
		"404":                   {status(404), slow, ""},
		"410":                   {status(410), slow, ""},
		"418":                   {status(418), slow, ""},
		"408":                   {status(408), fast, ""},
		"429":                   {status(429), fast, ""},
		"429 with a time":       {status(429, "Retry-After", "120"), [2]time.Duration{119 * time.Second, 120 * time.Second}, ""},
		"503 with a date":       {status(503, "Retry-After", "Sun, 01 Mar 2026 13:00:00 GMT"), [2]time.Duration{59 * time.Minute, time.Hour}, ""},
		"503 with a short time": {status(503, "Retry-After", "1"), fast, ""},
		"503 with nonsense":     {status(503, "Retry-After", "soon"), fast, ""},
		"503 with years":        {status(503, "Retry-After", "999999999"), [2]time.Duration{23 * time.Hour, 24 * time.Hour}, ""},
		"500":                   {status(500), fast, ""},
		"500 with a time":       {status(500, "Retry-After", "120"), fast, ""},
		"504":                   {status(504), fast, ""},
		"hangs up":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fast, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setupPublisher(t)
			h := f.hook("pay")
			h.answers(c.answer)
			f.publish(f.sold("alice", "lamp"))
			f.deliver()
			h.want("lamp")
			h.answers(nil)
			if c.again == never {
				f.pass(25 * time.Hour)
				h.want("lamp")
			} else {
				f.pass(c.again[0])
				h.want("lamp")
				f.pass(c.again[1] - c.again[0])
				h.want("lamp lamp")
				f.pass(25 * time.Hour)
				h.want("lamp lamp")
			}
			letters := f.dead()
			if (len(letters) == 1) != (c.dead != "") || len(letters) == 1 && letters[0].Fault != c.dead {
				t.Errorf("dead: %+v", letters)
			}
		})
	}
}

// A delivery that fails goes on for three days and is then dead; each try has a
// new credential with the same jti and the same body (E11, F13).
func TestADeliveryIsTriedForThreeDays(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	h.answers(status(500))
	f.publish(f.sold("alice", "lamp"))
	start := f.issuer.Clock.Now()
	for len(f.dead()) == 0 && f.issuer.Clock.Now().Sub(start) < 5*24*time.Hour {
		f.pass(20 * time.Minute)
	}
	age, tries := f.issuer.Clock.Now().Sub(start), len(h.got())
	if age < 3*24*time.Hour || age > 3*24*time.Hour+15*time.Hour || tries < 10 || tries > 20 {
		t.Errorf("dead after %s and %d tries", age, tries)
	}
	letter := f.dead()[0]
	if letter.Subsystem != "pay" || letter.EventID != "sale-lamp" || letter.User != f.member("alice") || letter.Type != "item.sold" || letter.Attempts != tries {
		t.Errorf("dead: %+v", letter)
	}

	h.answers(nil)
	if sent, err := f.outbox.Resend(t.Context(), letter.Subscription, letter.Seq+1); err != nil || sent != 0 {
		t.Errorf("resent %d of another event, %v", sent, err)
	}
	if sent, err := f.outbox.Resend(t.Context(), letter.Subscription, letter.Seq); err != nil || sent != 1 {
		t.Errorf("resent %d, %v", sent, err)
	}
	f.pass(15 * time.Minute) // the receiver counts as down for a while
	calls := h.got()
	if len(calls) != tries+1 || len(f.dead()) != 0 {
		t.Errorf("%d calls after %d; dead: %v", len(calls), tries, f.dead())
	}
	credentials := make(map[string]bool)
	for _, call := range calls {
		if call.credential(t)["jti"] != calls[0].credential(t)["jti"] || call.body != calls[0].body ||
			call.header.Get("Webhook-Id") != calls[0].header.Get("Webhook-Id") {
			t.Errorf("another jti, id or body: %v", call)
		}
		credentials[call.header.Get("Authorization")] = true
	}
	if len(credentials) != len(calls) {
		t.Errorf("%d credentials for %d calls", len(credentials), len(calls))
	}
	if sent, err := f.outbox.Resend(t.Context(), letter.Subscription); err != nil || sent != 0 {
		t.Errorf("resent %d that were delivered, %v", sent, err)
	}
}

// One person's events arrive in order, whatever fails; others' do not wait.
func TestOrderIsPerPerson(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h, other := f.hook("pay"), f.hook("crypto")
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasSuffix(h.items(), "1") { // alice's first
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	f.publish(f.sold("alice", "1"), f.sold("alice", "2"), f.sold("alice", "3"))
	f.deliver()
	h.want("1")
	other.want("1 2 3")
	f.publish(f.sold("bob", "b"), f.sold("carol", "c"))
	f.deliver()
	if got := h.items(); got != "1 b c" && got != "1 c b" {
		t.Errorf("got %q", got)
	}
	h.answers(status(400)) // given up, so that the next can go
	f.pass(10 * time.Second)
	if got := h.items(); !strings.HasSuffix(got, " 1 2 3") {
		t.Errorf("got %q", got)
	}
	if n := len(f.dead()); n != 3 {
		t.Errorf("%d dead", n)
	}
}

// A receiver that is down is asked by one delivery at a time, and gets all that
// waited as soon as it is back.
func TestAReceiverThatIsDownIsProbed(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h, other := f.hook("pay"), f.hook("crypto")
	h.answers(status(500))
	for n := range 40 {
		f.publish(f.sold(fmt.Sprintf("person%d", n), strconv.Itoa(n)))
	}
	f.deliver()
	if tries := len(h.got()); tries != 8 { // what goes at a time
		t.Errorf("%d tries at first", tries)
	}
	if n := len(other.got()); n != 40 {
		t.Errorf("the other receiver got %d", n)
	}
	for range 2 * 60 { // two hours
		before := len(h.got())
		f.pass(time.Minute)
		if tries := len(h.got()) - before; tries > 1 {
			t.Fatalf("%d tries of a receiver that is down", tries)
		}
	}
	if tries := len(h.got()); tries > 8+25 {
		t.Errorf("%d tries in two hours", tries)
	}
	h.answers(nil)
	before := len(h.got())
	f.pass(12 * time.Minute)
	if tries := len(h.got()) - before; tries != 40 {
		t.Errorf("%d of 40 came when it was back", tries)
	}
}

// What a receiver does not want for a day pauses its subscription, with a
// notice. Verified again it gets what was kept, in order (E2, E7).
func TestARefusingReceiverIsPaused(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	h.answers(status(404))
	f.publish(f.sold("alice", "1"), f.sold("alice", "2"))
	f.deliver()
	for range 23 * 4 {
		f.pass(15 * time.Minute)
	}
	if state, _ := f.state("pay", h.id); state != event.Active {
		t.Errorf("%s after 23 hours", state)
	}
	for range 10 * 4 { // the slow schedule asks every six hours
		f.pass(15 * time.Minute)
	}
	state, reason := f.state("pay", h.id)
	if state != event.Paused || reason != "The receiver has refused everything for a day; the last time it answered 404." {
		t.Errorf("got %s: %s", state, reason)
	}
	if !strings.Contains(f.log.String(), "event subscription paused") {
		t.Errorf("no notice: %s", f.log)
	}
	tries := len(h.got())
	if tries > 10 {
		t.Errorf("%d tries in a day", tries)
	}
	h.answers(nil)
	f.publish(f.sold("alice", "3"))
	f.pass(8 * time.Hour)
	if n := len(h.got()); n != tries {
		t.Errorf("%d were sent to a paused subscription", n-tries)
	}
	if status, answer := f.ask("pay", http.MethodPost, h.id+"/verify", ""); status != http.StatusOK || answer["state"] != event.Active {
		t.Fatalf("got %d %v", status, answer)
	}
	f.deliver()
	if got := h.items(); !strings.HasSuffix(got, " 1 2 3") || len(h.got()) != tries+3 {
		t.Errorf("got %q", got)
	}
}

func TestWhatIsOverIsForgotten(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	f.publish(f.sold("alice", "1"))
	f.deliver()
	h.answers(status(400))
	f.publish(f.sold("alice", "2"))
	f.deliver()
	rows := func() (deliveries, events int) {
		err := f.db.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM sekisho_event_delivery),
			(SELECT COUNT(*) FROM sekisho_event_outbox)`).Scan(&deliveries, &events)
		if err != nil {
			t.Fatal(err)
		}
		return deliveries, events
	}
	for _, step := range []struct {
		after              time.Duration
		deliveries, events int
	}{{event.KeepDone - time.Hour, 2, 2}, {2 * time.Hour, 1, 1}, {event.KeepDead - event.KeepDone - 2*time.Hour, 1, 1}, {2 * time.Hour, 0, 0}} {
		f.pass(step.after)
		if deliveries, events := rows(); deliveries != step.deliveries || events != step.events {
			t.Errorf("%d deliveries and %d events are left, want %d and %d", deliveries, events, step.deliveries, step.events)
		}
	}
	// What a paused subscription never took is dead in the end.
	f.issuer.Declared = func(string, string, string) bool { return false }
	f.publish(f.sold("alice", "3"))
	f.deliver()
	f.pass(event.DeliverWithin + 2*time.Hour)
	if letters := f.dead(); len(letters) != 1 || letters[0].Fault != "not taken for three days" {
		t.Errorf("dead: %v", letters)
	}
}

// TestAnAttemptCountsOnce: writing down what came of it may have to be repeated.
func TestAnAttemptCountsOnce(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	h.answers(status(500))
	f.deliver()
	exec := func(query string) {
		t.Helper()
		if _, err := f.db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	f.publish(f.sold("alice", "lamp"))
	exec("CREATE TRIGGER away BEFORE UPDATE ON sekisho_event_delivery BEGIN SELECT RAISE(ABORT, 'away'); END")
	for range 5 {
		if err := f.delivery.Due(t.Context()); err == nil {
			t.Fatal("written down in spite of the trigger")
		}
	}
	exec("DROP TRIGGER away")
	f.deliver()
	var attempts int
	if err := f.db.QueryRowContext(t.Context(), "SELECT attempts FROM sekisho_event_delivery").Scan(&attempts); err != nil {
		t.Fatal(err)
	}
	if attempts != 1 {
		t.Errorf("%d attempts, want 1", attempts)
	}
	h.want("lamp")
}
