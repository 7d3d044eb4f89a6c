package courier

import (
	"context"
	"sync"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// maxPolls is how many polls of one stream may be under way at a time: a poll
// that finds something costs a signature for each SET.
const maxPolls = 4

// waitingRoom is where polls are while they look for something and wait for it.
// While it is empty it costs nothing.
type waitingRoom struct {
	mu    sync.Mutex
	after int64 // deliveries up to this one have been told
	polls map[string]map[*waiter]struct{}
}

// waiter is a poll in the room.
type waiter struct {
	stream string
	news   chan struct{} // has room for one
}

// enter lets a poll in; false if too many of its stream are there. It comes before
// the poll looks whether there is something, so that nothing falls between.
func (room *waitingRoom) enter(stream string, last int64) (*waiter, bool) {
	room.mu.Lock()
	defer room.mu.Unlock()
	if len(room.polls[stream]) >= maxPolls {
		return nil, false
	}
	if len(room.polls) == 0 {
		room.polls, room.after = map[string]map[*waiter]struct{}{}, last
	}
	if room.polls[stream] == nil {
		room.polls[stream] = map[*waiter]struct{}{}
	}
	w := &waiter{stream: stream, news: make(chan struct{}, 1)}
	room.polls[stream][w] = struct{}{}
	return w, true
}

func (room *waitingRoom) leave(w *waiter) {
	room.mu.Lock()
	defer room.mu.Unlock()
	delete(room.polls[w.stream], w)
	if len(room.polls[w.stream]) == 0 {
		delete(room.polls, w.stream)
	}
}

// since says from which delivery on somebody waits.
func (room *waitingRoom) since() (after int64, anybody bool) {
	room.mu.Lock()
	defer room.mu.Unlock()
	return room.after, len(room.polls) > 0
}

// wake wakes the polls of the streams that have something new.
func (room *waitingRoom) wake(streams []string, last int64) {
	room.mu.Lock()
	defer room.mu.Unlock()
	room.after = max(room.after, last)
	for _, stream := range streams {
		for w := range room.polls[stream] {
			select {
			case w.news <- struct{}{}:
			default: // awake already
			}
		}
	}
}

// wakePolls is run whenever something was added to the outbox, here or in another
// process.
func (c *Courier) wakePolls(ctx context.Context) error {
	after, anybody := c.doors.waiting.since()
	if !anybody {
		return nil
	}
	return c.DB.Read(ctx, func(tx *db.Tx) error {
		streams, last, err := outbox.StreamsSince(ctx, tx, after)
		if err == nil {
			c.doors.waiting.wake(streams, last)
		}
		return err
	})
}
