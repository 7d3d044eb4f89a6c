package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// DeviceTokenLife is how long a browser stays known after a sign-in.
const DeviceTokenLife = 180 * 24 * time.Hour

// A known-device token is a random number, the time it was made, and a MAC over
// both and the account. It names nobody, fits one account only, and needs no
// row: what is stored is the counter of a device that fails.
const (
	deviceNonce = 16
	deviceTime  = 8
	deviceToken = deviceNonce + deviceTime + sha256.Size
)

// DeviceToken makes the token by which a browser is known to a person who has
// just signed in on it.
func (p *People) DeviceToken(accountID string) string {
	b := make([]byte, 0, deviceToken)
	b = append(b, secret.Bytes(deviceNonce)...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Now().Unix())) //nolint:gosec // a time after 1970
	return base64.RawURLEncoding.EncodeToString(append(b, p.deviceMAC(accountID, b)...))
}

// knownDevice finds the counter of a device that is known to the account.
func (p *People) knownDevice(accountID, token string) (c counter, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != deviceToken || accountID == "" {
		return c, false
	}
	named, mac := b[:deviceNonce+deviceTime], b[deviceNonce+deviceTime:]
	if !secret.Equal(mac, p.deviceMAC(accountID, named)) {
		return c, false
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(named[deviceNonce:])), 0) //nolint:gosec // written above
	if p.Now().Sub(made) > DeviceTokenLife {
		return c, false
	}
	return counter{countDevice, accountID + "." + hex.EncodeToString(b[:deviceNonce])}, true
}

func (p *People) deviceMAC(accountID string, named []byte) []byte {
	mac := hmac.New(sha256.New, p.DeviceKey)
	mac.Write([]byte("device\x00" + accountID + "\x00"))
	mac.Write(named)
	return mac.Sum(nil)
}
