package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length of a key for NewBox.
const KeySize = 32

const (
	boxNonce = 24
	gcmTag   = 16
)

// ErrSealed says that a box does not open: another key, another context, or
// changed bytes.
var ErrSealed = errors.New("secret: the sealed value does not open with this key and context")

// Box seals small values with XAES-256-GCM (C2SP): AES-256-GCM under a key
// derived for each 192-bit nonce. A plain 96-bit random nonce would wear out
// the key after 2^32 values, which is days of sealed tokens.
type Box struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // the CMAC subkey of one whole block
}

// NewBox makes a box from a key of KeySize bytes.
func NewBox(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("secret: a sealing key has %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	b := &Box{block: block}
	// NIST SP 800-38B §6.1: K1 is the encrypted zero block doubled in GF(2^128).
	block.Encrypt(b.k1[:], b.k1[:])
	var msb byte
	for i := len(b.k1) - 1; i >= 0; i-- {
		msb, b.k1[i] = b.k1[i]>>7, b.k1[i]<<1|msb
	}
	b.k1[len(b.k1)-1] ^= msb * 0b10000111
	return b, nil
}

// Seal gives nonce, ciphertext and tag. The context is bound but not kept:
// only Open with the same context succeeds, so a sealed value cannot be moved
// to another place.
func (b *Box) Seal(plain, context []byte) []byte {
	sealed := make([]byte, boxNonce, boxNonce+len(plain)+gcmTag)
	_, _ = rand.Read(sealed) // never fails: the runtime ends the process instead
	return b.aead(sealed[:12]).Seal(sealed, sealed[12:boxNonce], plain, context)
}

// Open gives the value back, or ErrSealed.
func (b *Box) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) < boxNonce+gcmTag {
		return nil, ErrSealed
	}
	plain, err := b.aead(sealed[:12]).Open(nil, sealed[12:boxNonce], sealed[boxNonce:], context)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// aead derives the key for the first half of a nonce (C2SP XAES-256-GCM).
func (b *Box) aead(half []byte) cipher.AEAD {
	key := make([]byte, 0, KeySize)
	for counter := byte(1); counter <= 2; counter++ {
		var m [aes.BlockSize]byte
		m[1], m[2] = counter, 'X'
		copy(m[4:], half)
		for i := range m {
			m[i] ^= b.k1[i]
		}
		b.block.Encrypt(m[:], m[:])
		key = append(key, m[:]...)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has the right length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the right block size
	}
	return gcm
}

// Derive makes n bytes from a key for one purpose, named by the label
// (HKDF-SHA256, RFC 5869).
func Derive(key []byte, label string, n int) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, label, n)
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	return derived
}
