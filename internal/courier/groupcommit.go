package courier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// Limits of one transaction of a groupCommit.
const (
	groupSize  = 64 // submissions
	groupLimit = 5 * time.Second
)

// groupCommit writes submissions that arrive while others are being written
// together, in the next transaction: a commit costs more than what is in it. One
// that arrives alone is written at once.
type groupCommit struct {
	write func(context.Context, []*submission) error

	mu      sync.Mutex
	writing bool
	waiting []*submission
}

// do writes a submission and gives its answer. If ctx ends first, it may be
// written or not: what was published can be published again.
func (g *groupCommit) do(ctx context.Context, s *submission) error {
	s.done = make(chan struct{})
	g.mu.Lock()
	g.waiting = append(g.waiting, s)
	if !g.writing {
		g.writing = true
		go g.run()
	}
	g.mu.Unlock()
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes until nobody waits.
func (g *groupCommit) run() {
	for {
		g.mu.Lock()
		n := min(len(g.waiting), groupSize)
		group := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		if n == 0 {
			g.waiting, g.writing = nil, false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		g.settle(group)
	}
}

func (g *groupCommit) settle(group []*submission) {
	err := g.commit(group)
	if errors.Is(err, db.ErrConflict) {
		// Another process has published one of these events at the same moment;
		// the second time it is seen.
		err = g.commit(group)
	}
	for _, s := range group {
		if err != nil {
			s.err = err
		}
		close(s.done)
	}
}

// commit writes a group. No request stands behind it, so a panic is made an
// error here: those who wait answer with it.
func (g *groupCommit) commit(group []*submission) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), groupLimit)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return g.write(ctx, group)
}
