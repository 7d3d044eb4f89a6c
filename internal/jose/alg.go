package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// Alg is a signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
type Alg string

// The algorithms there are. This server signs with the first two; clients may
// use any of them.
const (
	ES256 Alg = "ES256"
	RS256 Alg = "RS256"
	PS256 Alg = "PS256"
	EdDSA Alg = "EdDSA"
)

// Sizes beyond which nothing is looked at.
const (
	maxCompact = 16 << 10
	maxHeader  = 1 << 10
	maxClaims  = 8 << 10
	maxJWKS    = 64 << 10
	maxKeys    = 20
	maxDepth   = 16

	minRSABits = 2048
	maxRSABits = 4096
)

var (
	// ErrMalformed says that this is no compact JWS, or one beyond the limits.
	ErrMalformed = errors.New("jose: not a compact JWS within the limits")
	// ErrHeader says that the header is not one that is accepted here.
	ErrHeader = errors.New("jose: the header is not accepted")
	// ErrKey says that no key fits the header.
	ErrKey = errors.New("jose: no key fits the header")
	// ErrSignature says that the signature is not the key's.
	ErrSignature = errors.New("jose: the signature does not verify")
)

// fits says whether the public key may be used with the algorithm at all.
func (a Alg) fits(pub crypto.PublicKey) error {
	switch a {
	case ES256:
		if key, ok := pub.(*ecdsa.PublicKey); ok && key.Curve == elliptic.P256() {
			return nil
		}
		return errors.New("jose: ES256 needs an EC key on curve P-256")
	case RS256, PS256:
		key, ok := pub.(*rsa.PublicKey)
		if !ok {
			return fmt.Errorf("jose: %s needs an RSA key", a)
		}
		return checkRSA(key.N, big.NewInt(int64(key.E)))
	case EdDSA:
		if _, ok := pub.(ed25519.PublicKey); ok {
			return nil
		}
		return errors.New("jose: EdDSA needs an Ed25519 key")
	}
	return fmt.Errorf("jose: unknown algorithm %q", string(a))
}

func checkRSA(n, e *big.Int) error {
	if bits := n.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("an RSA key has %d to %d bits, not %d", minRSABits, maxRSABits, bits)
	}
	if e.BitLen() > 32 || e.Cmp(big.NewInt(3)) < 0 || e.Bit(0) == 0 {
		return errors.New("the exponent of an RSA key is odd, at least 3 and below 2^32; use 65537")
	}
	return nil
}
