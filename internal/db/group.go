package db

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// groupSize is how many updates one transaction of the writer holds at most.
const groupSize = 64

// group gathers the updates that wait for the one writer of SQLite, and commits
// them together: a commit waits for the disk, which takes far longer than most
// updates do. Each update has a savepoint of its own, sees what those before it
// have written, and is undone alone if it fails. An update that meets no other
// is a transaction of its own.
//
// Who finds nobody at work leads: runs the updates that wait, its own among them,
// then hands on to one of those that have come meanwhile.
type group struct {
	mu      sync.Mutex
	waiting []*member
	led     bool
}

// member is one update of a group.
type member struct {
	ctx     context.Context
	fn      func(*Tx) error
	state   atomic.Int32 // stateWaiting, then for ever one of the others
	wake    chan bool    // true: lead; false: what became of it is there
	changed map[string]int64
	err     error
	panics  any // what fn panicked with, for its own goroutine
}

const (
	stateWaiting int32 = iota
	stateLeading
	stateTaken
	stateGivenUp
)

// updateInGroup is one update on an engine with one writer.
func (d *DB) updateInGroup(ctx context.Context, fn func(*Tx) error) (map[string]int64, error) {
	m := &member{ctx: ctx, fn: fn, wake: make(chan bool, 1)}
	if d.group.join(m) || m.awaitTurn() {
		d.lead(m)
	}
	if m.panics != nil {
		panic(m.panics)
	}
	return m.changed, m.err
}

// join puts the member in line; leads tells that nobody is at work.
func (g *group) join(m *member) (leads bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	if g.led {
		return false
	}
	g.led = true
	m.state.Store(stateLeading)
	return true
}

// awaitTurn waits until the update was run by another, or is to lead. It gives up
// as one who waits for a connection does.
func (m *member) awaitTurn() (leads bool) {
	timer := time.NewTimer(poolWait)
	defer timer.Stop()
	select {
	case leads = <-m.wake:
		return leads
	case <-m.ctx.Done():
	case <-timer.C:
	}
	if !m.state.CompareAndSwap(stateWaiting, stateGivenUp) {
		return <-m.wake // it was taken, or made to lead, at this moment
	}
	if m.err = m.ctx.Err(); m.err == nil {
		m.err = &fault{kind: ErrUnavailable, cause: errors.New("the writer did not become free in time")}
	}
	return false
}

// lead runs what waits, and hands on, whatever happens in between.
func (d *DB) lead(leader *member) {
	defer d.group.handOn()
	runtime.Gosched() // who is ready to join does it now: on one core nobody else may run until this has been committed
	if members := d.group.take(leader); len(members) > 1 {
		d.runTogether(members, leader)
		return
	}
	leader.err = d.again(leader.ctx, func() error {
		return d.run(leader.ctx, d.engine.writer, d.engine.writing, leader.fn, &leader.changed)
	})
}

// take takes the members that still wait out of the line, the leader first.
func (g *group) take(leader *member) (members []*member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	line := g.waiting
	for len(line) > 0 && len(members) < groupSize {
		m := line[0]
		line = line[1:]
		if m == leader || m.state.CompareAndSwap(stateWaiting, stateTaken) {
			members = append(members, m)
		}
	}
	g.waiting = slices.Clone(line)
	return members
}

// handOn makes the first who still waits the one to lead.
func (g *group) handOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, m := range g.waiting {
		if m.state.CompareAndSwap(stateWaiting, stateLeading) {
			g.waiting = g.waiting[i:]
			m.wake <- true
			return
		}
	}
	g.waiting, g.led = nil, false
}

// runTogether runs the members in one transaction. It hangs on the context of
// none of them.
func (d *DB) runTogether(members []*member, leader *member) {
	ctx := context.WithoutCancel(leader.ctx)
	var changed map[string]int64
	err := error(&fault{kind: ErrUnavailable, cause: errors.New("the goroutine that led the group has ended")})
	defer func() { // also when it has
		for _, m := range members {
			if m.panics == nil && m.err == nil {
				m.changed, m.err = changed, err
			}
			m.err = d.engine.classify(m.err)
			if m != leader {
				m.wake <- false
			}
		}
	}()
	err = d.again(ctx, func() error {
		return d.run(ctx, d.engine.writer, d.engine.writing, func(tx *Tx) error {
			for _, m := range members {
				if err := m.runWithin(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		}, &changed)
	})
}

// runWithin runs one member between savepoints. The error is one of the
// transaction as a whole.
func (m *member) runWithin(ctx context.Context, tx *Tx) error {
	if _, err := tx.Exec(ctx, "SAVEPOINT member"); err != nil {
		return err
	}
	before := maps.Clone(tx.changed)
	if m.err = m.call(tx); m.err != nil || m.panics != nil {
		tx.changed = before
		if _, err := tx.Exec(ctx, "ROLLBACK TO member"); err != nil {
			// SQLite has undone the whole transaction, as it does with a write that is
			// interrupted: all run again, and who has hung up is refused by call.
			return &fault{kind: ErrUnavailable, cause: err, retry: true}
		}
	}
	_, err := tx.Exec(ctx, "RELEASE member")
	return err
}

// call runs the function of a member, whose panic is not the leader's.
func (m *member) call(tx *Tx) (err error) {
	m.panics = nil // of an earlier attempt
	if err := m.ctx.Err(); err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned {
			m.panics = recover()
		}
	}()
	err = m.fn(tx)
	returned = true
	if err == nil {
		err = m.ctx.Err()
	}
	return err
}
