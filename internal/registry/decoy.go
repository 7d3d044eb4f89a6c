package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// decoy is the credentials of nobody. Checking against them costs an unknown
// client what a known one costs, so that time does not tell which ids exist.
type decoy struct {
	hashes [][]byte
	ec     *ecdsa.PublicKey
	rsa    *rsa.PublicKey
}

// newDecoy makes keys whose private halves nobody keeps.
func newDecoy() (decoy, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return decoy{}, fmt.Errorf("registry: decoy key: %w", err)
	}
	modulus := secret.Bytes(256)
	modulus[0] |= 0x80
	modulus[255] |= 1
	return decoy{
		hashes: [][]byte{secret.Bytes(sha256.Size)},
		ec:     &key.PublicKey,
		rsa:    &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537},
	}, nil
}

// verify does the work of verifying an assertion, and believes nothing.
func (d decoy) verify(compact string) {
	input, signature := compact, ""
	if dot := strings.LastIndexByte(compact, '.'); dot >= 0 {
		input, signature = compact[:dot], compact[dot+1:]
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return
	}
	digest := sha256.Sum256([]byte(input))
	if len(raw) == 64 {
		r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
		_ = ecdsa.Verify(d.ec, digest[:], r, s)
		return
	}
	_ = rsa.VerifyPKCS1v15(d.rsa, crypto.SHA256, digest[:], raw)
}
