package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
)

var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA}

const (
	typProof = "dpop+jwt"

	maxKnown  = 4096    // about 4 MB with the longest headers of the usual keys
	maxHeader = 1 << 10 // of a header that is remembered
)

// Checker checks proofs. All proofs that one program makes with one key have the same
// header, so it remembers which key a header names: reading it takes as long as half a
// verification. The zero Checker is ready, and safe for parallel use.
type Checker struct {
	mu    sync.RWMutex
	known map[string]*provenKey // by header segment
}

// provenKey is the key of a header that was read and judged once.
type provenKey struct {
	public     crypto.PublicKey
	thumbprint string
}

// verify checks the form and the signature, and names the key.
func (c *Checker) verify(compact string) (thumbprint string, payload []byte, err error) {
	if len(compact) > maxProof || strings.ContainsAny(compact, " \t\r\n") {
		return "", nil, errors.New("it is no compact JWS within the limits")
	}
	header, _, _ := strings.Cut(compact, ".")
	c.mu.RLock()
	key := c.known[header]
	c.mu.RUnlock()
	if key != nil {
		payload, err = key.verify(compact)
		return key.thumbprint, payload, err
	}
	key, payload, err = readAndVerify(compact)
	if err != nil {
		return "", nil, err
	}
	if len(header) <= maxHeader {
		c.remember(header, key)
	}
	return key.thumbprint, payload, nil
}

func (c *Checker) remember(header string, key *provenKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxKnown {
		c.known = make(map[string]*provenKey)
	}
	c.known[strings.Clone(header)] = key
}

// readAndVerify reads a header that is seen for the first time.
func readAndVerify(compact string) (*provenKey, []byte, error) {
	signed, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil {
		return nil, nil, errors.New("it is no JWS with a public key in its header and one of the algorithms ES256, PS256 and EdDSA")
	}
	header := signed.Signatures[0].Protected
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	switch {
	case !strings.EqualFold(typ, typProof): // RFC 7515 §4.1.9: media types have no case
		return nil, nil, errors.New("its typ is not dpop+jwt")
	case header.JSONWebKey == nil:
		return nil, nil, errors.New("it has no jwk")
	}
	if key, ok := header.JSONWebKey.Key.(*rsa.PublicKey); ok && (key.N.BitLen() < 2048 || key.N.BitLen() > 4096) {
		return nil, nil, errors.New("its RSA key has not 2048 to 4096 bits")
	}
	payload, err := signed.Verify(header.JSONWebKey) // refuses crit, which we know none of
	if err != nil {
		return nil, nil, errSignature
	}
	sum, err := header.JSONWebKey.Thumbprint(crypto.SHA256) // RFC 9449 §6.1
	if err != nil {
		return nil, nil, errors.New("its key has no thumbprint")
	}
	return &provenKey{header.JSONWebKey.Key, base64.RawURLEncoding.EncodeToString(sum)}, payload, nil
}

var errSignature = errors.New("its signature does not verify")

// verify verifies a proof whose header has been read before: the type of the key
// decides the algorithm, as it did then.
func (k *provenKey) verify(compact string) ([]byte, error) {
	if strings.Count(compact, ".") != 2 {
		return nil, errSignature
	}
	dot := strings.LastIndexByte(compact, '.')
	input := compact[:dot]
	signature, err := base64.RawURLEncoding.Strict().DecodeString(compact[dot+1:])
	if err != nil || !k.valid([]byte(input), signature) {
		return nil, errSignature
	}
	_, payload, _ := strings.Cut(input, ".")
	return base64.RawURLEncoding.Strict().DecodeString(payload)
}

func (k *provenKey) valid(input, signature []byte) bool {
	digest := sha256.Sum256(input)
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		return len(signature) == 64 &&
			ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	case *rsa.PublicKey:
		return rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, nil) == nil // any salt, as go-jose does
	case ed25519.PublicKey:
		return len(signature) == ed25519.SignatureSize && ed25519.Verify(public, input, signature)
	}
	return false
}
