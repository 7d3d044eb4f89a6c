package pairwise

import (
	"sync"

	"github.com/sekisho-id/sekisho/internal/account"
)

// birthsKept is how many people births remembers at least, once it has met them.
const birthsKept = 32 << 10

// births remembers the generations of people, which never change, so that they
// are looked up once and not at each call. Half of it is forgotten at a time.
type births struct {
	mu           sync.Mutex
	young, older map[account.Handle]int
}

func (b *births) of(handle account.Handle) (gen int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if gen, ok = b.young[handle]; ok {
		return gen, true
	}
	if gen, ok = b.older[handle]; ok {
		b.keep(handle, gen)
	}
	return gen, ok
}

func (b *births) note(who account.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(who.Handle, who.Gen)
}

func (b *births) keep(handle account.Handle, gen int) {
	if b.young == nil || len(b.young) >= birthsKept {
		b.young, b.older = map[account.Handle]int{}, b.young
	}
	b.young[handle] = gen
}
