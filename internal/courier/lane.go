package courier

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

const (
	atOnce    = 8          // requests to one stream
	unnoted   = 8 * atOnce // answers of one stream that may wait to be written down
	tolerated = 4          // failures in a row, of a stream that answers, before it waits
)

// health is how sending to a stream goes.
type health struct {
	failures     int // rounds in a row that failed
	retryAt      time.Time
	failingSince time.Time
}

// lane sends what is due in one stream. Its messages wait for nobody else's.
type lane struct {
	dispatch *dispatcher
	bucket   int

	mu      sync.Mutex
	to      place
	enabled bool
	health  health
	streak  int // failures in a row that did not make it wait yet
	width   int // requests at once: 1 after a failure, more with each success

	// of the dispatcher's round, under its lock
	busy    bool
	dirty   bool      // something may be due
	nextDue time.Time // zero: nothing is pending
}

// adopt has the lane send to the place as it is now.
func (l *lane) adopt(to place, anew bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.to.stream
	if s := to.stream; s != nil && (anew || before == nil || !s.UpdatedAt.Equal(before.UpdatedAt)) {
		l.health = health{failures: s.Failures, retryAt: s.RetryAt, failingSince: s.FailingSince}
		l.streak, l.width = 0, atOnce
		if s.Failures > 0 {
			l.width = 1
		}
	}
	if l.width == 0 {
		l.width = atOnce
	}
	l.to, l.enabled = to, true
}

func (l *lane) disable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enabled = false
}

// mayGo reports whether a request may be sent now, and how many at once.
func (l *lane) mayGo(now time.Time) (to place, width int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to, l.width, l.enabled && !now.Before(l.health.retryAt) && l.dispatch.holds(l.bucket, now)
}

// run sends what is due until nothing is or it may not go on, and says when
// something is due next. While answers are written down it goes on sending, so
// that many are written down together. When serving ends it begins nothing more,
// and finishes what is under way.
func (l *lane) run(serving context.Context) (nextDue time.Time) {
	ctx := context.WithoutCancel(serving)
	var (
		queue    []outbox.Delivery
		open     = map[int64]bool{} // sent and not written down
		flying   = 0                // sent and not answered
		answered = make(chan struct{}, unnoted)
		noted    = make(chan int64, unnoted)
		look     = true // something may have become due since the last look
		work     = make(chan flight, atOnce)
		hands    = 0 // goroutines that work
	)
	defer close(work)
	for {
		now := l.dispatch.Now()
		to, width, ok := l.mayGo(now)
		if !ok || serving.Err() != nil {
			queue = nil
		} else if len(queue) == 0 && look && len(open) < unnoted {
			queue, nextDue = l.due(ctx, now, to.id, open, width == 1)
			look = false
			if len(queue)+len(open) == 0 {
				return nextDue
			}
		}
		for len(queue) > 0 && flying < width && len(open) < unnoted {
			d := queue[0]
			queue = queue[1:]
			open[d.Seq] = true
			if flying++; flying > hands {
				hands++
				go l.send(ctx, work, answered, noted)
			}
			work <- flight{to, &d}
			if to, width, ok = l.mayGo(l.dispatch.Now()); !ok || serving.Err() != nil {
				queue = nil
			}
		}
		if len(open) == 0 {
			return l.next(ctx, to.id)
		}
		select {
		case <-answered:
			flying--
		case seq := <-noted:
			delete(open, seq)
			for len(noted) > 0 { // they come in batches, and one look is for all
				delete(open, <-noted)
			}
			look = true
		}
	}
}

// flight is a delivery that is to be tried.
type flight struct {
	to       place
	delivery *outbox.Delivery
}

// send tries deliveries, one after the other. A goroutine for each would have to
// make its stack large enough for a signature each time.
func (l *lane) send(ctx context.Context, work <-chan flight, answered chan<- struct{}, noted chan<- int64) {
	for f := range work {
		o := l.try(ctx, f.to, f.delivery)
		answered <- struct{}{}
		l.dispatch.settler.settle(o, noted)
	}
}

// due reads what can be sent beside what is under way. The first after a failure
// is any of them, since the one that failed may be at fault itself. Where nothing
// is, nor under way, it says when something will be.
func (l *lane) due(ctx context.Context, now time.Time, stream string, open map[int64]bool, shuffled bool) (queue []outbox.Delivery, next time.Time) {
	const ahead = 8 * atOnce
	var found []outbox.Delivery
	err := l.dispatch.DB.Read(ctx, func(tx *db.Tx) (err error) {
		found, err = outbox.Due(ctx, tx, stream, now, ahead+len(open))
		if err == nil && len(found) == 0 {
			next, _, err = outbox.NextDue(ctx, tx, stream)
		}
		return err
	})
	l.dispatch.report("look for what is due", err)
	if err != nil {
		return nil, now
	}
	queue = found[:0]
	for _, d := range found {
		if !open[d.Seq] {
			queue = append(queue, d)
		}
	}
	if shuffled {
		rand.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
	}
	return queue, next
}

// next says when something is due.
func (l *lane) next(ctx context.Context, stream string) (at time.Time) {
	err := l.dispatch.DB.Read(ctx, func(tx *db.Tx) (err error) {
		at, _, err = outbox.NextDue(ctx, tx, stream)
		return err
	})
	l.dispatch.report("look for what is due", err)
	if err != nil {
		return l.dispatch.Now()
	}
	return at
}

// try sends one delivery and decides what becomes of it and of the stream.
func (l *lane) try(ctx context.Context, to place, d *outbox.Delivery) *outcome {
	came := l.dispatch.send(ctx, to, d)
	came.fault = outbox.CleanFault(came.fault)
	now := l.dispatch.Now()
	o := &outcome{to: to, delivery: d, answer: came, at: now}
	switch came.verdict {
	case delivered:
		o.state = outbox.StateDone
	case rejected:
		o.state = outbox.StateDead
	case throttled:
		o.state, o.dueAt = outbox.StatePending, now.Add(came.wait)
	case failed:
		o.state, o.dueAt = outbox.StatePending, now.Add(fast.wait(d.Attempts))
	case unwelcome:
		o.state, o.dueAt = outbox.StatePending, now.Add(slow.wait(d.Attempts))
	}
	if o.state == outbox.StatePending && d.Attempts+1 >= leastTries && now.Sub(d.CreatedAt) > worthSending {
		o.state = outbox.StateDead
	}
	l.feel(o)
	return o
}

// feel takes an answer into the health of the stream, and tells the outcome what
// of it has to be written down.
func (l *lane) feel(o *outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, before := o.at, l.health
	switch o.answer.verdict {
	case delivered, rejected:
		l.streak, l.width = 0, min(2*l.width, atOnce)
		l.health = health{}
		o.recovered = before.failures > 0
	case throttled:
		if at := now.Add(o.answer.wait); at.After(l.health.retryAt) {
			l.health.retryAt = at
		}
		l.width = 1
	case failed, unwelcome:
		if now.Before(l.health.retryAt) {
			break // one of those that were under way when it began to wait
		}
		if l.streak++; o.answer.verdict == failed && !o.answer.silent && before.failures == 0 && l.streak < tolerated {
			break
		}
		l.wait(now, o)
	}
	if l.health != before {
		written := l.health
		o.health = &written
	}
}

// wait has the whole stream wait after a failure. One that somebody has to do
// something about, and nobody does, is paused.
func (l *lane) wait(now time.Time, o *outcome) {
	if l.health.failingSince.IsZero() {
		l.health.failingSince = now
	}
	waits := streamAnswers
	switch {
	case o.answer.verdict == unwelcome:
		waits = slow
		o.pause = o.to.stream != nil && now.Sub(l.health.failingSince) >= pauseAfter
	case o.answer.silent:
		waits = streamSilent
	}
	l.health.retryAt = now.Add(waits.wait(l.health.failures))
	l.health.failures++
	l.streak, l.width = 0, 1
}
