package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

const (
	queueSize  = 2048
	batchSize  = 1000
	patience   = time.Second            // for room in a full queue: longer than a checkpoint takes
	linger     = 50 * time.Millisecond  // for others to join a batch: commits cost more than rows
	retryAfter = 250 * time.Millisecond // after a batch that could not be written
	lastWrite  = 5 * time.Second        // for what is left when Run ends
)

// ErrUnavailable says that no record can be accepted now, so the decision it
// is about must not be made either. Callers answer 503.
var ErrUnavailable = errors.New("audit: records cannot be written")

// Log writes the records of decisions that have no transaction of their own.
type Log struct {
	database *db.DB
	now      func() time.Time
	queue    chan row
	wake     chan struct{}
	refusing atomic.Bool

	mu      sync.Mutex
	pending []row // taken from the queue, not yet written
}

// NewLog makes a log. Run writes it.
func NewLog(database *db.DB, now func() time.Time) *Log {
	return &Log{
		database: database,
		now:      now,
		queue:    make(chan row, queueSize),
		wake:     make(chan struct{}, 1),
	}
}

// Enqueue accepts a record or gives ErrUnavailable. While the queue is full it
// waits a moment, so that a burst slows requests down instead of refusing them.
// An accepted record is written, if this process lives, as soon as the database
// takes it.
func (l *Log) Enqueue(r Record) error {
	if r.At.IsZero() {
		r.At = l.now()
	}
	made, err := makeRow(r)
	if err != nil {
		return err
	}
	if l.refusing.Load() {
		return fmt.Errorf("%w: the database does not take them", ErrUnavailable)
	}
	select {
	case l.queue <- made:
	default:
		if err := l.await(made); err != nil {
			return err
		}
	}
	l.rouse()
	return nil
}

// await waits for room in the queue.
func (l *Log) await(made row) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case l.queue <- made:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: the queue is full", ErrUnavailable)
	}
}

// rouse has Run look at the queue.
func (l *Log) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // already awake
	}
}

// Run writes what is accepted, in batches, until ctx ends; then it writes
// what is left.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			return l.write(last)
		case <-l.wake:
			timer.Reset(linger)
		case <-timer.C:
			if err := l.write(ctx); err != nil {
				timer.Reset(retryAfter)
			}
		}
	}
}

// Flush writes everything that has been accepted. If it cannot, Run goes on
// trying.
func (l *Log) Flush(ctx context.Context) error {
	err := l.write(ctx)
	if err != nil {
		l.rouse()
	}
	return err
}

func (l *Log) write(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.fill() {
		err := l.database.Update(ctx, func(tx *db.Tx) error {
			// A batch is short, and a row that can be cancelled costs twice one
			// that cannot.
			return insert(context.WithoutCancel(ctx), tx, l.pending)
		})
		if err != nil {
			l.refusing.Store(true)
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		l.pending = l.pending[:0]
		l.refusing.Store(false)
	}
	return nil
}

// fill takes the next batch from the queue, behind what is pending, and says
// whether there is any.
func (l *Log) fill() bool {
	for len(l.pending) < batchSize {
		select {
		case r := <-l.queue:
			l.pending = append(l.pending, r)
		default:
			return len(l.pending) > 0
		}
	}
	return true
}

// Queued is how many records wait to be written, and how many may.
func (l *Log) Queued() (waiting, most int) { return len(l.queue), cap(l.queue) }

// Ready says whether records are accepted.
func (l *Log) Ready() error {
	if l.refusing.Load() || len(l.queue) == cap(l.queue) {
		return ErrUnavailable
	}
	return nil
}
