package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// Nonces makes and knows nonces for proofs (RFC 9449 §8). They say when they were
// made and are sealed by Key, so that none is stored and every replica with the same
// key takes them.
type Nonces struct{ Key []byte }

const (
	nonceStep  = int64(time.Minute / time.Second) // a nonce is the same that long
	nonceSteps = 5                                // and is taken for so many more
	nonceBytes = 8 + 16
)

// At is the nonce to give out at this time.
func (n Nonces) At(now time.Time) string { return n.make(now.Unix() / nonceStep) }

func (n Nonces) make(step int64) string {
	nonce := binary.BigEndian.AppendUint64(make([]byte, 0, nonceBytes), uint64(step))
	mac := hmac.New(sha256.New, n.Key)
	mac.Write(nonce)
	return base64.RawURLEncoding.EncodeToString(append(nonce, mac.Sum(nil)[:nonceBytes-len(nonce)]...))
}

// Fresh reports whether a nonce was given out in the last minutes.
func (n Nonces) Fresh(nonce string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != nonceBytes {
		return false
	}
	step := int64(binary.BigEndian.Uint64(raw))
	age := now.Unix()/nonceStep - step
	// A replica whose clock is ahead may have made it in the step to come.
	return age >= -1 && age <= nonceSteps && hmac.Equal([]byte(nonce), []byte(n.make(step)))
}
