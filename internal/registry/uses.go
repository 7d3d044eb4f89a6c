package registry

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/sekisho-id/sekisho/internal/db"
)

// maxNoted is how many uses one statement notes at most.
const maxNoted = 64

// uses notes assertions and proofs as used, for all replicas. Those that come while
// others are being written are written together after them: one statement and one
// commit, which cost far more than what they write.
type uses struct {
	db      *db.DB
	mu      sync.Mutex
	waiting []*noting
	writing bool
}

// noting is a use that waits to be noted.
type noting struct {
	use
	first bool
	err   error
	done  chan struct{}
}

// note notes a use; false says that it was noted before, here or elsewhere. Of several
// that do so at once one gets true.
func (n *uses) note(ctx context.Context, u use) (first bool, err error) {
	mine := &noting{use: u, done: make(chan struct{})}
	n.mu.Lock()
	n.waiting = append(n.waiting, mine)
	leads := !n.writing
	n.writing = true
	n.mu.Unlock()
	if leads {
		runtime.Gosched() // who is ready to come along does it now
		n.writeSome(context.WithoutCancel(ctx))
	}
	select {
	case <-mine.done:
		return mine.first, mine.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// writeSome writes what waits, and leaves what has come meanwhile to another goroutine.
func (n *uses) writeSome(ctx context.Context) {
	n.mu.Lock()
	batch := n.waiting[:min(len(n.waiting), maxNoted)]
	n.waiting = slices.Clone(n.waiting[len(batch):])
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.writing = len(n.waiting) > 0
		if n.writing {
			go n.writeSome(ctx)
		}
		n.mu.Unlock()
		for _, one := range batch {
			close(one.done)
		}
	}()
	// In one order everywhere, so that no two replicas wait for each other.
	slices.SortFunc(batch, func(a, b *noting) int { return bytes.Compare(a.id[:], b.id[:]) })
	err := n.db.Update(ctx, func(tx *db.Tx) error {
		noted, err := insertUses(ctx, tx, batch)
		if err == nil && noted != len(batch) {
			return errUsedAmongThem
		}
		return err
	})
	if errors.Is(err, errUsedAmongThem) {
		n.writeEach(ctx, batch)
		return
	}
	for _, one := range batch {
		one.first, one.err = err == nil, err
	}
}

var errUsedAmongThem = errors.New("one of them was used before")

// writeEach writes them one by one, so that each is told whether it was the one that
// was used before.
func (n *uses) writeEach(ctx context.Context, batch []*noting) {
	for i, one := range batch {
		one.err = n.db.Update(ctx, func(tx *db.Tx) error {
			noted, err := insertUses(ctx, tx, batch[i:i+1])
			one.first = noted == 1
			return err
		})
	}
}
