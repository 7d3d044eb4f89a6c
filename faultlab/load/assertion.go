package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const signer = "pay.signer" // the client that proves itself by assertions

// signingKey is the signer's; like the secret it is everybody's who reads this.
var signingKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	scalar := sha256.Sum256([]byte(secret))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar[:])
	if err != nil {
		panic(err) // the same at every run
	}
	return key
})

// publicKeys are the signer's, as the group file has them.
func publicKeys() string {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signingKey().Public(), KeyID: "signer", Algorithm: string(jose.ES256), Use: "sig"}}})
	if err != nil {
		panic(err) // the same at every run
	}
	return string(text)
}

// RaceAssertions makes so many client assertions, and sends each of them several
// times at once. It gives how many were taken.
func (l *Load) RaceAssertions(ctx context.Context, assertions, times int) (taken int) {
	var mu sync.Mutex
	l.race(assertions, func(w *walker) {
		id := rand.Text()
		assertion, err := l.assertion(id)
		if err != nil {
			return
		}
		n := w.atOnce(times, func() Outcome {
			request, err := l.post(ctx, "/oauth2/token", signer, false, url.Values{
				"grant_type": {"client_credentials"}, "scope": {"settle"}, "resource": {marketAPI}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			})
			if err != nil {
				return Wrong
			}
			// From one network only a few a minute may be refused.
			request.Header.Set("X-Forwarded-For", fmt.Sprintf("%d.%d.%d.1", id[0], id[1], id[2]))
			return w.sendAssertion(ctx, request, digest(id))
		})
		mu.Lock()
		defer mu.Unlock()
		taken += n
	})
	return taken
}

func (w *walker) sendAssertion(ctx context.Context, request *http.Request, id string) Outcome {
	r := Record{Op: Assertion, Client: signer, In: id}
	w.send(ctx, &r, request, nil)
	return r.Outcome
}

func (l *Load) assertion(id string) (string, error) {
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signingKey()}, (&jose.SignerOptions{}).WithHeader("kid", "signer"))
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.Signed(made).Claims(jwt.Claims{
		Issuer: signer, Subject: signer, Audience: jwt.Audience{l.Issuer}, ID: id,
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
	}).Serialize()
}
