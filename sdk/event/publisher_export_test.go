package event

import (
	"context"
	"net/http"
	"time"
)

// DeliverDue does what Run does, until nothing more is due at the clock's time.
func (p *Publisher) DeliverDue(ctx context.Context) error {
	if err := p.prepare(); err != nil {
		return err
	}
	d := newDispatcher(p, ctx)
	defer d.close()
	for {
		if err := d.pass(ctx); err != nil {
			return err
		}
		d.requests.Wait()
		d.mu.Lock()
		idle := len(d.results) == 0
		d.mu.Unlock()
		if idle {
			return nil
		}
	}
}

// SetGrace sets how long requests under way may take when Run ends.
func (p *Publisher) SetGrace(grace time.Duration) error {
	err := p.prepare()
	p.grace = grace
	return err
}

// HoldLease takes the lease as a replica does that is killed then.
func (o *SQLOutbox) HoldLease(ctx context.Context, now time.Time) (bool, error) {
	return o.hold(ctx, "a replica that is gone", now)
}

// Sign signs as publishers do.
func Sign(header http.Header, id string, at time.Time, body []byte, secrets ...string) {
	sign(header, id, at, body, secrets...)
}

const (
	LeaseLife     = leaseLife
	KeepDone      = keepDone
	KeepDead      = keepDead
	DeliverWithin = deliverWithin
	SecretOverlap = secretOverlap
)
