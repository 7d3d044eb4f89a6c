package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// ServiceToken gets a token that pay has for itself, outside the records.
func (l *Load) ServiceToken(ctx context.Context) (token string, err error) {
	err = patiently(func() (err error) {
		token, err = l.serviceToken(ctx, "pay.backend", l.balancer.replicas...)
		return err
	})
	return token, err
}

// errLater is an answer that asks to come again.
var errLater = errors.New("503")

// patiently comes again for a while where it is asked to.
func patiently(do func() error) (err error) {
	for range retries {
		if err = do(); !errors.Is(err, errLater) {
			return err
		}
		time.Sleep(retryWait)
	}
	return err
}

func (l *Load) serviceToken(ctx context.Context, client string, at ...*Replica) (string, error) {
	request, err := l.post(ctx, "/oauth2/token", client, true, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"settle"}, "resource": {marketAPI},
	})
	if err != nil {
		return "", err
	}
	a, _, err := (&balancer{at}).send(request)
	switch outcome, said := judge(a, err, http.StatusOK); outcome {
	case OK:
	case Unavailable:
		return "", fmt.Errorf("%w: %s", errLater, said)
	default:
		return "", fmt.Errorf("%s: %s", outcome, said)
	}
	var got tokens
	err = json.Unmarshal(a.body, &got)
	return got.Access, err
}

// KeyAt is the id of the key that a replica signs access tokens with.
func (l *Load) KeyAt(ctx context.Context, at *Replica) (string, error) {
	var token string
	err := patiently(func() (err error) {
		token, err = l.serviceToken(ctx, "pay.backend", at)
		return err
	})
	if err != nil {
		return "", err
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return "", err
	}
	return parsed.Headers[0].KeyID, nil
}

// Knows reports whether a replica knows a client.
func (l *Load) Knows(ctx context.Context, at *Replica, client string) bool {
	_, err := l.serviceToken(ctx, client, at)
	return err == nil
}

// Active asks a replica about a token, as its resource server does.
func (l *Load) Active(ctx context.Context, at *Replica, token string) (active bool, err error) {
	request, err := l.post(ctx, "/oauth2/introspect", "market.backend", true, url.Values{"token": {token}})
	if err != nil {
		return false, err
	}
	a, err := at.send(request)
	if outcome, said := judge(a, err, http.StatusOK); outcome != OK {
		return false, fmt.Errorf("%s: %s", outcome, said)
	}
	var told struct {
		Active bool `json:"active"`
	}
	err = json.Unmarshal(a.body, &told)
	return told.Active, err
}

// RevokeAt signs a person in and revokes what they got at one replica; seen then
// says whether another replica knows of it already, by refusing the access token.
func (l *Load) RevokeAt(ctx context.Context, person int, at *Replica) (seen func(*Replica) (bool, error), err error) {
	w := &walker{load: l, person: person, browser: l.newBrowser(person)}
	f := w.sign(ctx, "shop.ios", appReturn, false)
	if f == nil {
		return nil, fmt.Errorf("person %d did not get a token", person)
	}
	request, err := l.post(ctx, "/oauth2/revoke", f.client, false, url.Values{"token": {f.refresh}})
	if err != nil {
		return nil, err
	}
	a, err := at.send(request)
	if outcome, said := judge(a, err, http.StatusOK); outcome != OK {
		return nil, fmt.Errorf("%s: %s", outcome, said)
	}
	return func(other *Replica) (bool, error) {
		request, err := l.post(ctx, "/oauth2/introspect", "pay.backend", true, url.Values{"token": {f.access}})
		if err != nil {
			return false, err
		}
		a, err := other.send(request)
		if outcome, said := judge(a, err, http.StatusOK); outcome != OK {
			return false, fmt.Errorf("%s: %s", outcome, said)
		}
		var told struct {
			Active bool `json:"active"`
		}
		err = json.Unmarshal(a.body, &told)
		return !told.Active, err
	}, nil
}
