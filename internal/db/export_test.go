package db

import (
	"runtime"
	"time"
)

// NeverPoll leaves a database nothing but hints.
func NeverPoll(d *DB) { d.poll = time.Hour }

// AwaitWaiting returns when so many updates wait for the writer.
func AwaitWaiting(d *DB, want int) {
	for {
		d.group.mu.Lock()
		waiting := 0
		for _, m := range d.group.waiting {
			if m.state.Load() == stateWaiting {
				waiting++
			}
		}
		d.group.mu.Unlock()
		if waiting >= want {
			return
		}
		runtime.Gosched()
	}
}
