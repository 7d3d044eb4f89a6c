package mint

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// Reference is what a jti says to us, and to nobody else: the grant a token was
// issued under (zero in service context) and the chain it belongs to, named by
// a random number that the first token got and every exchanged one inherits.
type Reference struct {
	Grant int64
	Root  int64
}

// The jti is IV ‖ AES_K((grant ‖ root) XOR IV): CBC of one block under a fresh
// random IV. Two tokens of one person therefore share nothing that their
// holders could match, and the IV makes every jti unique. It needs no MAC: a
// jti is only read out of a token that was verified.
const jtiBytes = 32

// seal writes the reference as a fresh jti.
func (m *Mint) seal(ref Reference) string {
	var raw [jtiBytes]byte
	copy(raw[:16], secret.Bytes(16))
	binary.BigEndian.PutUint64(raw[16:24], uint64(ref.Grant))
	binary.BigEndian.PutUint64(raw[24:32], uint64(ref.Root))
	for i := range 16 {
		raw[16+i] ^= raw[i]
	}
	m.references.Encrypt(raw[16:], raw[16:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// open reads a jti back.
func (m *Mint) open(jti string) (Reference, bool) {
	var raw [jtiBytes]byte
	if len(jti) != base64.RawURLEncoding.EncodedLen(jtiBytes) {
		return Reference{}, false
	}
	// The decoder passes over line breaks, so fewer bytes may come of as many
	// characters.
	if n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(jti)); err != nil || n != jtiBytes {
		return Reference{}, false
	}
	m.references.Decrypt(raw[16:], raw[16:])
	for i := range 16 {
		raw[16+i] ^= raw[i]
	}
	return Reference{
		Grant: int64(binary.BigEndian.Uint64(raw[16:24])),
		Root:  int64(binary.BigEndian.Uint64(raw[24:32])),
	}, true
}
