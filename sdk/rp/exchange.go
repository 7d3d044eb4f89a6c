package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
)

// ErrNoUserToken is returned by the client of OnBehalf for a request whose
// context does not come from a request that an rs.Guard let in for a user.
var ErrNoUserToken = errors.New("rp: no user token in the context: make the request with the context of the incoming one")

// Exchange turns the token a person's call came with into one for the next
// resource, in this subsystem's name and with this subsystem's identifier for
// the person (RFC 8693). A token that is bound to its sender's key is exchanged with
// the proof that it came with, which the context holds (WithUserProof). Without scopes it holds all that the group file
// grants. The answer is remembered until it expires.
func (c *Client) Exchange(ctx context.Context, subjectToken, resource string, scopes ...string) (*oauth2.Token, error) {
	return c.exchange(ctx, subjectToken, resource, "", scopes)
}

// ExchangeDetails is Exchange for a token that lets its bearer do no more than details
// say (RFC 9396 §6): a slice of what is written as JSON objects, each within one of
// the subject token's. Without them the token has all of the subject token's that are
// for the resource.
func (c *Client) ExchangeDetails(ctx context.Context, subjectToken, resource string, details any, scopes ...string) (*oauth2.Token, error) {
	text, err := json.Marshal(details)
	if err != nil {
		return nil, fmt.Errorf("rp: authorization details: %w", err)
	}
	return c.exchange(ctx, subjectToken, resource, string(text), scopes)
}

// ExchangeLegacy is Exchange for a token of a system that was there before, a JWT that
// legacy_tokens of the group file lets this subsystem exchange. Check it first as you did
// before: the server checks what concerns it, and the call is yours.
func (c *Client) ExchangeLegacy(ctx context.Context, subjectToken, resource string, scopes ...string) (*oauth2.Token, error) {
	key := tokenKey("exchange legacy", subjectToken, resource, scopes)
	return c.exchangeAs(ctx, key, subjectToken, oauth.TokenTypeJWT, resource, "", scopes)
}

func (c *Client) exchange(ctx context.Context, subjectToken, resource, details string, scopes []string) (*oauth2.Token, error) {
	key := exchangeKey(subjectToken, resource, scopes)
	if details != "" {
		key = tokenKey("exchange "+details, subjectToken, resource, scopes)
	}
	return c.exchangeAs(ctx, key, subjectToken, oauth.TokenTypeAccess, resource, details, scopes)
}

// exchangeAs exchanges a token of a type, and remembers the answer under the key.
func (c *Client) exchangeAs(ctx context.Context, key, subjectToken string, typ oauth.TokenType, resource, details string, scopes []string) (*oauth2.Token, error) {
	return c.tokens.get(ctx, key, false, func(ctx context.Context) (*oauth2.Token, error) {
		form := url.Values{
			"grant_type":         {string(oauth.GrantTokenExchange)},
			"subject_token":      {subjectToken},
			"subject_token_type": {string(typ)},
		}
		if proof, ok := ctx.Value(userProofKey{}).(string); ok && typ == oauth.TokenTypeAccess {
			form.Set("subject_token_proof", proof)
		}
		if details != "" {
			form.Set("authorization_details", details)
		}
		token, answer, err := c.token(ctx, withTarget(form, resource, scopes))
		if err != nil {
			return nil, err
		}
		if answer.IssuedTokenType != oauth.TokenTypeAccess {
			return nil, errors.New("rp: the exchange answered with another type of token")
		}
		return token, nil
	})
}

// OnBehalf is an HTTP client that calls resource for the person whose request
// is being served: it exchanges the incoming token. Make the outgoing request
// with the incoming request's context, where an rs.Guard has put the token.
func (c *Client) OnBehalf(resource string, scopes ...string) *http.Client {
	return c.bearer(func(ctx context.Context) (credential, error) {
		incoming, ok := ctx.Value(userTokenKey{}).(string)
		if !ok {
			return credential{}, ErrNoUserToken
		}
		token, err := c.Exchange(ctx, incoming, resource, scopes...)
		return credential{token, exchangeKey(incoming, resource, scopes)}, err
	})
}

func exchangeKey(subjectToken, resource string, scopes []string) string {
	return tokenKey("exchange", subjectToken, resource, scopes)
}

type userTokenKey struct{}

// WithUserToken puts the token of a checked user request into its context,
// for OnBehalf. An rs.Guard does this; call it only when requests reach you by
// another way than net/http, and only with a token that was checked.
func WithUserToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, userTokenKey{}, token)
}

type userProofKey struct{}

// WithUserProof puts the DPoP proof that the token came with into the context, beside
// WithUserToken. An rs.Guard does this.
func WithUserProof(ctx context.Context, proof string) context.Context {
	return context.WithValue(ctx, userProofKey{}, proof)
}
