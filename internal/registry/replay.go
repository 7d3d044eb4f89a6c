package registry

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Bounds of the memory of used assertions. A client may have as many alive as
// its rate allows within the longest life of one.
const (
	replaySlot = 10 * time.Second // expiry times are forgotten together by slots of this length
	maxReplays = 4 << 20          // of all clients; about 200 MB
)

// replays remembers used client assertions until they have expired, never
// shorter: what would not fit is refused instead.
type replays struct {
	mu      sync.Mutex
	slots   map[int64]*slot // by the slot in which they expire
	held    map[string]int  // assertions alive, by client id
	total   int
	horizon int64 // slots before this one are forgotten
}

// slot is the assertions that expire within one slot.
type slot struct {
	seen map[[16]byte]struct{}
	held map[string]int
}

func newReplays() *replays {
	return &replays{slots: map[int64]*slot{}, held: map[string]int{}}
}

// take marks an assertion as used, or says that it was used before.
func (r *replays) take(client *Client, jti string, expires, now time.Time) error {
	sum := sha256.Sum256([]byte(client.ID + "\x00" + jti)) // a client id has no NUL
	key := [16]byte(sum[:16])
	index := slotOf(expires)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(slotOf(now))
	if index < r.horizon {
		return fmt.Errorf("%w: expired, by a clock that went backwards since", ErrAssertion)
	}
	// The same jti may come again with another exp, so every slot is asked.
	for _, s := range r.slots {
		if _, used := s.seen[key]; used {
			return ErrReplayed
		}
	}
	if r.total >= maxReplays || r.held[client.ID] >= maxAlive(client) {
		return fmt.Errorf("%w: client %s", ErrAssertionsFull, client.ID)
	}
	s := r.slots[index]
	if s == nil {
		s = &slot{seen: map[[16]byte]struct{}{}, held: map[string]int{}}
		r.slots[index] = s
	}
	s.seen[key] = struct{}{}
	s.held[client.ID]++
	r.held[client.ID]++
	r.total++
	return nil
}

// forget drops the slots that ended before the present one.
func (r *replays) forget(present int64) {
	if present <= r.horizon {
		return
	}
	r.horizon = present
	for index, s := range r.slots {
		if index >= present {
			continue
		}
		for client, n := range s.held {
			if r.held[client] -= n; r.held[client] <= 0 {
				delete(r.held, client)
			}
		}
		r.total -= len(s.seen)
		delete(r.slots, index)
	}
}

func slotOf(t time.Time) int64 { return t.UnixNano() / int64(replaySlot) }

// maxAlive is how many assertions of a client can be alive at its rate.
func maxAlive(client *Client) int {
	return client.Burst + client.Rate*int(assertionLife/time.Second)
}
