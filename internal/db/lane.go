package db

import (
	"context"
	"time"
)

const (
	metOften = 3                    // attempts, after which a transaction goes on in the lane
	laneWait = time.Second          // with the waits for a connection and a commit 5 s
	maxPause = 8 * time.Millisecond // between two attempts in it
)

// lane is where transactions that have met others again and again go on, one at a
// time. Of many that want one row at once each would otherwise run as often as
// there are others, and the last ones would have to be refused.
type lane struct {
	taken chan struct{}
}

func newLane() lane { return lane{make(chan struct{}, 1)} }

// enter waits for the lane.
func (l lane) enter(ctx context.Context) bool {
	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	select {
	case l.taken <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

func (l lane) leave() { <-l.taken }
