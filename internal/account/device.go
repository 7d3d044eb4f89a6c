package account

import (
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// DeviceTokenLife is how long a browser stays known after a sign-in.
const DeviceTokenLife = 180 * 24 * time.Hour

// A known-device token is a stamp for the account. It names nobody, fits one account
// only, and needs no row: what is stored is the counter of a device that fails.

// DeviceToken makes the token by which a browser is known to a person who has
// just signed in on it.
func (p *People) DeviceToken(accountID string) string {
	return base64.RawURLEncoding.EncodeToString(secret.NewStamp(p.DeviceKey, deviceContext(accountID), p.Now().Unix()))
}

// knownDevice finds the counter of a device that is known to the account.
func (p *People) knownDevice(accountID, token string) (c counter, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || accountID == "" {
		return c, false
	}
	made, ok := secret.OpenStamp(p.DeviceKey, deviceContext(accountID), b)
	if !ok || p.Now().Sub(time.Unix(made, 0)) > DeviceTokenLife {
		return c, false
	}
	return counter{countDevice, accountID + "." + hex.EncodeToString(b[:secret.StampNonce])}, true
}

func deviceContext(accountID string) string { return "device\x00" + accountID + "\x00" }
