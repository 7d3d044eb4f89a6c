package courier

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// Outcome is what came of one try, for those who count.
type Outcome struct {
	Receiver string        // subsystem
	Result   Result        // what became of the message
	Waited   time.Duration // since the message was made
}

// Result says what one try came to.
type Result string

// The results there are.
const (
	ResultDelivered Result = "delivered"
	ResultFailed    Result = "failed" // it is tried again
	ResultDead      Result = "dead"
)

// outcome is what a try came to and what has to be written down of it.
type outcome struct {
	to       place
	delivery *outbox.Delivery
	answer   answer
	at       time.Time

	state     outbox.State
	dueAt     time.Time // if still pending
	health    *health   // of the stream, if it changed
	recovered bool      // the stream did not work before
	pause     bool      // the stream is given up until its receiver looks after it

	noted chan<- int64 // told its Seq when it is written down; has room
}

// settler writes outcomes down, those that come while a batch is being written
// together in the next one: a commit costs more than what is in it.
type settler struct {
	courier *Courier

	mu      sync.Mutex
	writing bool
	waiting []*outcome
}

const (
	settlePause = 25 * time.Millisecond  // from batch to batch, so that one holds more than a few
	settleAgain = 250 * time.Millisecond // after a batch that could not be written
	settleLimit = 30 * time.Second       // then it is left: the messages are sent again, under the same jti
)

// settle has the outcome written down, and noted told when it is. noted must have
// room for it.
func (s *settler) settle(o *outcome, noted chan<- int64) {
	o.noted = noted
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, o)
	if !s.writing {
		s.writing = true
		go s.drain()
	}
}

// drain writes batches until nothing waits. What comes alone is written at once;
// what comes meanwhile, and in the pause after it, together.
func (s *settler) drain() {
	for {
		s.mu.Lock()
		batch := s.waiting
		s.waiting = nil
		s.writing = len(batch) > 0
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		s.write(batch)
		for _, o := range batch {
			o.noted <- o.delivery.Seq
		}
		time.Sleep(settlePause)
	}
}

// write writes a batch, trying again while the database does not take it.
func (s *settler) write(batch []*outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), settleLimit)
	defer cancel()
	for {
		err := s.courier.DB.Update(ctx, func(tx *db.Tx) error { return s.courier.writeOutcomes(ctx, tx, batch) })
		s.courier.dispatch.report("write down what was delivered", err)
		if err == nil {
			s.tell(batch)
			return
		}
		if !errors.Is(err, db.ErrUnavailable) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleAgain):
		}
	}
}

func (c *Courier) writeOutcomes(ctx context.Context, tx *db.Tx, batch []*outcome) error {
	var done []int64
	for _, o := range batch {
		var err error
		switch stream, seq := o.to.id, o.delivery.Seq; o.state {
		case outbox.StateDone:
			done = append(done, seq)
		case outbox.StateDead:
			err = outbox.Bury(ctx, tx, o.at, stream, seq, o.answer.fault)
		case outbox.StatePending:
			err = outbox.Retry(ctx, tx, stream, seq, o.dueAt, o.answer.fault)
		}
		if err == nil {
			err = c.writeHealth(ctx, tx, o)
		}
		if err != nil {
			return err
		}
	}
	return outbox.Done(ctx, tx, c.Now(), done)
}

// writeHealth writes how a stream is. One that works again is sent at once what
// failed while it did not.
func (c *Courier) writeHealth(ctx context.Context, tx *db.Tx, o *outcome) error {
	if o.recovered {
		if err := outbox.Hurry(ctx, tx, o.at, o.to.id); err != nil {
			return err
		}
	}
	if o.to.stream == nil || o.health == nil {
		return nil
	}
	if !o.pause {
		return saveHealth(ctx, tx, o.to.id, o.to.stream.UpdatedAt, *o.health)
	}
	reason := "The endpoint " + o.answer.fault + " for 24 hours."
	changed, err := writeStatus(ctx, tx, o.to.id, StreamPaused, reason, o.at)
	if err != nil || !changed {
		return err
	}
	return audit.Append(ctx, tx, audit.Record{
		At: o.at, Event: audit.StreamPaused, Outcome: audit.OK, Client: o.to.client.ID, Reason: reason,
		Detail: map[string]any{"stream": o.to.id},
	})
}

// tell counts outcomes, and logs what operators want to know: streams that stop
// and go, never single messages.
func (s *settler) tell(batch []*outcome) {
	log := s.courier.Logger
	for _, o := range batch {
		result := ResultFailed
		switch o.state {
		case outbox.StateDone:
			result = ResultDelivered
		case outbox.StateDead:
			result = ResultDead
		case outbox.StatePending:
		}
		receiver := o.to.client.Subsystem.Name
		s.courier.Observe(Outcome{Receiver: receiver, Result: result, Waited: o.at.Sub(o.delivery.CreatedAt)})
		about := []any{"receiver", receiver, "stream", o.to.id, "fault", o.answer.fault}
		switch {
		case o.pause:
			log.Warn("a stream of events is paused: its receiver must look after it", about...)
		case o.recovered:
			log.Info("a stream of events works again", "receiver", receiver, "stream", o.to.id)
		case o.health != nil && o.health.failures == 1:
			log.Info("a stream of events does not work", about...)
		case result == ResultDead:
			log.Info("an event is given up", append(about, "delivery", o.delivery.ID)...)
		}
	}
}
