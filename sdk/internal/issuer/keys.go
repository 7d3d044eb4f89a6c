package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// How keys are kept. A flood of tokens with invented key ids must not become a
// flood of requests (refetchInterval), and an outage of the server must not
// stop the services that check its tokens (staleIfError).
const (
	refetchInterval = 30 * time.Second
	firstInterval   = time.Second // until keys were loaded once
	staleIfError    = 24 * time.Hour
	fetchTimeout    = 3 * time.Second
	defaultMaxAge   = 10 * time.Minute
	minMaxAge       = time.Minute
)

// Errors of a token's key, beside those of the server being away.
var (
	ErrUnknownKey = errors.New("the token is signed with a key the issuer does not publish")
	// ErrNotAsked comes beside ErrUnknownKey where the issuer could not be
	// asked, or was asked too short a while ago: the key may be a new one.
	ErrNotAsked   = errors.New("the issuer's keys may have changed since")
	errJustFailed = errors.New("the issuer's keys could not be fetched a moment ago")
	errKeysDead   = errors.New("the issuer's keys could not be refreshed for 24 hours")
)

// Keys are the public keys of one issuer, fetched from its jwks_uri. Safe for
// parallel use. It runs no goroutine of its own beyond a refresh under way.
type Keys struct {
	address string
	client  *http.Client
	now     func() time.Time
	flight  singleflight.Group

	mu          sync.Mutex
	byID        map[string]jose.JSONWebKey
	fetchedAt   time.Time // last success
	attemptedAt time.Time
	fetching    bool
	ageingAt    time.Time
	staleAt     time.Time
}

// NewKeys makes an empty cache over the jwks_uri address.
func NewKeys(address string, client *http.Client, now func() time.Time) *Keys {
	return &Keys{address: address, client: client, now: now}
}

// Load fetches the keys now, so that a fault shows at start and not at the
// first token.
func (k *Keys) Load(ctx context.Context) error { return k.refresh(ctx) }

// key finds the key with the id kid, refreshing as its state asks.
func (k *Keys) key(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	now := k.now()
	k.mu.Lock()
	key, known := k.byID[kid]
	ageing, stale := !now.Before(k.ageingAt), !now.Before(k.staleAt)
	mayFetch := k.mayFetch(now)
	wait := k.fetching || mayFetch // who needs the key and comes while a fetch is under way waits for it
	k.mu.Unlock()

	if known && !stale {
		if ageing && mayFetch {
			k.flight.DoChan("", k.fetchOnce)
		}
		return key, nil
	}
	failure := ErrNotAsked
	if wait {
		if failure = k.refresh(ctx); failure != nil {
			failure = errors.Join(ErrNotAsked, failure)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known = k.byID[kid]
	switch {
	case now.Sub(k.fetchedAt) >= staleIfError:
		return jose.JSONWebKey{}, errors.Join(errKeysDead, failure)
	case !known:
		return jose.JSONWebKey{}, errors.Join(ErrUnknownKey, failure)
	}
	return key, nil
}

// mayFetch is asked with mu held.
func (k *Keys) mayFetch(now time.Time) bool {
	interval := refetchInterval
	if k.fetchedAt.IsZero() {
		interval = firstInterval
	}
	return k.attemptedAt.IsZero() || now.Sub(k.attemptedAt) >= interval
}

// refresh fetches once for all who ask at the same time. A caller that gives
// up does not stop the fetch the others wait for.
func (k *Keys) refresh(ctx context.Context) error {
	select {
	case result := <-k.flight.DoChan("", k.fetchOnce):
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetchOnce asks again whether it may fetch: another flight may have landed
// between the caller's question and this one.
func (k *Keys) fetchOnce() (any, error) {
	now := k.now()
	k.mu.Lock()
	allowed := k.mayFetch(now)
	if allowed {
		k.attemptedAt, k.fetching = now, true
	}
	landed := k.fetchedAt.Equal(k.attemptedAt)
	k.mu.Unlock()
	switch {
	case !allowed && landed:
		return nil, nil
	case !allowed:
		return nil, errJustFailed
	}
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.fetching = false
	}()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	body, header, err := get(ctx, k.client, k.address, maxSetBytes)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	byID, err := parseSet(body)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", k.address, err)
	}
	life := maxAge(header)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID, k.fetchedAt = byID, now
	k.ageingAt, k.staleAt = now.Add(life*8/10), now.Add(life)
	return nil, nil
}

// maxAge reads Cache-Control, kept between a minute and what an outage allows.
func maxAge(header http.Header) time.Duration {
	life := defaultMaxAge
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minMaxAge
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				life = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(life, minMaxAge), staleIfError)
}
