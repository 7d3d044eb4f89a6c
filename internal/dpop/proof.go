package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/sekisho-id/sekisho/oauth"
)

// Window is how far the iat of a proof may be from our clock, to either side.
const Window = 60 * time.Second

const (
	maxProof = 8 << 10
	maxID    = 256
)

// Algorithms are the algorithms that proofs are signed with, as metadata lists them.
// FAPI 2.0 §5.4 knows no other.
var Algorithms = []string{"ES256", "PS256", "EdDSA"}

// ErrInvalid is every proof that is not one. The text of the wrapping error says why,
// in words that may be shown.
var ErrInvalid = errors.New("DPoP proof refused")

// Request is the request that a proof must be for.
type Request struct {
	Method string
	URL    string // without query and fragment, which do not count (RFC 9449 §4.3)
	Alias  string // another address of the same, which will do as well; empty for none
	Token  string // the access token sent with it; empty where a token is asked for
}

// Proof is a proof that was checked.
type Proof struct {
	Thumbprint string // of its key, as in jkt
	ID         string
	Nonce      string    // empty where it has none
	Expires    time.Time // no proof with this ID is taken from then on
}

// FromHeader is the proof of a request; empty where there is none. More than one
// is refused (RFC 9449 §4.3).
func FromHeader(header http.Header) (string, error) {
	switch proofs := header.Values(oauth.HeaderDPoP); len(proofs) {
	case 0:
		return "", nil
	case 1:
		if proofs[0] == "" {
			return "", fmt.Errorf("%w: the DPoP header is empty", ErrInvalid)
		}
		return proofs[0], nil
	default:
		return "", fmt.Errorf("%w: there is more than one DPoP header", ErrInvalid)
	}
}

// claims are what a proof says (RFC 9449 §4.2). nbf and exp, which it does not
// define, are left unread.
type claims struct {
	ID        string   `json:"jti"`
	Method    string   `json:"htm"`
	URL       string   `json:"htu"`
	IssuedAt  *float64 `json:"iat"`
	TokenHash string   `json:"ath"`
	Nonce     string   `json:"nonce"`
}

// Check checks a proof in the order of RFC 9449 §4.3, but for the nonce. An error
// wraps ErrInvalid.
func (c *Checker) Check(compact string, request Request, now time.Time) (*Proof, error) {
	thumbprint, payload, err := c.verify(compact)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var said claims
	if err := json.Unmarshal(payload, &said); err != nil {
		return nil, fmt.Errorf("%w: its claims are no JSON object of the right form", ErrInvalid)
	}
	if err := said.check(request, now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &Proof{Thumbprint: thumbprint, ID: said.ID, Nonce: said.Nonce, Expires: said.issuedAt().Add(Window + time.Second)}, nil
}

// seenFor is how long after it was made a proof still shows that its token was used
// by the holder of the key: as long as a token in user context lives.
const seenFor = 5 * time.Minute

// CheckSeen checks a proof that somebody else was sent with an access token, and
// names its key. For which request it was made is not looked at.
func (c *Checker) CheckSeen(compact, token string, now time.Time) (thumbprint string, err error) {
	thumbprint, payload, err := c.verify(compact)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var said claims
	switch err := json.Unmarshal(payload, &said); {
	case err != nil || said.IssuedAt == nil:
		return "", fmt.Errorf("%w: its claims are no JSON object of the right form", ErrInvalid)
	case said.issuedAt().Before(now.Add(-seenFor-Window)) || said.issuedAt().After(now.Add(Window)):
		return "", fmt.Errorf("%w: its iat is too long ago, or ahead", ErrInvalid)
	case said.TokenHash != TokenHash(token):
		return "", fmt.Errorf("%w: its ath is not the hash of the access token", ErrInvalid)
	}
	return thumbprint, nil
}

// Reason is why a proof was refused, without what every such error says.
func Reason(err error) string { return strings.TrimPrefix(err.Error(), ErrInvalid.Error()+": ") }

func (c *claims) check(request Request, now time.Time) error {
	switch {
	case c.ID == "" || len(c.ID) > maxID:
		return errors.New("it has no jti, or a longer one than 256 bytes")
	case c.Method != request.Method:
		return errors.New("its htm is not the method of the request")
	case !sameURL(c.URL, request.URL) && (request.Alias == "" || !sameURL(c.URL, request.Alias)):
		return errors.New("its htu is not the address of the request")
	case c.IssuedAt == nil:
		return errors.New("it has no iat")
	case c.issuedAt().Before(now.Add(-Window)):
		return errors.New("its iat is too long ago")
	case c.issuedAt().After(now.Add(Window)):
		return errors.New("its iat is ahead")
	case request.Token != "" && c.TokenHash != TokenHash(request.Token):
		return errors.New("its ath is not the hash of the access token")
	}
	return nil
}

func (c *claims) issuedAt() time.Time {
	const farthest = 1 << 40
	return time.Unix(int64(math.Max(-farthest, math.Min(farthest, *c.IssuedAt))), 0)
}

// TokenHash is the ath of an access token (RFC 9449 §4.2).
func TokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sameURL compares addresses without query and fragment, after the normalization
// of RFC 3986 §6.2.2 and §6.2.3: scheme and host without case, no default port, an
// empty path as /.
func sameURL(htu, want string) bool {
	if htu == want {
		return true
	}
	a, ok := normal(htu)
	if !ok {
		return false
	}
	b, ok := normal(want)
	return ok && a == b
}

func normal(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme { // url.Parse has made it lower case
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + host + path, true
}
