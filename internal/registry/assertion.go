package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of a client assertion.
const (
	assertionLife  = 5 * time.Minute  // how far away exp may be
	assertionAhead = 60 * time.Second // how far ahead of ours a client's clock may be
	maxJTI         = 256
	maxAssertion   = 16 << 10
)

// assertionAlgs are the algorithms a client may sign assertions with, and a system of
// before its tokens.
var assertionAlgs = []jose.Alg{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA}

// assertionTypes are the typ headers of a client assertion: none, the general
// one, and the one of RFC 7523bis. Any other is a JWT made for another purpose
// (RFC 8725 §3.11).
var assertionTypes = []string{"", "jwt", "client-authentication+jwt"}

// assertion is the claims of a client assertion (RFC 7523 §3).
type assertion struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ID        string   `json:"jti"`
	Expires   *float64 `json:"exp"`
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`
}

// audience is an aud claim that remembers whether it was a list.
type audience struct {
	oauth.Audience
	list bool
}

func (a *audience) UnmarshalJSON(data []byte) error {
	a.list = len(data) > 0 && data[0] == '['
	return a.Audience.UnmarshalJSON(data)
}

// claimedSubject reads whom an assertion claims to be from, before anything of
// it is believed: it is needed to find the keys.
func claimedSubject(compact string) (string, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 || len(compact) > maxAssertion {
		return "", errors.New("not a compact JWS")
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("payload: %w", err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := jose.Decode(payload, &claims); err != nil {
		return "", err
	}
	if claims.Subject == "" {
		return "", errors.New("no sub")
	}
	return claims.Subject, nil
}

// readAssertion reads the claims of a verified assertion.
func readAssertion(payload []byte, header jose.Header) (*assertion, error) {
	if !slices.Contains(assertionTypes, strings.ToLower(header.Typ)) {
		return nil, fmt.Errorf("typ %.40q is for another purpose", header.Typ)
	}
	a := new(assertion)
	if err := jose.Decode(payload, a); err != nil {
		return nil, err
	}
	return a, nil
}

// check checks the claims in the order of RFC 7523 §3. In a profile of FAPI 2.0 the
// first of the audiences, the issuer, is the only one, as a string (Security Profile
// §5.3.2.1).
func (a *assertion) check(client *Client, audiences []string, now time.Time) error {
	if client.Profile.fapi() {
		audiences = audiences[:1]
	}
	switch {
	case a.Issuer != client.ID || a.Subject != client.ID: // items 1 and 2
		return errors.New("iss and sub are not both the client_id")
	case client.Profile.fapi() && a.Audience.list:
		return errors.New("aud is a list, and must be the issuer as a string")
	case len(a.Audience.Audience) != 1: // item 3; of several, each could replay it at the others
		return errors.New("aud is not exactly one audience")
	case !slices.Contains(audiences, a.Audience.Audience[0]):
		return errors.New("aud is neither the issuer nor the endpoint")
	case a.Expires == nil: // item 4
		return errors.New("no exp")
	case !now.Before(a.expires()):
		return errors.New("expired")
	case a.expires().After(now.Add(assertionLife)):
		return errors.New("exp is more than five minutes away")
	case a.NotBefore != nil && numericDate(*a.NotBefore).After(now.Add(assertionAhead)): // item 5
		return errors.New("nbf is ahead")
	case a.IssuedAt != nil && numericDate(*a.IssuedAt).After(now.Add(assertionAhead)): // item 6
		return errors.New("iat is ahead")
	case a.ID == "" || len(a.ID) > maxJTI: // item 7; required here, against replay
		return errors.New("no jti, or a longer one than 256 bytes")
	}
	return nil
}

func (a *assertion) expires() time.Time { return numericDate(*a.Expires) }

// numericDate reads a NumericDate, which may have a fraction (RFC 7519 §2).
// What is out of any sense becomes the far future or the far past.
func numericDate(seconds float64) time.Time {
	const farthest = 1 << 40
	seconds = math.Max(-farthest, math.Min(farthest, seconds))
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}
