package outbox_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// TestDoneSettlesManyStreamsAtOnce: what waited behind each has its turn, what
// another has settled before stays as it is.
func TestDoneSettlesManyStreamsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(start,
		message("s", "a1", 1), message("s", "a2", 1), message("s", "a3", 1), message("s", "b1", 2),
		message("other", "a1", 1), message("other", "a2", 1))
	dead := b.due("s", start)[1]
	b.update(func(tx *db.Tx) error { return outbox.Bury(b.ctx, tx, start, "s", dead.Seq, "bad") })

	sent := append(b.due("s", start), append(b.due("other", start), dead)...)
	done := func() {
		t.Helper()
		b.update(func(tx *db.Tx) error {
			var seqs []int64
			for _, d := range sent {
				seqs = append(seqs, d.Seq)
			}
			return outbox.Done(b.ctx, tx, start.Add(time.Second), seqs)
		})
	}
	done()
	b.wantDue("s", start) // not before it was settled
	b.wantDue("s", start.Add(time.Second), "a2")
	b.wantDue("other", start.Add(time.Second), "a2")

	// Late, and again: nothing changes, the next but one keeps its place.
	done()
	b.wantDue("s", start.Add(time.Second), "a2")
	b.read(func(tx *db.Tx) error {
		dead, err := outbox.ListDead(b.ctx, tx, "s", 0, 10)
		if len(dead) != 1 || dead[0].Fault != "bad" || dead[0].Attempts != 1 {
			t.Errorf("dead are %+v", dead)
		}
		return err
	})
}

// TestDoneOfNoneAndOfMany: a list of any length is settled whole.
func TestDoneOfNoneAndOfMany(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3, 64, 501} {
		b := setup(t)
		var list []outbox.Delivery
		for i := range n {
			list = append(list, message("s", fmt.Sprint(i), 1))
			list[i].Key = [8]byte{byte(i), byte(i >> 8)}
		}
		b.add(start, list...)
		var seqs []int64
		for _, d := range b.pending("s") {
			seqs = append(seqs, d.Seq)
		}
		slices.Reverse(seqs)
		b.update(func(tx *db.Tx) error { return outbox.Done(b.ctx, tx, start, seqs) })
		if left := b.pending("s"); len(left) != 0 {
			t.Errorf("of %d, %d are left", n, len(left))
		}
	}
}
