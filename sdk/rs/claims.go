package rs

import (
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// skew is how far the clocks of issuer and service may be apart. It is added
// here and nowhere else.
const skew = 10 * time.Second

// tokenClaims are an access token's claims with those that only a checker
// looks at. It stays inside: handlers get a User or a Service.
type tokenClaims struct {
	oauth.AccessTokenClaims
	NotBefore int64 `json:"nbf"`

	own string // resource_sub of an introspection
}

// requirement is what a handler asks of a token.
type requirement struct {
	scopes oauth.Scopes
	acr    []string
	maxAge time.Duration
}

func parseRequirement(scope string) (requirement, error) {
	scopes, err := oauth.ParseScopes(scope)
	return requirement{scopes: scopes}, err
}

// faultOf says why claims of a rightly signed token are not accepted here
// (RFC 9068 §4), in words for the caller; empty if they are.
func (g *Guard) faultOf(c *tokenClaims) string {
	now := g.now()
	switch {
	case c.Issuer != g.issuer:
		return "The token is of another issuer."
	case !c.Audience.Has(g.audience):
		return "The token is for another API."
	case g.soleAudience && !g.soleIn(c.Audience):
		return "The token is for other APIs too; ask for one that is for this API alone."
	case !now.Before(time.Unix(c.ExpiresAt, 0).Add(skew)):
		return "The token has expired; get a new one."
	case time.Unix(c.NotBefore, 0).After(now.Add(skew)):
		return "The token is not valid yet."
	case time.Unix(c.IssuedAt, 0).After(now.Add(skew)):
		return "The token was issued in the future; compare the clocks."
	case c.Subject == "" || c.ClientID == "":
		// Two empty ones would look like service context.
		return "The token names no subject or no client."
	case c.Confirmation != nil && c.Confirmation.JKT == "" && c.Confirmation.X5T == "":
		// A stolen copy must not pass as a plain bearer token (RFC 7800 §3.1).
		return "The token is bound in a way that this API cannot check; send one that is bound to a DPoP key, to a certificate, or not at all."
	case g.ended.over(c, g.own):
		return "The session or the account behind the token has ended; sign in again."
	}
	return ""
}

func (g *Guard) soleIn(audience oauth.Audience) bool {
	for _, aud := range audience {
		if aud != g.audience && aud != g.issuer {
			return false
		}
	}
	return true
}

// What a token is told that is good, but not for this.
const (
	needsUser    = "The token speaks for a service; this needs one of a person."
	needsService = "The token speaks for a person; this needs one of a service."
	needsScope   = "The token lacks a scope that is needed here."
)

func (c *tokenClaims) user(need requirement, audience string) (*User, error) {
	if c.ServiceContext() {
		return nil, refuseScope(needsUser, need)
	}
	if !c.Scope.HasAll(need.scopes) {
		return nil, refuseScope(needsScope, need)
	}
	user := &User{
		Issuer:    c.Issuer,
		Subject:   c.Subject,
		ClientID:  c.ClientID,
		Subsystem: rp.SubsystemOf(c.ClientID),
		Scopes:    c.Scope,
		Chain:     c.Actor.Chain(),
		ACR:       c.ACR,
		AMR:       c.AMR,
		SessionID: c.SessionID,
		TokenID:   c.ID,
		ExpiresAt: time.Unix(c.ExpiresAt, 0),
		Details:   detailsFor(audience, c.AuthorizationDetails),
		own:       c.own,
	}
	if len(user.Chain) == 0 {
		user.Chain = []string{c.ClientID}
	}
	if c.AuthTime != 0 {
		user.AuthTime = time.Unix(c.AuthTime, 0)
	}
	return user, nil
}

// needsSignIn says what a token is told whose person must sign in again, or in a
// stronger way.
const needsSignIn = "The person must sign in again, or in a stronger way, for this."

// checkSignIn asks how and when the person has signed in (RFC 9470 §3). The time in a
// token is in whole minutes unless the client asked for it, and then never later
// than it was.
func (c *tokenClaims) checkSignIn(need requirement, now time.Time) error {
	weak := len(need.acr) > 0 && !slices.Contains(need.acr, c.ACR)
	old := need.maxAge > 0 && now.Sub(time.Unix(c.AuthTime, 0)) > need.maxAge
	if weak || old {
		return oauth.Refuse(oauth.InsufficientUserAuthentication, needsSignIn)
	}
	return nil
}

func (c *tokenClaims) service(need requirement) (*Service, error) {
	if !c.ServiceContext() {
		return nil, refuseScope(needsService, need)
	}
	if !c.Scope.HasAll(need.scopes) {
		return nil, refuseScope(needsScope, need)
	}
	return &Service{
		Issuer:    c.Issuer,
		ClientID:  c.ClientID,
		Subsystem: rp.SubsystemOf(c.ClientID),
		Scopes:    c.Scope,
		TokenID:   c.ID,
		ExpiresAt: time.Unix(c.ExpiresAt, 0),
	}, nil
}
