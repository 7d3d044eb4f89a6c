//go:build unix

package event_test

import (
	"net/http"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/sekisho-id/sekisho/internal/postgrestest"
	"github.com/sekisho-id/sekisho/sdk/event"
)

// The database is one whose transactions are strict unless asked otherwise.
func TestOutboxOnPostgreSQL(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Start(t) + " default_transaction_isolation=serializable"
	f := setupPublisherOn(t, event.PostgreSQL, openEventDB(t, "pgx", dsn))
	exerciseOutbox(t, f)
	exerciseLimit(t, f)
}

func TestOutboxOnSQLite(t *testing.T) {
	t.Parallel()
	exerciseOutbox(t, setupPublisher(t))
}

// exerciseOutbox runs every statement of an outbox on either engine.
func exerciseOutbox(t *testing.T, f *publishing) {
	t.Helper()
	h := f.hook("crypto")
	f.publish(f.sold("alice", "1"), f.sold("alice", "1"), f.sold("bob", "b"))
	f.deliver()
	if got := h.items(); got != "1 b" && got != "b 1" {
		t.Errorf("got %q", got)
	}
	h.answers(status(http.StatusInternalServerError))
	f.publish(f.sold("alice", "2"), f.sold("alice", "3"))
	f.deliver()
	h.answers(status(http.StatusBadRequest))
	f.pass(10 * time.Second)
	letters := f.dead()
	if len(letters) != 2 || letters[0].EventID != "sale-3" || letters[1].EventID != "sale-2" || letters[1].Attempts != 2 {
		t.Fatalf("dead: %+v", letters)
	}
	h.answers(nil)
	if sent, err := f.outbox.Resend(t.Context(), h.id, letters[0].Seq, letters[1].Seq); err != nil || sent != 2 {
		t.Errorf("resent %d, %v", sent, err)
	}
	before := len(h.got())
	f.deliver()
	if calls := h.got()[before:]; len(calls) != 2 || calls[0].body != `{"item":"2"}` || calls[1].body != `{"item":"3"}` {
		t.Errorf("resent: %v", calls)
	}
	if status, answer := f.ask("crypto", http.MethodPost, h.id+"/secret", ""); status != http.StatusOK {
		t.Errorf("rotating: got %d %v", status, answer)
	}
	h.answers(status(http.StatusGone))
	f.publish(f.sold("alice", "4"))
	for range 60 {
		f.pass(time.Hour)
	}
	if state, _ := f.state("crypto", h.id); state != event.Paused {
		t.Errorf("got %s", state)
	}
	h.answers(nil)
	if status, answer := f.ask("crypto", http.MethodPost, h.id+"/verify", ""); status != http.StatusOK {
		t.Errorf("verifying: got %d %v", status, answer)
	}
	f.deliver()
	if calls := h.got(); calls[len(calls)-1].body != `{"item":"4"}` {
		t.Errorf("got %v", calls)
	}
	f.pass(event.KeepDead + time.Hour)
	var rows int
	if err := f.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sekisho_event_outbox").Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d events are left, %v", rows, err)
	}
	if status, answer := f.ask("crypto", http.MethodDelete, h.id, ""); status != http.StatusNoContent {
		t.Errorf("removing: got %d %v", status, answer)
	}
}
