package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	mathrand "math/rand/v2"
)

// Bytes gives n random bytes.
func Bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the runtime ends the process instead
	return b
}

// Token gives an unguessable token of 256 random bits. The prefix tells
// people and secret scanners what was found where it does not belong.
func Token(prefix string) string {
	return prefix + base64.RawURLEncoding.EncodeToString(Bytes(32))
}

// Hash is what is stored of a token. A fast hash is enough, since a token has
// 256 random bits.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Equal compares in a time that does not depend on where a and b differ.
func Equal(a, b []byte) bool {
	return subtle.ConstantTimeCompare(a, b) == 1
}

// ID gives 128 random bits in hex, for rows that need a name.
func ID() string {
	return hex.EncodeToString(Bytes(16))
}

// Mark gives 128 bits in hex for what is told apart by it and opens nothing: a
// request, a record. They come from the generator of the runtime (ChaCha8,
// seeded by the system), a fraction of the cost of asking the system each time.
func Mark() string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], mathrand.Uint64()) //nolint:gosec // guessing it gains nothing
	binary.BigEndian.PutUint64(raw[8:], mathrand.Uint64()) //nolint:gosec // as above
	return hex.EncodeToString(raw[:])
}

// Int63 gives a random positive number that fits a BIGINT.
func Int63() int64 {
	for {
		n := int64(binary.BigEndian.Uint64(Bytes(8)) & math.MaxInt64) //nolint:gosec // masked to 63 bits
		if n != 0 {
			return n
		}
	}
}
