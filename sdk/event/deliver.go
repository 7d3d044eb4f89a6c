package event

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"sync"
	"time"
)

const (
	tickInterval  = 250 * time.Millisecond
	sweepEvery    = time.Minute
	leaseLife     = 10 * time.Second
	leaseRenew    = 3 * time.Second
	perReceiver   = 8               // requests to one subscription at a time
	drainGrace    = 3 * time.Second // for requests under way when Run ends
	finalTimeout  = 5 * time.Second // for writing down how those went
	maxHoldOff    = 30 * time.Second
	eventsPerCall = 50 // credentials in one request
	fanOutRounds  = 5  // in one pass
)

// Run delivers until ctx ends, and returns nil then; an error means that the
// publisher is set up wrongly. Every replica may run it: one delivers, another
// takes over within ten seconds when that one is gone. What goes wrong on the
// way is logged and tried again.
func (p *Publisher) Run(ctx context.Context) error {
	if err := p.prepare(); err != nil {
		return err
	}
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	d := newDispatcher(p, ctx)
	defer d.close()
	for {
		if err := d.pass(ctx); err != nil && ctx.Err() == nil {
			p.log.ErrorContext(ctx, "events are not delivered", "error", err)
			d.wait(ctx, ticker.C, false)
		} else {
			d.wait(ctx, ticker.C, true)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// dispatcher is one Run: it alone reads and writes deliveries, while requests
// run beside it and hand in their results.
type dispatcher struct {
	*Publisher
	holder    string
	sending   context.Context // of requests; outlives Run's by the grace
	cancel    context.CancelFunc
	requests  sync.WaitGroup
	busy      map[string]map[int64]bool // under way, by subscription and event
	held      bool                      // the lease, until renewAt at least
	renewAt   time.Time
	sweepAt   time.Time
	holdUntil time.Time // no credentials to be had until then
	holds     int
	paused    []*Subscription // by what is being written down

	mu      sync.Mutex
	results []*result
	arrived chan struct{} // holds one when there are results
}

// result is how one attempt went and what is to be written about it.
type result struct {
	*delivery
	verdict
	dueAt time.Time
}

func newDispatcher(p *Publisher, ctx context.Context) *dispatcher {
	d := &dispatcher{
		Publisher: p,
		holder:    rand.Text(),
		busy:      make(map[string]map[int64]bool),
		arrived:   make(chan struct{}, 1),
	}
	d.sending, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return d
}

// wait is until something is to be done: the next tick, or results if those
// are asked for.
func (d *dispatcher) wait(ctx context.Context, tick <-chan time.Time, results bool) {
	arrived := d.arrived
	if !results {
		arrived = nil
	}
	select {
	case <-ctx.Done():
	case <-tick:
	case <-arrived:
	}
}

// close lets requests under way end, for a while, and writes down how they went.
func (d *dispatcher) close() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.requests.Wait()
	}()
	grace := time.NewTimer(d.grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	}
	d.cancel()
	<-ended
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.sending), finalTimeout)
	defer cancel()
	err := d.settleResults(ctx, d.now())
	if err = errors.Join(err, d.Outbox.release(ctx, d.holder)); err != nil {
		d.log.ErrorContext(ctx, "what was delivered last may be delivered again", "error", err)
	}
	d.client.CloseIdleConnections()
}

// pass does all that can be done now: write down results, make deliveries of
// new events, and send what is due.
func (d *dispatcher) pass(ctx context.Context) error {
	now := d.now()
	if err := d.settleResults(ctx, now); err != nil {
		return err
	}
	if err := d.renew(ctx, now); err != nil || !d.held {
		return err // another replica delivers
	}
	for range fanOutRounds { // and no more, so that deliveries need not wait
		count, err := d.Outbox.fanOut(ctx, now)
		if err != nil {
			return err
		}
		if count < fanOutEvents {
			break
		}
	}
	if !now.Before(d.sweepAt) {
		more, err := d.Outbox.sweep(ctx, now)
		if err != nil {
			return err
		}
		if !more {
			d.sweepAt = now.Add(sweepEvery)
		}
	}
	return d.dispatch(ctx, now)
}

// renew keeps the lease, or asks for it every while.
func (d *dispatcher) renew(ctx context.Context, now time.Time) (err error) {
	if now.Before(d.renewAt) {
		return nil
	}
	d.held, err = d.Outbox.hold(ctx, d.holder, now)
	if err == nil {
		d.renewAt = now.Add(leaseRenew)
	}
	return err
}

// dispatch starts what is due. Deliveries of one event share one request for
// their credentials.
func (d *dispatcher) dispatch(ctx context.Context, now time.Time) error {
	if now.Before(d.holdUntil) {
		return nil
	}
	subscriptions, err := d.Outbox.active(ctx)
	if err != nil {
		return err
	}
	events := make(map[int64][]target)
	for _, s := range subscriptions {
		due, err := d.next(ctx, s, now)
		if err != nil {
			return err
		}
		for _, delivery := range due {
			events[delivery.seq] = append(events[delivery.seq], target{delivery, s})
		}
	}
	for _, targets := range events {
		for _, one := range targets {
			d.take(one.delivery)
		}
		d.requests.Go(func() { d.deliver(d.sending, targets) })
	}
	return nil
}

// next finds what a subscription may get now. One that counts as down gets one
// delivery, to see whether it is back.
func (d *dispatcher) next(ctx context.Context, s *Subscription, now time.Time) ([]*delivery, error) {
	underWay := d.busy[s.ID]
	room := perReceiver - len(underWay)
	if s.failures >= backOffAfter || s.backoff > 0 {
		room = 1 - len(underWay)
	}
	if room <= 0 || now.Before(s.retryAt) {
		return nil, nil
	}
	due, err := d.Outbox.due(ctx, s.ID, now, room+len(underWay))
	if err != nil {
		return nil, err
	}
	free := due[:0]
	for _, delivery := range due {
		if !underWay[delivery.seq] && len(free) < room {
			free = append(free, delivery)
		}
	}
	return free, nil
}

func (d *dispatcher) take(one *delivery) {
	if d.busy[one.subscription] == nil {
		d.busy[one.subscription] = make(map[int64]bool)
	}
	d.busy[one.subscription][one.seq] = true
}

// report hands in a result, from any goroutine.
func (d *dispatcher) report(one *delivery, v verdict) {
	if v.pause == "" {
		one.attempts++ // here and not in write, which may have to be repeated
	}
	d.mu.Lock()
	d.results = append(d.results, &result{delivery: one, verdict: v})
	d.mu.Unlock()
	select {
	case d.arrived <- struct{}{}:
	default:
	}
}

// settleResults writes down what was handed in, all in one transaction. What
// could not be written stays busy until it can.
func (d *dispatcher) settleResults(ctx context.Context, now time.Time) error {
	d.mu.Lock()
	results := d.results
	d.results = nil
	d.mu.Unlock()
	if len(results) == 0 {
		return nil
	}
	d.holdOff(results, now)
	d.paused = nil
	err := d.Outbox.update(ctx, func(tx *sql.Tx) error { return d.write(ctx, tx, results, now) })
	if err != nil {
		d.mu.Lock()
		d.results = append(results, d.results...)
		d.mu.Unlock()
		return err
	}
	for _, s := range d.paused {
		d.log.WarnContext(ctx, "event subscription paused", "subscription", s.ID, "subsystem", s.Subsystem, "reason", s.Reason)
	}
	for _, r := range results {
		delete(d.busy[r.subscription], r.seq)
	}
	return nil
}

// holdOff waits with everything while no credentials can be had. That is the
// matter of no receiver, so their schedules do not count it.
func (d *dispatcher) holdOff(results []*result, now time.Time) {
	held, served := false, false
	for _, r := range results {
		held = held || r.hold
		served = served || !r.hold && r.state != dead
	}
	switch {
	case served:
		d.holds = 0
	case held && !now.Before(d.holdUntil):
		wait := min(time.Second<<min(d.holds, 10), maxHoldOff)
		d.holdUntil = now.Add(jitter(wait))
		d.holds++
	}
}

// write settles deliveries and keeps the books of their subscriptions.
func (d *dispatcher) write(ctx context.Context, tx *sql.Tx, results []*result, now time.Time) error {
	bySubscription := make(map[string][]*result)
	for _, r := range results {
		if r.hold {
			continue // as if it had not been tried
		}
		if r.state == pending {
			d.retry(r, now)
		}
		if err := settle(ctx, tx, now, r); err != nil {
			return err
		}
		bySubscription[r.subscription] = append(bySubscription[r.subscription], r)
	}
	for id, results := range bySubscription {
		if err := d.keepBooks(ctx, tx, id, results, now); err != nil {
			return err
		}
	}
	return nil
}
