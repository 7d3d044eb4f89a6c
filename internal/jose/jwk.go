package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// JWK is a public key as it is published (RFC 7517 §4). It has no member that
// could hold a private one.
type JWK struct {
	Kty string `json:"kty"`
	Use string `json:"use,omitempty"`
	Alg Alg    `json:"alg,omitempty"`
	Kid string `json:"kid,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// PublicJWK writes a signature key.
func PublicJWK(pub crypto.PublicKey, kid string, alg Alg) (JWK, error) {
	if err := alg.fits(pub); err != nil {
		return JWK{}, err
	}
	jwk := JWK{Use: "sig", Alg: alg, Kid: kid}
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 0x04, then x and y of fixed width
		if err != nil {
			return JWK{}, fmt.Errorf("jose: %w", err)
		}
		jwk.Kty, jwk.Crv = "EC", "P-256"
		jwk.X, jwk.Y = b64.EncodeToString(point[1:1+p256Bytes]), b64.EncodeToString(point[1+p256Bytes:])
	case *rsa.PublicKey:
		jwk.Kty = "RSA"
		jwk.N, jwk.E = b64.EncodeToString(key.N.Bytes()), b64.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	case ed25519.PublicKey:
		jwk.Kty, jwk.Crv, jwk.X = "OKP", "Ed25519", b64.EncodeToString(key)
	}
	return jwk, nil
}

// MarshalSet writes a JWK set (RFC 7517 §5).
func MarshalSet(keys []JWK) ([]byte, error) {
	if keys == nil {
		keys = []JWK{}
	}
	return json.Marshal(struct {
		Keys []JWK `json:"keys"`
	}{keys})
}

// Thumbprint names a key by itself (RFC 7638 §3).
func (k JWK) Thumbprint() (string, error) {
	var members any // the required ones, in the order of their names
	switch k.Kty {
	case "EC":
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
			Y   string `json:"y"`
		}{k.Crv, k.Kty, k.X, k.Y}
	case "RSA":
		members = struct {
			E   string `json:"e"`
			Kty string `json:"kty"`
			N   string `json:"n"`
		}{k.E, k.Kty, k.N}
	case "OKP": // RFC 8037 §2
		members = struct {
			Crv string `json:"crv"`
			Kty string `json:"kty"`
			X   string `json:"x"`
		}{k.Crv, k.Kty, k.X}
	default:
		return "", errors.New("jose: no thumbprint for this type of key")
	}
	canonical, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("jose: thumbprint: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return b64.EncodeToString(sum[:]), nil
}
