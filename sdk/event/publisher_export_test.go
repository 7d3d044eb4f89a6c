package event

import (
	"context"
	"net/http"
	"time"
)

// Stepper is a Run whose steps a test makes.
type Stepper struct{ d *dispatcher }

// NewStepper starts one.
func NewStepper(ctx context.Context, p *Publisher) (*Stepper, error) {
	if err := p.prepare(); err != nil {
		return nil, err
	}
	return &Stepper{newDispatcher(p, ctx)}, nil
}

// Due does what Run does, until nothing more is due at the clock's time.
func (x *Stepper) Due(ctx context.Context) error {
	for {
		if err := x.d.pass(ctx); err != nil {
			return err
		}
		x.d.requests.Wait()
		x.d.mu.Lock()
		idle := len(x.d.results) == 0
		x.d.mu.Unlock()
		if idle {
			return nil
		}
	}
}

// Close ends it as Run ends.
func (x *Stepper) Close() { x.d.close() }

// SetGrace sets how long requests under way may take when Run ends.
func (p *Publisher) SetGrace(grace time.Duration) error {
	err := p.prepare()
	p.grace = grace
	return err
}

// SetClient sends through another client, one that waits forever.
func (p *Publisher) SetClient(client *http.Client) error {
	err := p.prepare()
	p.client = client
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
