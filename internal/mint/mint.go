package mint

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/web"
)

// ErrInvalid is the answer to every token that is not good, whatever is wrong
// with it: forged, foreign, expired, revoked, of another kind, of a client or
// person that is gone. The text of the wrapped error tells them apart in logs.
var ErrInvalid = errors.New("token is not valid")

// Lifetimes of what is minted.
const (
	UserTokenLife             = 5 * time.Minute
	ServiceTokenLife          = 10 * time.Minute
	IDTokenLife               = 5 * time.Minute
	EventTokenLife            = 2 * time.Minute
	AuthorizationResponseLife = 5 * time.Minute // JARM §2.1: 10 minutes at most
	LogoutTokenLife           = 2 * time.Minute // OIDC Back-Channel Logout §2.4

	// LongestLife is the longest that any access token lives. A revocation
	// must be remembered that long.
	LongestLife = ServiceTokenLife

	// clockAhead is how far ahead of ours the clock of another replica may be.
	// Tokens of ours have no nbf: they are valid from their iat on.
	clockAhead = 60 * time.Second
)

// Config is what a Mint needs. All fields but the last two are required.
type Config struct {
	Issuer   string
	Registry *registry.Registry
	Keys     *keyring.Keyring
	Pairwise *pairwise.Pairwise
	Grants   *grant.Grants
	Now      func() time.Time

	Certificates web.Certificates // where those of clients are found
	MTLSURL      string           // where else this server is reached, by who presents a certificate; empty: nowhere
}

// Mint makes and checks tokens.
type Mint struct {
	Config
	references cipher.Block
	opaque     *secret.Box
	eventIDs   []byte // key of EventID
	nonces     dpop.Nonces
	proofs     dpop.Checker
	decoy      *decoy
}

// New makes a Mint with the data keys of the keyring.
func New(c Config) (*Mint, error) {
	references, err := aes.NewCipher(c.Keys.Secret("reference"))
	if err != nil {
		return nil, fmt.Errorf("key of token references: %w", err)
	}
	opaque, err := secret.NewBox(c.Keys.Secret("opaque"))
	if err != nil {
		return nil, fmt.Errorf("key of opaque tokens: %w", err)
	}
	decoy, err := newDecoy()
	if err != nil {
		return nil, err
	}
	return &Mint{
		Config: c, references: references, opaque: opaque, decoy: decoy,
		eventIDs: c.Keys.Secret("event id"), nonces: dpop.Nonces{Key: c.Keys.Secret("dpop nonce")},
	}, nil
}
