package issuer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	maxSetBytes = 64 << 10
	maxSetKeys  = 20
	minRSABits  = 2048
	maxRSABits  = 4096
)

// parseSet reads a JWK set. Keys of kinds we do not use are left out, as
// RFC 7517 §5 asks; a set without a usable key is refused, so that a broken
// answer never replaces good keys.
func parseSet(body []byte) (map[string]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("the set has %d keys, more than %d", len(set.Keys), maxSetKeys)
	}
	byID := make(map[string]jose.JSONWebKey, len(set.Keys))
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil || !usable(&key) {
			continue
		}
		if _, taken := byID[key.KeyID]; taken {
			return nil, fmt.Errorf("two keys have the id %q", key.KeyID)
		}
		byID[key.KeyID] = key
	}
	if len(byID) == 0 {
		return nil, errors.New("the set has no usable signing key")
	}
	return byID, nil
}

func usable(key *jose.JSONWebKey) bool {
	return key.KeyID != "" && key.IsPublic() && key.Valid() &&
		(key.Use == "" || key.Use == "sig") && len(algorithms(key)) > 0
}

// algorithms lists what a key may verify: its own alg where it names one, and
// never an algorithm of another kind of key or curve. go-jose leaves the curve
// to its caller.
func algorithms(key *jose.JSONWebKey) []jose.SignatureAlgorithm {
	var fit []jose.SignatureAlgorithm
	switch public := key.Key.(type) {
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			fit = []jose.SignatureAlgorithm{jose.ES256}
		}
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits >= minRSABits && bits <= maxRSABits {
			fit = []jose.SignatureAlgorithm{jose.RS256, jose.PS256}
		}
	case ed25519.PublicKey:
		fit = []jose.SignatureAlgorithm{jose.EdDSA}
	}
	if key.Algorithm == "" {
		return fit
	}
	for _, alg := range fit {
		if string(alg) == key.Algorithm {
			return []jose.SignatureAlgorithm{alg}
		}
	}
	return nil
}
