package account

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// A challenge is a stamp for what it is for. To show a page writes nothing; what is
// written is that one was answered.
const challengeLife = 5 * time.Minute

// challenge is one that was answered.
type challenge struct {
	id      []byte
	expires time.Time
}

// newChallenge makes a challenge for a purpose: the page and the browser that show it.
func (p *People) newChallenge(purpose string) []byte {
	return secret.NewStamp(p.challengeKey(), purpose+"\x00", p.Now().Unix())
}

// checkChallenge reports whether an answer's challenge was made for the purpose, not
// long ago. Whether it was answered before is for takeChallenge.
func (p *People) checkChallenge(text, purpose string) (challenge, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return challenge{}, false
	}
	made, ok := secret.OpenStamp(p.challengeKey(), purpose+"\x00", b)
	if !ok {
		return challenge{}, false
	}
	expires := time.Unix(made, 0).Add(challengeLife)
	return challenge{b[:secret.StampNonce], expires}, p.Now().Before(expires)
}

func (p *People) challengeKey() []byte {
	return secret.Derive(p.FactorKey, "passkey challenge", secret.KeySize)
}

// takeChallenge takes a challenge: true for exactly one of all who answer it.
func takeChallenge(ctx context.Context, tx *db.Tx, c challenge) (first bool, err error) {
	n, err := tx.Exec(ctx, "INSERT INTO used_challenge (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
		c.id, db.Millis(c.expires))
	return n == 1, err
}
