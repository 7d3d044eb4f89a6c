package outbox_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

func TestHappeningsAreTakenOnceInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := []outbox.Happening{
		{
			Type: "a", Handle: [12]byte{1}, Gen: 2, Session: &[16]byte{3}, Clients: []string{"app.web"}, KnownTo: []string{},
			Payload: map[string]any{"x": "y"}, At: start,
		},
		{Type: "b", Handle: [12]byte{2}, Gen: 1, At: start},
		{Type: "c", Handle: [12]byte{2}, Gen: 1, KnownTo: []string{"one", "two"}, At: start},
	}
	b.update(func(tx *db.Tx) error {
		for _, h := range want {
			if err := outbox.Append(b.ctx, tx, h); err != nil {
				return err
			}
		}
		return nil
	})
	failed := errors.New("failed")
	take := func(limit int, fault error) (taken []outbox.Happening) {
		err := b.db.Update(b.ctx, func(tx *db.Tx) (err error) {
			if taken, err = outbox.TakeHappenings(b.ctx, tx, limit); err != nil {
				return err
			}
			return fault
		})
		if !errors.Is(err, fault) {
			t.Fatal(err)
		}
		return taken
	}
	take(3, failed) // they are still there
	got := append(take(2, nil), take(2, nil)...)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if rest := take(2, nil); len(rest) > 0 {
		t.Errorf("%d were left", len(rest))
	}
}

func TestNoNewsWithoutTheChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failed := errors.New("failed")
	_ = b.db.Update(b.ctx, func(tx *db.Tx) error {
		if err := outbox.Append(b.ctx, tx, outbox.Happening{Type: "a", At: start}); err != nil {
			return err
		}
		if err := outbox.Add(b.ctx, tx, start, []outbox.Delivery{message("s", "1", 1)}); err != nil {
			return err
		}
		return failed
	})
	b.read(func(tx *db.Tx) error {
		if found, err := outbox.AnyHappenings(b.ctx, tx); found || err != nil {
			t.Error(found, err)
		}
		return nil
	})
	b.wantDue("s", start)
}

func TestDeliveriesOfAKeyGoInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start, message("s", "a1", 1), message("s", "b1", 2), message("s", "a2", 1), message("other", "a1", 1))
	b.add(start, message("s", "a3", 1))
	b.wantDue("s", start, "a1", "b1")
	b.wantDue("other", start, "a1")

	// A failed one holds back those behind it, and no other.
	first := b.due("s", start)[0]
	b.update(func(tx *db.Tx) error {
		return outbox.Retry(b.ctx, tx, "s", first.Seq, start.Add(time.Minute), "no\nanswer\x00"+strings.Repeat("é", 300))
	})
	b.wantDue("s", start, "b1")
	b.add(start, message("s", "a4", 1), message("s", "b2", 2))
	b.wantDue("s", start, "b1")
	b.wantDue("s", start.Add(time.Minute), "b1", "a1")
	retried := b.due("s", start.Add(time.Minute))[1]
	if retried.Attempts != 1 || !strings.HasPrefix(retried.Fault, "no answer é") || len(retried.Fault) > 300 {
		t.Errorf("retried: %+v", retried)
	}

	// What is settled lets the next go.
	if n := b.done(start, "s", "a1", "b1", "a1", "unknown"); n != 2 {
		t.Errorf("%d were settled", n)
	}
	b.wantDue("s", start, "a2", "b2")
	b.update(func(tx *db.Tx) error { return outbox.Bury(b.ctx, tx, start, "s", b.due("s", start)[0].Seq, "bad") })
	b.wantDue("s", start, "a3", "b2")
	if pending := ids(b.pending("s")); !slices.Equal(pending, []string{"a3", "a4", "b2"}) {
		t.Errorf("pending are %v", pending)
	}
}

func TestAPersonsIDIsTakenOnceAStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start, message("s", "a", 1), message("s", "a", 1))
	b.add(start, message("s", "a", 1), message("other", "a", 1))
	b.wantDue("s", start, "a")
	if n := b.done(start, "other", "a"); n != 1 {
		t.Errorf("%d were settled", n)
	}
	b.wantDue("s", start, "a") // that of the other stream is another one
	if n := b.done(start, "other", "a"); n != 0 {
		t.Error("settled twice")
	}
}

func TestResendAndReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start, message("s", "a1", 1))
	b.add(start.Add(time.Hour), message("s", "a2", 1), message("s", "b1", 2))
	b.done(start.Add(time.Hour), "s", "a1", "a2", "b1")
	b.add(start.Add(time.Hour), message("s", "a3", 1), message("s", "dead", 3))
	b.update(func(tx *db.Tx) error {
		if found, err := outbox.BuryByID(b.ctx, tx, start, "s", "dead", "gone"); !found || err != nil {
			t.Error(found, err)
		}
		if found, err := outbox.BuryByID(b.ctx, tx, start, "s", "dead", "gone"); found || err != nil {
			t.Error("buried twice", err)
		}
		return nil
	})
	b.read(func(tx *db.Tx) error {
		dead, err := outbox.ListDead(b.ctx, tx, "s", 0, 10)
		if err != nil || len(dead) != 1 || dead[0].Fault != "gone" || dead[0].State != outbox.StateDead {
			t.Errorf("dead are %+v, %v", dead, err)
		}
		return nil
	})

	// In steps of one, from the hour on.
	var replayed int64
	for after := int64(0); ; {
		var n int64
		b.update(func(tx *db.Tx) (err error) {
			after, n, err = outbox.Replay(b.ctx, tx, start.Add(2*time.Hour), start.Add(time.Minute), "s", after, 1)
			return err
		})
		if n == 0 {
			break
		}
		replayed += n
	}
	if replayed != 2 {
		t.Errorf("%d were replayed", replayed)
	}
	// a3 waited for nothing, but is younger than the one replayed.
	b.wantDue("s", start.Add(2*time.Hour), "a2", "b1")
	if again := b.due("s", start.Add(2*time.Hour))[0]; string(again.Sealed) != "a2" {
		t.Errorf("replayed is %+v", again)
	}

	for _, ids := range [][]string{{}, {"unknown", "b1"}, nil} {
		var n int64
		b.update(func(tx *db.Tx) (err error) {
			n, err = outbox.Resend(b.ctx, tx, start.Add(2*time.Hour), "s", ids, 10)
			return err
		})
		if want := int64(1); (ids == nil) != (n == want) {
			t.Errorf("%v: %d were sent again", ids, n)
		}
	}
	b.wantDue("s", start.Add(2*time.Hour), "a2", "b1", "dead")
}

func TestHurryAndDrop(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start, message("s", "a1", 1), message("s", "a2", 1), message("s", "b1", 2))
	b.update(func(tx *db.Tx) error {
		return outbox.Retry(b.ctx, tx, "s", b.due("s", start)[0].Seq, start.Add(time.Hour), "no answer")
	})
	b.read(func(tx *db.Tx) error {
		if at, ok, err := outbox.NextDue(b.ctx, tx, "s"); !at.Equal(start) || !ok || err != nil {
			t.Error(at, ok, err)
		}
		if at, ok, err := outbox.NextDue(b.ctx, tx, "none"); ok || err != nil {
			t.Error(at, ok, err)
		}
		return nil
	})
	b.update(func(tx *db.Tx) error { return outbox.Hurry(b.ctx, tx, start.Add(time.Second), "s") })
	b.wantDue("s", start.Add(time.Second), "b1", "a1")
	b.update(func(tx *db.Tx) error {
		if n, err := outbox.Drop(b.ctx, tx, "s", 2); n != 2 || err != nil {
			t.Error(n, err)
		}
		return nil
	})
	b.wantDue("s", start.Add(time.Second), "b1")
}

func TestCountsAndNews(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start, message("s", "a1", 1), message("s", "a2", 1), message("other", "a1", 1))
	var last int64
	b.read(func(tx *db.Tx) error {
		streams, seq, err := outbox.StreamsSince(b.ctx, tx, 0)
		slices.Sort(streams)
		if last = seq; err != nil || !slices.Equal(streams, []string{"other", "s"}) {
			t.Error(streams, err)
		}
		if newest, err := outbox.LastSeq(b.ctx, tx); newest != seq || err != nil {
			t.Error(newest, seq, err)
		}
		return nil
	})
	b.add(start.Add(time.Second), message("third", "a1", 1))
	b.update(func(tx *db.Tx) error { return outbox.Bury(b.ctx, tx, start, "s", 1, "bad") })
	b.read(func(tx *db.Tx) error {
		if streams, _, err := outbox.StreamsSince(b.ctx, tx, last); err != nil || !slices.Equal(streams, []string{"third"}) {
			t.Error(streams, err)
		}
		counts, err := outbox.Counts(b.ctx, tx)
		want := map[string]outbox.Count{
			"s":     {Stream: "s", Pending: 1, Dead: 1, Oldest: start},
			"other": {Stream: "other", Pending: 1, Oldest: start},
			"third": {Stream: "third", Pending: 1, Oldest: start.Add(time.Second)},
		}
		if err != nil || !reflect.DeepEqual(counts, want) {
			t.Error(counts, err)
		}
		settled, err := outbox.ListSettled(b.ctx, tx, start, 0, 10)
		if err != nil || !slices.Equal(ids(settled), []string{"a1"}) {
			t.Error(settled, err)
		}
		settled, err = outbox.ListSettled(b.ctx, tx, start, settled[0].Seq, 10)
		if err != nil || len(settled) != 0 {
			t.Error(settled, err)
		}
		return nil
	})
}

func TestLeases(t *testing.T) {
	t.Parallel()
	b := setup(t)
	take := func(holder string, at time.Time) (taken bool) {
		b.update(func(tx *db.Tx) (err error) {
			taken, err = outbox.Take(b.ctx, tx, "bucket", holder, at, at.Add(10*time.Second))
			return err
		})
		return taken
	}
	for _, step := range []struct {
		holder string
		after  time.Duration
		want   bool
	}{
		{"one", 0, true},
		{"two", 3 * time.Second, false},
		{"one", 3 * time.Second, true}, // renewed
		{"two", 12 * time.Second, false},
		{"two", 13 * time.Second, true}, // run out
		{"one", 14 * time.Second, false},
	} {
		if got := take(step.holder, start.Add(step.after)); got != step.want {
			t.Fatalf("%s after %s: %t", step.holder, step.after, got)
		}
	}
	for _, holder := range []string{"one", "two"} {
		b.update(func(tx *db.Tx) error { return outbox.GiveBack(b.ctx, tx, "bucket", holder) })
		if free := take("three", start.Add(15*time.Second)); free != (holder == "two") {
			t.Errorf("free after %s gave it back: %t", holder, free)
		}
	}
	b.read(func(tx *db.Tx) error {
		if n, err := outbox.CountHolders(b.ctx, tx, start.Add(16*time.Second)); n != 1 || err != nil {
			t.Error(n, err)
		}
		return nil
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const day = 24 * time.Hour
	b.add(start, message("s", "done", 1), message("s", "dead", 2), message("s", "pending", 3))
	b.add(start.Add(day), message("s", "younger", 3))
	b.done(start, "s", "done")
	b.update(func(tx *db.Tx) error { return outbox.Bury(b.ctx, tx, start, "s", 2, "bad") })
	sweep := func(after time.Duration) (dead, pending []string, settled int) {
		if err := outbox.Sweep(b.ctx, b.db, start.Add(after)); err != nil {
			t.Fatal(err)
		}
		b.read(func(tx *db.Tx) error {
			list, err := outbox.ListDead(b.ctx, tx, "s", 0, 10)
			if err != nil {
				return err
			}
			all, err := outbox.ListSettled(b.ctx, tx, start, 0, 10)
			dead, settled = ids(list), len(all)
			return err
		})
		return dead, ids(b.pending("s")), settled
	}
	for _, step := range []struct {
		after         time.Duration
		dead, pending []string
		settled       int
	}{
		{7 * day, []string{"dead"}, []string{"pending", "younger"}, 2},
		{7*day + 1e6, []string{"dead"}, []string{"pending", "younger"}, 1},
		{30 * day, []string{"dead"}, []string{"pending", "younger"}, 1},
		{30*day + 1e6, []string{"pending"}, []string{"younger"}, 1},
		{91 * day, []string{"younger"}, nil, 1},
	} {
		dead, pending, settled := sweep(step.after)
		if !slices.Equal(dead, step.dead) || !slices.Equal(pending, step.pending) || settled != step.settled {
			t.Errorf("after %s: dead %v, pending %v, %d settled", step.after, dead, pending, settled)
		}
	}
}

// What a receiver says of a message may hold the message.
func TestFaultsNameNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start, message("s", "a", 1))
	b.update(func(tx *db.Tx) error {
		return outbox.Bury(b.ctx, tx, start, "s", 1, "answered 400, invalid_request: no user izt34f4km5adnps6zpei46mlru, eyJhbGciOiJFUzI1NiIsInR5cCI6.eyJpc3MiOiJodHRwOi8vbG9jYWxo.c2ln at events.receiver.example.com")
	})
	b.read(func(tx *db.Tx) error {
		dead, err := outbox.ListDead(b.ctx, tx, "s", 0, 1)
		if want := "answered 400, invalid_request: no user [removed], [removed].[removed].c2ln at events.receiver.example.com"; err != nil || dead[0].Fault != want {
			t.Errorf("%q, %v", dead[0].Fault, err)
		}
		return nil
	})
}

// TestIndexesAnswer makes sure that a long queue, or a long past, costs those
// nothing who look at its head.
func TestIndexesAnswer(t *testing.T) {
	t.Parallel()
	dbtest.SQLiteOnly(t)
	b := setup(t)
	for index, where := range outbox.Conditions {
		b.read(func(tx *db.Tx) error {
			args := []any{"s", int64(1), int64(1)}
			switch index {
			case "delivery_pending":
				args = args[:2]
			case "delivery_settled":
				args[0] = int64(1)
			}
			rows, err := tx.Rows(b.ctx, "EXPLAIN QUERY PLAN SELECT sealed FROM delivery WHERE "+where, args...)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var id, parent, unused int
				var step string
				if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
					return err
				}
				if !strings.HasPrefix(step, "SEARCH delivery USING INDEX "+index+" ") {
					t.Errorf("%s: %s", where, step)
				}
			}
			return rows.Err()
		})
	}
}
