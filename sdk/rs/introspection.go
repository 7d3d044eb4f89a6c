package rs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/cache"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

const (
	maxAnswers      = 10_000
	answerLife      = time.Minute
	refusalLife     = 5 * time.Second
	maxTokenBytes   = 16 << 10
	questionTimeout = 5 * time.Second
)

// introspection asks the server about each token and remembers the answer for
// a short while.
type introspection struct {
	client  *rp.Client
	now     func() time.Time
	answers *cache.LRU[question, *tokenClaims] // nil: not active
	flight  singleflight.Group
}

// question is a token together with what is required of it, so that an answer
// given for one use never serves another. The audience is the Guard's own.
type question struct {
	token  [sha256.Size]byte
	scopes string
}

func newIntrospection(config *Config, now func() time.Time) (*introspection, error) {
	switch {
	case config.Client == nil:
		return nil, errors.New("rs: Config.Introspect needs Config.Client")
	case config.Client.Issuer != config.Issuer:
		return nil, fmt.Errorf("rs: Config.Client is of the issuer %q, configured is %q", config.Client.Issuer, config.Issuer)
	case config.Client.Metadata.IntrospectionEndpoint == "":
		return nil, errors.New("rs: the authorization server has no introspection endpoint")
	}
	return &introspection{
		client:  config.Client,
		now:     now,
		answers: cache.New[question, *tokenClaims](maxAnswers, now),
	}, nil
}

var errInactive = refuseToken("The token has ended, or is not for this API.")

func (i *introspection) claims(ctx context.Context, token string, need requirement) (*tokenClaims, error) {
	if len(token) > maxTokenBytes {
		return nil, errInactive
	}
	asked := question{sha256.Sum256([]byte(token)), need.scopes.String()}
	if known, found := i.answers.Get(asked); found {
		return active(known)
	}
	flight := i.flight.DoChan(string(asked.token[:])+asked.scopes, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), questionTimeout)
		defer cancel()
		return i.ask(ctx, token, asked)
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return nil, unavailable()
		}
		return active(result.Val.(*tokenClaims))
	case <-ctx.Done():
		return nil, unavailable()
	}
}

func active(claims *tokenClaims) (*tokenClaims, error) {
	if claims == nil {
		return nil, errInactive
	}
	return claims, nil
}

// ask asks the server and remembers its answer: a yes for a minute and never
// beyond the token's end, a no for seconds only.
func (i *introspection) ask(ctx context.Context, token string, asked question) (*tokenClaims, error) {
	now := i.now()
	answer, err := i.client.Introspect(ctx, token)
	if err != nil {
		return nil, err
	}
	if !answer.Active || !strings.EqualFold(answer.TokenType, oauth.Bearer) && !strings.EqualFold(answer.TokenType, oauth.DPoP) {
		i.answers.Put(asked, nil, now.Add(refusalLife))
		return nil, nil
	}
	claims := claimsOf(answer)
	until := now.Add(answerLife)
	if end := time.Unix(answer.ExpiresAt, 0); end.Before(until) {
		until = end
	}
	i.answers.Put(asked, claims, until)
	return claims, nil
}

func claimsOf(answer *oauth.Introspection) *tokenClaims {
	return &tokenClaims{
		AccessTokenClaims: oauth.AccessTokenClaims{
			Issuer:    answer.Issuer,
			Subject:   answer.Subject,
			Audience:  answer.Audience,
			ExpiresAt: answer.ExpiresAt,
			IssuedAt:  answer.IssuedAt,
			ID:        answer.ID,
			ClientID:  answer.ClientID,
			Scope:     answer.Scope,
			AuthTime:  answer.AuthTime,
			ACR:       answer.ACR,
			AMR:       answer.AMR,
			SessionID: answer.SessionID,
			Actor:     answer.Actor,

			Confirmation:         answer.Confirmation,
			AuthorizationDetails: answer.AuthorizationDetails,
		},
		NotBefore: answer.NotBefore,
		own:       answer.ResourceSubject,
	}
}
