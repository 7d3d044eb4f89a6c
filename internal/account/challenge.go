package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// A challenge is a random number, the time it was made, and a MAC over both and what
// it is for. To show a page writes nothing; what is written is that one was answered.
const (
	challengeNonce = 16
	challengeTime  = 8
	challengeSize  = challengeNonce + challengeTime + sha256.Size
	challengeLife  = 5 * time.Minute
)

// challenge is one that was answered.
type challenge struct {
	id      []byte
	expires time.Time
}

// newChallenge makes a challenge for a purpose: the page and the browser that show it.
func (p *People) newChallenge(purpose string) []byte {
	b := make([]byte, 0, challengeSize)
	b = append(b, secret.Bytes(challengeNonce)...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Now().Unix())) //nolint:gosec // a time after 1970
	return append(b, p.challengeMAC(purpose, b)...)
}

// checkChallenge reports whether an answer's challenge was made for the purpose, not
// long ago. Whether it was answered before is for takeChallenge.
func (p *People) checkChallenge(text, purpose string) (challenge, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != challengeSize {
		return challenge{}, false
	}
	named, mac := b[:challengeNonce+challengeTime], b[challengeNonce+challengeTime:]
	if !secret.Equal(mac, p.challengeMAC(purpose, named)) {
		return challenge{}, false
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(named[challengeNonce:])), 0).Add(challengeLife) //nolint:gosec // written above
	return challenge{b[:challengeNonce], expires}, p.Now().Before(expires)
}

func (p *People) challengeMAC(purpose string, named []byte) []byte {
	mac := hmac.New(sha256.New, secret.Derive(p.FactorKey, "passkey challenge", secret.KeySize))
	mac.Write([]byte(purpose + "\x00"))
	mac.Write(named)
	return mac.Sum(nil)
}

// takeChallenge takes a challenge: true for exactly one of all who answer it.
func takeChallenge(ctx context.Context, tx *db.Tx, c challenge) (first bool, err error) {
	n, err := tx.Exec(ctx, "INSERT INTO used_challenge (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
		c.id, db.Millis(c.expires))
	return n == 1, err
}
