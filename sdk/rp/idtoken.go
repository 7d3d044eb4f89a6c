package rp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
)

// clockSkew is how far the server's clock may be from ours.
const clockSkew = 10 * time.Second

// idTokenCheck is an ID token with what this sign-in expects of it.
type idTokenCheck struct {
	raw         string
	nonce       string
	accessToken string
	maxAge      int64 // seconds; zero: any
}

// verifyIDToken is OIDC Core §3.1.3.7. Both algorithms hash with SHA-256, so
// at_hash has one form.
func (c *Client) verifyIDToken(ctx context.Context, check idTokenCheck) (*oauth.IDTokenClaims, error) {
	if check.raw == "" {
		return nil, errors.New("rp: the token endpoint answered without an ID token")
	}
	kind := issuer.Kind{
		Types:      []string{oauth.TypIDToken, ""},
		Algorithms: []jose.SignatureAlgorithm{jose.ES256, jose.RS256},
	}
	var claims oauth.IDTokenClaims
	if err := c.keys.Verify(ctx, check.raw, kind, &claims); err != nil {
		return nil, fmt.Errorf("rp: ID token: %w", err)
	}
	if fault := c.faultOf(&claims, check); fault != "" {
		return nil, errors.New("rp: ID token: " + fault)
	}
	return &claims, nil
}

func (c *Client) faultOf(claims *oauth.IDTokenClaims, check idTokenCheck) string {
	now := c.now()
	switch {
	case claims.Issuer != c.Issuer:
		return "it is another issuer's"
	case claims.Subject == "":
		return "it names nobody"
	case len(claims.Audience) != 1 || claims.Audience[0] != c.ID:
		return "it is meant for another client"
	case claims.AuthorizedParty != "" && claims.AuthorizedParty != c.ID:
		return "it was issued to another client"
	case !now.Before(time.Unix(claims.ExpiresAt, 0).Add(clockSkew)):
		return "it has expired"
	case time.Unix(claims.IssuedAt, 0).After(now.Add(clockSkew)):
		return "it was issued in the future"
	case subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(check.nonce)) != 1:
		return "it is of another sign-in (nonce)"
	case claims.AccessTokenHash != "" && claims.AccessTokenHash != accessTokenHash(check.accessToken):
		return "it does not belong to the access token"
	case check.maxAge > 0 && c.tooOld(claims.AuthTime, check.maxAge):
		return "the sign-in is older than was asked for"
	}
	return ""
}

// tooOld judges auth_time against max_age; without auth_time the answer does
// not say what was asked (OIDC Core §3.1.2.1).
func (c *Client) tooOld(authTime, maxAge int64) bool {
	return authTime == 0 || c.now().Add(-clockSkew).Unix() > authTime+maxAge
}

// accessTokenHash is at_hash (OIDC Core §3.1.3.6): the left half of the hash.
func accessTokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
