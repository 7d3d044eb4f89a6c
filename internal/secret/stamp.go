package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// A stamp is a random number, the time it was made, and a MAC over both and a context. It
// proves that we made it, for what and when, and needs no row.
const (
	stampTime = 8
	// StampNonce is the length of the random number that begins a stamp.
	StampNonce = 16
	// StampSize is the length of a stamp.
	StampSize = StampNonce + stampTime + sha256.Size
)

// NewStamp makes a stamp for a context. The time is in a unit of the caller's, after 1970.
func NewStamp(key []byte, context string, at int64) []byte {
	b := make([]byte, 0, StampSize)
	b = append(b, Bytes(StampNonce)...)
	b = binary.BigEndian.AppendUint64(b, uint64(at)) //nolint:gosec // not negative
	return append(b, stampMAC(key, context, b)...)
}

// OpenStamp tells when a stamp was made; false if we did not make it for the context.
func OpenStamp(key []byte, context string, stamp []byte) (at int64, ok bool) {
	if len(stamp) != StampSize {
		return 0, false
	}
	named, mac := stamp[:StampNonce+stampTime], stamp[StampNonce+stampTime:]
	if !Equal(mac, stampMAC(key, context, named)) {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(named[StampNonce:])), true //nolint:gosec // written by NewStamp
}

func stampMAC(key []byte, context string, named []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(context))
	mac.Write(named)
	return mac.Sum(nil)
}
