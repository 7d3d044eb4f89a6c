package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// b64 refuses set bits behind the last byte, so that each value has exactly
// one text (RFC 4648 §3.5).
var b64 = base64.RawURLEncoding.Strict()

// Signer signs claims under one key and one header.
type Signer struct {
	key    crypto.Signer
	alg    Alg
	prefix string // header segment and the dot behind it
	size   int    // bytes of a signature
}

// NewSigner prepares a signer. The key may live elsewhere; only its
// crypto.Signer is used.
func NewSigner(key crypto.Signer, alg Alg, kid, typ string) (*Signer, error) {
	if err := alg.fits(key.Public()); err != nil {
		return nil, err
	}
	prefix, err := headerSegment(alg, kid, typ)
	if err != nil {
		return nil, err
	}
	size := 2 * p256Bytes // of Ed25519, too
	if public, ok := key.Public().(*rsa.PublicKey); ok {
		size = public.Size()
	}
	return &Signer{key: key, alg: alg, prefix: prefix + ".", size: size}, nil
}

// headerSegment writes the one header that Signer and Verifier agree on.
func headerSegment(alg Alg, kid, typ string) (string, error) {
	header, err := json.Marshal(Header{Alg: alg, KeyID: kid, Typ: typ})
	if err != nil {
		return "", fmt.Errorf("jose: header: %w", err)
	}
	if len(header) > maxHeader {
		return "", errors.New("jose: header: too long")
	}
	return b64.EncodeToString(header), nil
}

// Sign gives the compact serialization of the claims (RFC 7515 §3.1).
func (s *Signer) Sign(claims []byte) (string, error) {
	if len(claims) > maxClaims {
		return "", fmt.Errorf("jose: claims of %d bytes are more than the %d that verifiers accept", len(claims), maxClaims)
	}
	token := make([]byte, 0, len(s.prefix)+b64.EncodedLen(len(claims))+1+b64.EncodedLen(s.size))
	token = append(token, s.prefix...)
	token = b64.AppendEncode(token, claims)
	signature, err := s.signature(token)
	if err != nil {
		return "", fmt.Errorf("jose: sign with %s: %w", s.alg, err)
	}
	token = append(token, '.')
	token = b64.AppendEncode(token, signature)
	return string(token), nil
}

func (s *Signer) signature(input []byte) ([]byte, error) {
	if s.alg == EdDSA {
		return s.key.Sign(rand.Reader, input, crypto.Hash(0))
	}
	digest := sha256.Sum256(input)
	switch s.alg {
	case ES256:
		der, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return fixedWidth(der)
	case PS256:
		return s.key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	default:
		return s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
}

const p256Bytes = 32

// fixedWidth turns an ASN.1 signature into r‖s of 32 bytes each
// (RFC 7518 §3.4).
func fixedWidth(der []byte) ([]byte, error) {
	var r, s []byte
	input, inner := cryptobyte.String(der), cryptobyte.String{}
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() ||
		len(r) > p256Bytes || len(s) > p256Bytes {
		return nil, errors.New("the key gave no P-256 signature")
	}
	fixed := make([]byte, 2*p256Bytes)
	copy(fixed[p256Bytes-len(r):], r)
	copy(fixed[2*p256Bytes-len(s):], s)
	return fixed, nil
}
