package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// What F13 promises.
const (
	healthyLimit = 2 * time.Second // p99 from 202 to arrival
	drainRate    = 200             // a second
	normalLoad   = 8               // requests that one receiver has at a time at most, whenever much is published
	crowdFactor  = 2               // as many to one that recovers
)

// f13Scale is how large a run of F13 is.
type f13Scale struct {
	down, others, healthy, gone int
	people, events, perSec      int
	steps                       int           // in which the six hours pass
	real                        time.Duration // that a step takes
	replayed                    int
	age                         time.Duration // real time that a step of ageing takes
}

var (
	f13Full = f13Scale{
		down: 10, others: 5, healthy: 10, gone: 2, people: 200, events: 10_000, perSec: 25,
		steps: 36, real: 10 * time.Second, replayed: 500, age: 5 * time.Second,
	}
	f13Short = f13Scale{
		down: 2, others: 1, healthy: 3, gone: 1, people: 20, events: 250, perSec: 25,
		steps: 6, real: 1500 * time.Millisecond, replayed: 50, age: 1500 * time.Millisecond,
	}
)

const (
	outage    = 6 * time.Hour
	probeWait = 40 * time.Minute // within which a stream that was silent for hours is tried again
	ageStep   = 10 * time.Hour

	manyAtOnce = 100 // events of one request
	ageSteps   = 9   // more than the three days after which a message is given up
)

// receiversMisbehave is F13.
func receiversMisbehave(l *lab) error {
	scale := f13Full
	if l.options.short {
		scale = f13Short
	}
	if err := l.openF13(scale); err != nil {
		return err
	}
	p, err := l.newPublisher(scale.perSec, 5)
	if err != nil {
		return err
	}
	if err := p.publish(manyAtOnce); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(l.ctx)
	defer stop()
	publishing := make(chan error, 1)
	go func() { publishing <- p.run(ctx) }()

	err = l.outage(p, scale)
	if err == nil {
		err = l.recovery(p)
	}
	stop()
	if err := errors.Join(err, <-publishing); err != nil {
		return err
	}
	for _, step := range []func(*publisher, f13Scale) error{l.replay, l.growOld, l.giveUp, l.lookAfter} {
		if err := step(p, scale); err != nil {
			return err
		}
	}
	if err := l.servers[0].stop(); err != nil {
		return err
	}
	return l.judgeF13(p)
}

// openF13 starts receivers and server.
func (l *lab) openF13(scale f13Scale) error {
	counts := []struct {
		kind kind
		n    int
	}{
		{down, scale.down},
		{hang, scale.others},
		{fails, scale.others},
		{redirect, scale.others},
		{poison, scale.others},
		{reset, scale.others},
		{slow, scale.others},
		{healthy, scale.healthy},
		{gone, scale.gone},
	}
	for _, c := range counts {
		if err := l.addReceivers(c.kind, c.n); err != nil {
			return err
		}
	}
	if err := l.settle(scale.people); err != nil {
		return err
	}
	if err := l.servers[0].start(); err != nil {
		return err
	}
	return l.subscribe()
}

// outage has some receivers be down for six hours of the servers' clock.
func (l *lab) outage(p *publisher, scale f13Scale) error {
	for _, r := range l.of(down) {
		r.close()
	}
	for range scale.steps {
		if err := l.pause(scale.real); err != nil {
			return err
		}
		l.clock.jump(outage / time.Duration(scale.steps))
	}
	return l.until(fmt.Sprintf("%d events are published", scale.events), 30*time.Minute, func() (bool, error) {
		return p.published() >= scale.events, nil
	})
}

// recovery brings them back, and measures how what waited reaches them while
// publishing goes on.
func (l *lab) recovery(p *publisher) error {
	back, normal := l.of(down), takePeak(l.of(healthy))
	takePeak(back)
	waiting := p.published()
	for _, r := range back {
		if err := r.open(); err != nil {
			return err
		}
	}
	l.clock.jump(probeWait)
	began := l.since()
	if err := l.waitFor(back, waiting, 20*time.Minute); err != nil {
		return err
	}
	took := l.since() - began
	crowd := takePeak(back)
	backlog := waiting * len(back)
	rate := float64(backlog) / took.Seconds()
	l.report.figure("backlog of %d after 6 h: drained in %s, %.0f a second", backlog, took.Round(time.Second), rate)
	l.report.figure("most requests at a time to one receiver: %d to a healthy one until then, %d while recovering", normal, crowd)
	if rate < drainRate {
		l.report.violation("the backlog drained at %.0f a second only", rate)
	}
	if most := max(normal, crowd); most > crowdFactor*normalLoad {
		l.report.violation("a receiver had %d requests at a time, at normal load it is %d", most, normalLoad)
	}
	return nil
}

// replay sends again what was delivered, and what was refused once its receiver
// is mended. The checker sees whether it is the same.
func (l *lab) replay(p *publisher, scale f13Scale) error {
	if err := l.waitFor(append(l.of(healthy), l.of(down)...), p.published(), time.Minute); err != nil {
		return err
	}
	well, mended := l.of(healthy)[0], l.of(poison)[0]
	mended.mended.Store(true)
	var again, revived int64
	err := l.beside(func(a *app.App) error {
		return a.DB.Update(l.ctx, func(tx *db.Tx) (err error) {
			_, again, err = outbox.Replay(l.ctx, tx, l.clock.now(), time.UnixMilli(0), well.stream, 0, scale.replayed)
			if err == nil {
				revived, err = outbox.Resend(l.ctx, tx, l.clock.now(), mended.stream, nil, scale.replayed)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	l.report.figure("replayed %d that were delivered and %d that were dead", again, revived)
	if again == 0 || revived == 0 {
		l.report.violation("nothing was replayed")
	}
	return l.until("what is replayed is delivered", 2*time.Minute, func() (bool, error) {
		pending, err := l.waiting()
		return pending[well.name] == 0 && pending[mended.name] == 0, err
	})
}

// growOld lets days pass. Meanwhile the streams whose receivers answer 410 are
// paused, and that is said.
func (l *lab) growOld(_ *publisher, scale f13Scale) error {
	for range ageSteps {
		l.clock.jump(ageStep)
		if err := l.pause(scale.age); err != nil {
			return err
		}
	}
	return l.checkPauses()
}

// giveUp starts the server anew, which makes it tidy up at once, and waits until
// nothing waits any more but in paused streams.
func (l *lab) giveUp(*publisher, f13Scale) error {
	if err := l.servers[0].stop(); err != nil {
		return err
	}
	if err := l.servers[0].start(); err != nil {
		return err
	}
	return l.until("what nobody takes is given up", 10*time.Minute, func() (bool, error) {
		pending, err := l.waiting()
		for _, r := range l.receivers {
			if r.kind != gone && pending[r.name] > 0 {
				return false, err
			}
		}
		return true, err
	})
}

// lookAfter has the paused receivers mended and their streams go on.
func (l *lab) lookAfter(p *publisher, _ f13Scale) error {
	for _, r := range l.of(gone) {
		r.mended.Store(true)
		if err := r.resume(); err != nil {
			return err
		}
	}
	return l.waitFor(l.of(gone), p.published(), 5*time.Minute)
}
