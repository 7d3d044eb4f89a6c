package account_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

// The filter stays right while it grows past what it keeps apart as recent.
func TestFilterOfManyPeople(t *testing.T) {
	t.Parallel()
	b := setup(t)
	random := rand.New(rand.NewPCG(1, 2))
	gone := map[account.Handle]bool{}
	for range 40 {
		b.update(t, func(ctx context.Context, tx *db.Tx) error {
			for range 250 {
				h := randomHandle(random)
				gone[h] = true
				if err := account.AddGone(ctx, tx, h); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for h := range gone {
		if !b.MaybeGone(h) {
			t.Fatal("somebody who is gone is not known as gone")
		}
	}
	for range 10_000 {
		if h := randomHandle(random); b.MaybeGone(h) && !gone[h] {
			t.Fatal("somebody who was never there counts as gone")
		}
	}
}

func randomHandle(random *rand.Rand) (h account.Handle) {
	binary.BigEndian.PutUint64(h[:], random.Uint64())
	binary.BigEndian.PutUint32(h[8:], random.Uint32())
	return h
}

func BenchmarkMaybeGone(b *testing.B) {
	s := setup(b)
	random := rand.New(rand.NewPCG(1, 2))
	s.update(b, func(ctx context.Context, tx *db.Tx) error {
		for range 20_000 {
			if err := account.AddGone(ctx, tx, randomHandle(random)); err != nil {
				return err
			}
		}
		return nil
	})
	h := randomHandle(random)
	b.ReportAllocs()
	for b.Loop() {
		s.MaybeGone(h)
	}
}
