package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// keySet verifies tokens as a resource server does: with the keys that were
// published, kept for as long as the server allows, and fetched once more when a
// token names a key that is not among them.
type keySet struct {
	load *Load
	mu   sync.Mutex
	keys jose.JSONWebKeySet
	at   time.Time
}

const keysLife = 5 * time.Minute // shorter than the max-age of the answer

// claims are those of a token that was verified.
type claims struct {
	Subject string `json:"sub"`
	Issuer  string `json:"iss"`
}

var algorithms = []jose.SignatureAlgorithm{jose.ES256}

// verify gives the claims of a token, or says what is wrong with it.
func (k *keySet) verify(ctx context.Context, token string) (claims, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return claims{}, err
	}
	key, err := k.find(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return claims{}, err
	}
	var c claims
	if err := parsed.Claims(key, &c); err != nil {
		return claims{}, err
	}
	if c.Issuer != k.load.Issuer || c.Subject == "" {
		return claims{}, fmt.Errorf("iss %s, sub %s", c.Issuer, c.Subject)
	}
	return c, nil
}

// errNoKeys says that the keys could not be fetched, which is no fault of a token.
var errNoKeys = errors.New("the keys cannot be fetched")

func (k *keySet) find(ctx context.Context, id string) (any, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.keys.Key(id)
	if len(found) == 0 || time.Since(k.at) > keysLife {
		if err := k.fetch(ctx); err != nil {
			return nil, err
		}
		found = k.keys.Key(id)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("key %s is not published", id)
	}
	return found[0].Key, nil
}

// refetch fetches the keys anew.
func (k *keySet) refetch(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fetch(ctx)
}

func (k *keySet) fetch(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.load.Issuer+"/oauth2/jwks", nil)
	if err != nil {
		return err
	}
	r := Record{Op: Fetch, Start: k.load.Journal.now()}
	a, replica, err := k.load.balancer.send(request)
	r.Replica, r.End = replica.Name, k.load.Journal.now()
	r.Outcome, r.Said = judge(a, err, http.StatusOK)
	if ctx.Err() == nil {
		k.load.Journal.write(r)
	}
	if r.Outcome != OK {
		return fmt.Errorf("%w: %s", errNoKeys, r.Said)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(a.body, &keys); err != nil {
		return err
	}
	k.keys, k.at = keys, time.Now()
	return nil
}
