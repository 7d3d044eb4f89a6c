package audit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
)

func record(name string) audit.Record {
	return audit.Record{Event: audit.TokenIssued, Outcome: audit.OK, Reason: name}
}

// run runs the log until the returned function is called, which gives Run's
// error.
func run(log *audit.Log) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = log.Run(ctx) })
	return func() error {
		cancel()
		running.Wait()
		return err
	}
}

func pragma(t *testing.T, d *db.DB, text string) {
	t.Helper()
	dbtest.SQLiteOnly(t)
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), "PRAGMA "+text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func countRecords(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	after := ""
	for {
		page := find(t, d, audit.Query{After: after, Limit: 1000})
		if len(page) == 0 {
			return n
		}
		n += len(page)
		after = page[len(page)-1].ID
	}
}

func TestLogWritesWhatItAccepts(t *testing.T) {
	t.Parallel()
	d := setup(t)
	log := audit.NewLog(d, start)
	stop := run(log)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 500 {
				if err := log.Enqueue(record(fmt.Sprint(i, j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := countRecords(t, d); n != 2000 {
		t.Errorf("%d records are written", n)
	}
	if got := find(t, d, audit.Query{Limit: 1})[0].At; !got.Equal(start()) {
		t.Errorf("time %v", got)
	}
	if err := log.Enqueue(audit.Record{Event: audit.TokenIssued}); err == nil {
		t.Error("a record without outcome is accepted")
	}
}

func TestLogRefusesWhenItsQueueIsFull(t *testing.T) {
	t.Parallel()
	d := setup(t)
	log := audit.NewLog(d, start)
	accepted := 0
	for {
		err := log.Enqueue(record("x"))
		if errors.Is(err, audit.ErrUnavailable) {
			break
		}
		if err != nil || accepted > 100_000 {
			t.Fatalf("%d accepted, %v", accepted, err)
		}
		accepted++
	}
	if err := log.Ready(); !errors.Is(err, audit.ErrUnavailable) {
		t.Errorf("ready with a full queue: %v", err)
	}
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := countRecords(t, d); n != accepted {
		t.Errorf("%d records accepted, %d written", accepted, n)
	}
	if err := errors.Join(log.Ready(), log.Enqueue(record("y"))); err != nil {
		t.Errorf("after the queue is written: %v", err)
	}
}

// A full disk: nothing is accepted while it lasts, nothing that was accepted
// is lost, and nobody has to do anything when there is room again.
func TestLogRecoversFromAFullDatabase(t *testing.T) {
	t.Parallel()
	d := setup(t)
	log := audit.NewLog(d, start)
	pragma(t, d, "max_page_count = 1")

	const accepted = 100
	for i := range accepted {
		r := record(fmt.Sprintf("%03d", i))
		r.At = start().Add(time.Duration(i) * time.Millisecond)
		r.Detail = map[string]any{"x": strings.Repeat("x", 3000)}
		if err := log.Enqueue(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Flush(t.Context()); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, db.ErrUnavailable) {
		t.Fatalf("flush to a full database: %v", err)
	}
	for _, err := range []error{log.Enqueue(record("refused")), log.Ready()} {
		if !errors.Is(err, audit.ErrUnavailable) {
			t.Errorf("while the database is full: %v", err)
		}
	}
	if n := countRecords(t, d); n != 0 {
		t.Errorf("%d records in a full database", n)
	}

	stop := run(log)
	pragma(t, d, "max_page_count = 1000000")
	waitUntilReady(t, log)
	if err := log.Enqueue(record("after")); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	all := find(t, d, audit.Query{Limit: 1000})
	if len(all) != accepted+1 {
		t.Fatalf("%d records", len(all))
	}
	names := map[string]bool{}
	for _, r := range all {
		names[r.Reason] = true
	}
	if len(names) != accepted+1 || names["refused"] {
		t.Errorf("lost or doubled records: %d names", len(names))
	}
}

func waitUntilReady(t *testing.T, log *audit.Log) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for log.Ready() != nil {
		select {
		case <-poll.C:
		case <-t.Context().Done():
			t.Fatal("the log did not recover")
		}
	}
}

// A flush that its caller gave up leaves nothing behind but work for Run.
func TestLogRecoversFromAnEndedFlush(t *testing.T) {
	t.Parallel()
	d := setup(t)
	log := audit.NewLog(d, start)
	if err := log.Enqueue(record("x")); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Flush(ended); !errors.Is(err, audit.ErrUnavailable) {
		t.Fatalf("flush: %v", err)
	}
	stop := run(log)
	waitUntilReady(t, log)
	if err := log.Flush(ended); err != nil {
		t.Errorf("nothing to flush: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := countRecords(t, d); n != 1 {
		t.Errorf("%d records", n)
	}
}

// A batch that was committed though nobody was told is written again, and is there
// once.
func TestABatchWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	d := setup(t)
	log := audit.NewLog(d, start)
	for i := range 3 {
		if err := log.Enqueue(record(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := audit.LoseAnswer(t.Context(), log); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Enqueue(record("after")), log.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	if n := countRecords(t, d); n != 4 {
		t.Errorf("%d records", n)
	}
}

func TestLogRefusesReadOnlyAndClosedDatabases(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testing.T, *db.DB){
		"read-only": func(t *testing.T, d *db.DB) { pragma(t, d, "query_only = on") },
		"closed":    func(_ *testing.T, d *db.DB) { _ = d.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := setup(t)
			log := audit.NewLog(d, start)
			if err := log.Enqueue(record("x")); err != nil {
				t.Fatal(err)
			}
			fail(t, d)
			if err := log.Flush(t.Context()); !errors.Is(err, audit.ErrUnavailable) {
				t.Errorf("flush: %v", err)
			}
			if err := log.Enqueue(record("y")); !errors.Is(err, audit.ErrUnavailable) {
				t.Errorf("enqueue: %v", err)
			}
			// The end of the process says that something is left.
			if err := run(log)(); !errors.Is(err, audit.ErrUnavailable) {
				t.Errorf("run: %v", err)
			}
		})
	}
}

func BenchmarkEnqueue(b *testing.B) {
	d, err := db.Open(b.Context(), dbtest.DSN(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	log := audit.NewLog(d, time.Now)
	stop := run(log)
	r := audit.Record{
		Event: audit.ExchangeIssued, Outcome: audit.OK, Client: "pay.backend", Grant: 1, Source: "192.0.2.1",
		Request: "0123456789abcdef", Detail: map[string]any{"aud": "https://api.market.example", "scope": "items.read"},
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := log.Enqueue(r); err != nil {
			if err := log.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := stop(); err != nil {
		b.Fatal(err)
	}
}
