package event

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/sdk/internal/cache"
)

// inboxLife is how long an inbox remembers an event: longer than one may be
// under way, so that whatever comes again is known or refused for its age.
const inboxLife = maxAge + 24*time.Hour

// Inbox sees to it that each event is handled once. SQLInbox and MemoryInbox
// are the two there are.
type Inbox interface {
	// Once does work, unless the event of an issuer with an id was handled
	// before. When work fails the event counts as not handled, and the error
	// is returned. Of several at once one works while the others wait.
	Once(ctx context.Context, issuer, id string, work func(tx *sql.Tx) error) error
}

const defaultInboxSize = 100_000

// MemoryInbox remembers events in this process alone: after a start, and on
// another replica, an event that comes again is handled again. It is for
// handlers that may run twice. The zero MemoryInbox is ready for use.
type MemoryInbox struct {
	Size int              // events remembered; zero: 100,000
	Now  func() time.Time // nil: time.Now

	once    sync.Once
	handled *cache.LRU[eventKey, struct{}]
	mu      sync.Mutex
	working map[eventKey]chan struct{} // closed when the work is over
}

type eventKey struct{ issuer, id string }

func (m *MemoryInbox) prepare() {
	size, now := m.Size, m.Now
	if size <= 0 {
		size = defaultInboxSize
	}
	if now == nil {
		now = time.Now
	}
	m.Now = now
	m.handled = cache.New[eventKey, struct{}](size, now)
	m.working = make(map[eventKey]chan struct{})
}

// Once does work unless it was done before. There is no transaction: tx is nil.
func (m *MemoryInbox) Once(ctx context.Context, issuer, id string, work func(tx *sql.Tx) error) error {
	m.once.Do(m.prepare)
	key := eventKey{issuer, id}
	for {
		done, mine := m.begin(key)
		switch {
		case mine:
			return m.work(key, work)
		case done == nil:
			return nil
		}
		select {
		case <-done: // and see whether it went well
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin answers whether the work is the caller's to do; if not, what to wait
// for, which is nothing when it is done.
func (m *MemoryInbox) begin(key eventKey) (done chan struct{}, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if done, busy := m.working[key]; busy {
		return done, false
	}
	if _, handled := m.handled.Get(key); handled {
		return nil, false
	}
	m.working[key] = make(chan struct{})
	return nil, true
}

func (m *MemoryInbox) work(key eventKey, work func(tx *sql.Tx) error) (err error) {
	handled := false
	defer func() { // also when work panics
		m.mu.Lock()
		defer m.mu.Unlock()
		if handled {
			m.handled.Put(key, struct{}{}, m.Now().Add(inboxLife))
		}
		close(m.working[key])
		delete(m.working, key)
	}()
	err = work(nil)
	handled = err == nil
	return err
}
