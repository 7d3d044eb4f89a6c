package rp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/sekisho-id/sekisho/sdk/internal/cache"
)

const (
	maxTokens     = 10_000
	fetchTimeout  = 10 * time.Second
	expiryMargin  = 5 * time.Second // not to be sent when it may die on the way
	renewalPause  = 5 * time.Second // between attempts to renew behind while the server is away
	renewalMargin = time.Minute     // at most; a fifth of the life for shorter ones
	dropPause     = 5 * time.Second // a token that is refused when it is new is not made better by another
)

// tokens remembers tokens by what they were asked for, and asks for each once
// at a time.
type tokens struct {
	now    func() time.Time
	held   *cache.LRU[string, *heldToken]
	flight singleflight.Group
}

type heldToken struct {
	token *oauth2.Token
	since time.Time

	mu      sync.Mutex
	renewAt time.Time // zero: not renewed, only replaced
}

type fetchToken func(ctx context.Context) (*oauth2.Token, error)

func newTokens(now func() time.Time) *tokens {
	return &tokens{now: now, held: cache.New[string, *heldToken](maxTokens, now)}
}

// get answers the token held under key, else fetches it. With early, a token
// that nears its end is renewed behind while it is still used.
func (t *tokens) get(ctx context.Context, key string, early bool, fetch fetchToken) (*oauth2.Token, error) {
	held, found := t.held.Get(key)
	if found {
		if early && held.renewalDue(t.now()) {
			t.fly(ctx, key, early, fetch)
		}
		return held.token, nil
	}
	select {
	case result := <-t.fly(ctx, key, early, fetch):
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*oauth2.Token), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly fetches for all who ask meanwhile; one who gives up does not stop it.
func (t *tokens) fly(ctx context.Context, key string, early bool, fetch fetchToken) <-chan singleflight.Result {
	return t.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		token, err := fetch(ctx)
		if err != nil {
			return nil, err
		}
		held := &heldToken{token: token, since: t.now()}
		if early {
			left := token.Expiry.Sub(t.now())
			held.renewAt = token.Expiry.Add(-min(renewalMargin, left/5))
		}
		t.held.Put(key, held, token.Expiry.Add(-expiryMargin))
		return token, nil
	})
}

// drop forgets a token that a resource server did not accept, unless another
// has taken its place already. A new one is kept: a resource server that
// refuses all must not turn each call into a token request.
func (t *tokens) drop(key string, refused *oauth2.Token) {
	held, found := t.held.Get(key)
	if found && held.token.AccessToken == refused.AccessToken && t.now().Sub(held.since) >= dropPause {
		t.held.Delete(key)
	}
}

func (h *heldToken) renewalDue(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.renewAt) {
		return false
	}
	h.renewAt = now.Add(renewalPause)
	return true
}

// tokenKey names a token by what makes two requests the same: kind, the token
// given (only its hash is kept), resource, and scopes in any order.
func tokenKey(kind, given, resource string, scopes []string) string {
	if given != "" {
		sum := sha256.Sum256([]byte(given))
		given = base64.RawStdEncoding.EncodeToString(sum[:])
	}
	sorted := slices.Sorted(slices.Values(scopes))
	return strings.Join([]string{kind, given, resource, strings.Join(sorted, " ")}, "\x00")
}
