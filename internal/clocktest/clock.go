package clocktest

import (
	"sync"
	"time"
)

// Clock may be read and moved from several goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// At gives a clock that shows now.
func At(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it on.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Set moves it to any time, an earlier one too.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}
