package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/json"
)

// Key makes proofs.
type Key struct {
	Thumbprint string // what tokens are bound to
	signer     jose.Signer
}

// NewKey prepares a private key: ECDSA P-256, RSA or Ed25519.
func NewKey(private crypto.Signer) (*Key, error) {
	algorithm, ok := AlgorithmOf(private.Public())
	if !ok {
		return nil, fmt.Errorf("dpop: a key of type %T cannot be used; take ECDSA P-256, RSA or Ed25519", private.Public())
	}
	jwk := jose.JSONWebKey{Key: private.Public()}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType(typProof).WithHeader("jwk", jwk)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: Opaque(private)}, options)
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	return &Key{Thumbprint: base64.RawURLEncoding.EncodeToString(sum), signer: signer}, nil
}

// AlgorithmOf is what a key signs with; false for one that is not used here.
func AlgorithmOf(public crypto.PublicKey) (jose.SignatureAlgorithm, bool) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return jose.ES256, key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return jose.PS256, true
	case ed25519.PublicKey:
		return jose.EdDSA, true
	}
	return "", false
}

// Opaque is a private key that may live elsewhere, for go-jose. Its PS256 has a salt as
// long as the hash (RFC 7518 §3.5), where cryptosigner alone takes the longest that
// fits, which strict verifiers refuse.
func Opaque(private crypto.Signer) jose.OpaqueSigner { return cryptosigner.Opaque(saltOfHash{private}) }

type saltOfHash struct{ crypto.Signer }

func (s saltOfHash) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: pss.Hash}
	}
	return s.Signer.Sign(random, digest, opts)
}

// Proof signs a proof for one request. nonce is the last one that the server gave,
// empty until it has.
func (k *Key) Proof(request Request, nonce string, now time.Time) (string, error) {
	claims := map[string]any{
		"jti": rand.Text(),
		"htm": request.Method,
		"htu": withoutQuery(request.URL),
		"iat": now.Unix(),
	}
	if request.Token != "" {
		claims["ath"] = TokenHash(request.Token)
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("dpop: %w", err)
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("dpop: sign a proof: %w", err)
	}
	return signed.CompactSerialize()
}

func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment, u.User = "", false, "", "", nil
	return u.String()
}
