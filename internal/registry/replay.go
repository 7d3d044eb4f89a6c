package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/dpop"
)

// Bounds of the memory of used assertions. A client may have as many alive as
// its rate allows within the longest life of one.
const (
	replaySlot = 10 * time.Second // expiry times are forgotten together by slots of this length
	maxReplays = 4 << 20          // of all clients; about 200 MB
	sweepLate  = time.Minute      // that a row outlives its assertion: clocks of replicas differ
)

// assertionID stands for the jti of a client's assertion, or of a proof by its key.
type assertionID [16]byte

func idOf(owner, jti string) assertionID {
	sum := sha256.Sum256([]byte(owner + "\x00" + jti)) // neither a client id nor a thumbprint has a NUL
	return assertionID(sum[:16])
}

// UseProof marks a DPoP proof of the client as used (RFC 9449 §11.1), as assertions
// are. ErrReplayed says that it was used before. Whoever can sign with the key is its
// owner, so the same jti by two keys is two proofs.
func (r *Registry) UseProof(ctx context.Context, client *Client, proof *dpop.Proof) error {
	return r.useOnce(ctx, client, use{client.ID + " dpop", idOf("dpop "+proof.Thumbprint, proof.ID), proof.Expires})
}

// use is the use of an assertion or a proof.
type use struct {
	share   string // whose of the bounded memory it takes a part of
	id      assertionID
	expires time.Time
}

// useOnce marks an assertion or a proof as used, or says that it was used before:
// here, and unless the client was declared to be content with that, at any replica.
func (r *Registry) useOnce(ctx context.Context, client *Client, u use) error {
	if err := r.replays.take(client, u, r.config.Now()); err != nil || client.OncePerReplica {
		return err
	}
	first, err := r.uses.note(ctx, u)
	switch {
	case err != nil:
		r.replays.giveBack(u) // whoever is told to come again may do so
		return fmt.Errorf("registry: use an assertion or a proof: %w", err)
	case !first:
		return ErrReplayed
	}
	return nil
}

// replays remembers the client assertions that this process has seen until they
// have expired, never shorter: what would not fit is refused instead.
type replays struct {
	mu      sync.Mutex
	slots   map[int64]*slot // by the slot in which they expire
	held    map[string]int  // assertions and proofs alive, by share
	total   int
	horizon int64 // slots before this one are forgotten
}

// slot is the assertions that expire within one slot.
type slot struct {
	seen map[assertionID]struct{}
	held map[string]int
}

func newReplays() *replays {
	return &replays{slots: map[int64]*slot{}, held: map[string]int{}}
}

// take marks an assertion as used, or says that it was used before.
func (r *replays) take(client *Client, u use, now time.Time) error {
	index := slotOf(u.expires)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(slotOf(now))
	if index < r.horizon {
		return fmt.Errorf("%w: expired, by a clock that went backwards since", ErrAssertion)
	}
	// The same jti may come again with another exp, so every slot is asked.
	for _, s := range r.slots {
		if _, used := s.seen[u.id]; used {
			return ErrReplayed
		}
	}
	if r.total >= maxReplays || r.held[u.share] >= maxAlive(client) {
		return fmt.Errorf("%w: client %s", ErrAssertionsFull, client.ID)
	}
	s := r.slots[index]
	if s == nil {
		s = &slot{seen: map[assertionID]struct{}{}, held: map[string]int{}}
		r.slots[index] = s
	}
	s.seen[u.id] = struct{}{}
	s.held[u.share]++
	r.held[u.share]++
	r.total++
	return nil
}

// giveBack makes an assertion that was taken unused again.
func (r *replays) giveBack(u use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		if _, taken := s.seen[u.id]; taken {
			delete(s.seen, u.id)
			s.held[u.share]--
			r.held[u.share]--
			r.total--
			return
		}
	}
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
		for share, n := range s.held {
			if r.held[share] -= n; r.held[share] <= 0 {
				delete(r.held, share)
			}
		}
		r.total -= len(s.seen)
		delete(r.slots, index)
	}
}

func slotOf(t time.Time) int64 { return t.UnixNano() / int64(replaySlot) }

// maxAlive is how many assertions, or proofs, of a client can be alive at its rate.
func maxAlive(client *Client) int {
	return client.Burst + client.Rate*int(assertionLife/time.Second)
}
