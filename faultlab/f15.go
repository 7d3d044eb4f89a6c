package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/sekisho-id/sekisho/faultlab/load"
	"github.com/sekisho-id/sekisho/internal/app"
)

// What F15 promises: until every replica knows of a revocation, and of a change of
// the group.
const (
	revocationPromise = time.Second
	groupPromise      = 5 * time.Second
)

// replicasApart is F15: nothing links replicas but the database, so what one does
// the others must learn from there.
func replicasApart(l *lab) error {
	revocations, changes := 1000, 40
	if l.options.short {
		revocations, changes = 60, 3
	}
	l.openPostgres()
	scale := l.flowScale()
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	if err := l.pause(2 * time.Second); err != nil {
		return err
	}
	var revoked, changed []time.Duration
	for i := range revocations {
		took, err := l.revocationSpreads(f, i%scale.walkers)
		if err != nil {
			return err
		}
		revoked = append(revoked, took)
	}
	for i := range changes {
		took, err := l.changeSpreads(f, scale.backends+i+1)
		if err != nil {
			return err
		}
		changed = append(changed, took)
	}
	if err := f.finish(); err != nil {
		return err
	}
	if most := quantile(revoked, 1); most > revocationPromise {
		l.report.violation("a revocation was known to all replicas only after %s", ms(most))
	}
	if most := quantile(changed, 1); most > groupPromise {
		l.report.violation("a change of the group was known to all replicas only after %s", ms(most))
	}
	l.report.figure("%d revocations, each at one of %d replicas, known to all: %s", revocations, len(l.servers), spread(revoked))
	l.report.figure("%d changes of the group, known to all: %s", changes, spread(changed))
	return nil
}

// often is how long one waits before asking again.
const often = 5 * time.Millisecond

// revocationSpreads revokes at one replica and waits until all know.
func (l *lab) revocationSpreads(f *flows, person int) (time.Duration, error) {
	seen, err := f.RevokeAt(l.ctx, person, f.Replicas[l.chance.IntN(len(f.Replicas))])
	if err != nil {
		return 0, err
	}
	return l.spreads(f, func(r *load.Replica) (bool, error) { return seen(r) })
}

// changeSpreads adds a subsystem to the group and waits until all know its client.
func (l *lab) changeSpreads(f *flows, backends int) (time.Duration, error) {
	file := filepath.Join(l.dir, "group.yaml")
	if err := os.WriteFile(file, []byte(load.Group(l.issuer, backends)), 0o600); err != nil {
		return 0, err
	}
	group, err := app.ReadGroupFile(file)
	if err != nil {
		return 0, err
	}
	err = l.beside(func(a *app.App) error {
		_, err := a.Registry.Apply(l.ctx, group, "faultlab")
		return err
	})
	if err != nil {
		return 0, err
	}
	return l.spreads(f, func(r *load.Replica) (bool, error) { return f.Knows(l.ctx, r, load.Backend(backends-1)), nil })
}

// spreads waits until something is so at all replicas.
func (l *lab) spreads(f *flows, is func(*load.Replica) (bool, error)) (time.Duration, error) {
	const limit = 30 * time.Second
	began := time.Now()
	for _, r := range f.Replicas {
		for {
			ok, err := is(r)
			if err != nil {
				return 0, err
			}
			if ok || time.Since(began) > limit {
				break
			}
			if err := l.pause(often); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(began), nil
}
