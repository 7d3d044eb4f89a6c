package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
)

const (
	publishLong      = 24 * time.Hour // that next keys are published before they sign
	emergencyPromise = time.Minute    // until no replica accepts a token of a key that leaked
)

// keysTurn is F9: keys are rotated under load, with tokens verified by many
// resource servers, each with the keys as it has them. At the end a key leaks.
func keysTurn(l *lab) error {
	times, between := 20, 50*time.Second
	if l.options.short {
		times, between = 3, 8*time.Second
	}
	l.openPostgres()
	scale := l.flowScale()
	scale.verifiers = 20
	if err := l.settleFlows(scale); err != nil {
		return err
	}
	f := l.startFlows(scale)
	for i := range times {
		if err := l.around(between / 2); err != nil {
			return err
		}
		if err := l.rotate(f, i+1); err != nil {
			return err
		}
		if err := l.around(between / 2); err != nil {
			return err
		}
	}
	took, err := l.keyLeaks(f)
	if err := errors.Join(err, f.finish()); err != nil {
		return err
	}
	if took > emergencyPromise {
		l.report.violation("%s after the emergency a token of the old key was still accepted", ms(took))
	}
	l.report.figure("%d rotations, tokens verified %d times by %d resource servers", times, f.Verified(), scale.verifiers)
	l.report.figure("emergency: no replica accepts a token of the old key after %s", ms(took))
	return nil
}

// rotate publishes next keys, lets a day pass, and waits until they sign at all
// replicas.
func (l *lab) rotate(f *flows, n int) error {
	before, err := l.servers[0].keyIDs(l.ctx)
	if err != nil {
		return err
	}
	if err := l.beside(func(a *app.App) error { return a.Keys.Rotate(l.ctx, false) }); err != nil {
		return err
	}
	published := map[string][]string{}
	err = l.until("all replicas publish the next keys", time.Minute, func() (bool, error) {
		for _, s := range l.servers {
			ids, err := s.keyIDs(l.ctx)
			if err != nil {
				return false, err
			}
			published[s.name] = ids
			if len(ids) <= len(before) {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	old, err := f.KeyAt(l.ctx, f.Replicas[0])
	if err != nil {
		return err
	}
	if err := f.Hold(func() error { l.clock.jump(publishLong); return nil }); err != nil {
		return err
	}
	if err := l.beside(func(a *app.App) error { return a.Keys.Maintain(l.ctx) }); err != nil {
		return err
	}
	return l.until("the next key signs at all replicas", time.Minute, func() (bool, error) {
		turned := true
		for _, r := range f.Replicas {
			signs, err := f.KeyAt(l.ctx, r)
			if err != nil {
				return false, err
			}
			if !slices.Contains(published[r.Name], signs) {
				l.report.violation("rotation %d: %s signs with key %s, which it had not published", n, r.Name, signs)
			}
			turned = turned && signs != old
		}
		return turned, nil
	})
}

// keyIDs are the keys that a replica publishes.
func (s *server) keyIDs(ctx context.Context) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/oauth2/jwks", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("keys of %s: %w", s.name, err)
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.ID)
	}
	slices.Sort(ids)
	return ids, nil
}

// keyLeaks replaces all keys at once, and says how long a token that the old one
// signed is accepted anywhere.
func (l *lab) keyLeaks(f *flows) (took time.Duration, err error) {
	var old string
	err = f.Hold(func() error {
		if old, err = f.ServiceToken(l.ctx); err != nil {
			return err
		}
		if err := l.beside(func(a *app.App) error { return a.Keys.Rotate(l.ctx, true) }); err != nil {
			return err
		}
		began := l.since()
		err := l.until("all replicas refuse the old key", 2*emergencyPromise, func() (bool, error) {
			for _, r := range f.Replicas {
				active, err := f.Active(l.ctx, r, old)
				if active || err != nil {
					return false, err
				}
			}
			return true, nil
		})
		took = l.since() - began
		return err
	})
	return took, err
}
