package cache

import (
	"container/list"
	"sync"
	"time"
)

// LRU remembers up to Size values by key. The zero LRU remembers nothing;
// make one with New. Safe for parallel use.
type LRU[K comparable, V any] struct {
	size int
	now  func() time.Time

	mu      sync.Mutex
	order   *list.List // front: used last
	entries map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	expires time.Time
}

// New makes an LRU of at most size entries.
func New[K comparable, V any](size int, now func() time.Time) *LRU[K, V] {
	return &LRU[K, V]{size: size, now: now, order: list.New(), entries: make(map[K]*list.Element)}
}

// Get finds a value that has not expired.
func (c *LRU[K, V]) Get(key K) (value V, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return value, false
	}
	held := element.Value.(*entry[K, V])
	if !c.now().Before(held.expires) {
		c.remove(element)
		return value, false
	}
	c.order.MoveToFront(element)
	return held.value, true
}

// Put remembers value until expires, in place of what was there.
func (c *LRU[K, V]) Put(key K, value V, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[key]; ok {
		c.remove(element)
	}
	if !c.now().Before(expires) {
		return
	}
	c.entries[key] = c.order.PushFront(&entry[K, V]{key, value, expires})
	for c.order.Len() > c.size {
		c.remove(c.order.Back())
	}
}

// Delete forgets key.
func (c *LRU[K, V]) Delete(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[key]; ok {
		c.remove(element)
	}
}

// Len counts the entries, expired ones that nobody asked for included.
func (c *LRU[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}

func (c *LRU[K, V]) remove(element *list.Element) {
	delete(c.entries, c.order.Remove(element).(*entry[K, V]).key)
}
