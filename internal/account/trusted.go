package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// TrustedLife is how long a browser needs no code of the app after it was remembered.
const TrustedLife = 30 * 24 * time.Hour

// A trusted-browser token is a random number, the time it was made, and a MAC over both,
// the account, and when its password and its app were last changed: with either it ends.
// It needs no row; when all of a person's end is kept beside the app.
const (
	trustedNonce = 16
	trustedTime  = 8
	trustedToken = trustedNonce + trustedTime + sha256.Size
)

// TrustedToken makes the token by which a browser of a person needs no code of the app,
// who has just given one.
func (p *People) TrustedToken(ctx context.Context, tx *db.Tx, accountID string) (string, error) {
	bound, _, err := p.trustBinding(ctx, tx, accountID)
	if err != nil {
		return "", err
	}
	b := make([]byte, 0, trustedToken)
	b = append(b, secret.Bytes(trustedNonce)...)
	b = binary.BigEndian.AppendUint64(b, uint64(db.Millis(p.Now()))) //nolint:gosec // a time after 1970
	return base64.RawURLEncoding.EncodeToString(append(b, p.trustedMAC(bound, b)...)), nil
}

// Trusted reports whether a browser needs no code of the app. It proves nothing: who signs
// in with it has given the password, and no more.
func (p *People) Trusted(ctx context.Context, tx *db.Tx, accountID, token string) (bool, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != trustedToken {
		return false, nil //nolint:nilerr // a text that is no token is not trusted
	}
	bound, since, err := p.trustBinding(ctx, tx, accountID)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	named, mac := b[:trustedNonce+trustedTime], b[trustedNonce+trustedTime:]
	if !secret.Equal(mac, p.trustedMAC(bound, named)) {
		return false, nil
	}
	made := int64(binary.BigEndian.Uint64(named[trustedNonce:])) //nolint:gosec // written above
	return made >= since && p.Now().Before(db.Time(made).Add(TrustedLife)), nil
}

// ForgetTrusted has every browser of a person asked for a code again. ErrUnknown says that
// there is no app.
func (p *People) ForgetTrusted(ctx context.Context, accountID string, from Origin) error {
	return p.changeMethods(ctx, accountID, from, "update", func(tx *db.Tx, _ *Account) (string, error) {
		n, err := tx.Exec(ctx, "UPDATE totp SET trust_since = $1 WHERE account_id = $2", db.Millis(p.Now())+1, accountID)
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return credentialApp, err
	})
}

// trustBinding is what a token is bound to, and since when tokens count. ErrUnknown says
// that there is no app, or no such person.
func (p *People) trustBinding(ctx context.Context, tx *db.Tx, accountID string) (bound []byte, since int64, err error) {
	who, err := p.ByID(ctx, tx, accountID)
	if err != nil {
		return nil, 0, err
	}
	var app int64
	err = tx.Row(ctx, "SELECT created_at, trust_since FROM totp WHERE account_id = $1", accountID).Scan(&app, &since)
	if errors.Is(err, db.ErrNotFound) {
		return nil, 0, ErrUnknown
	}
	var password int64
	if !who.PasswordChangedAt.IsZero() {
		password = db.Millis(who.PasswordChangedAt)
	}
	bound = append([]byte(accountID), 0)
	bound = binary.BigEndian.AppendUint64(bound, uint64(password))       //nolint:gosec // as above
	return binary.BigEndian.AppendUint64(bound, uint64(app)), since, err //nolint:gosec // as above
}

func (p *People) trustedMAC(bound, named []byte) []byte {
	mac := hmac.New(sha256.New, secret.Derive(p.FactorKey, "trusted browser", secret.KeySize))
	mac.Write(bound)
	mac.Write(named)
	return mac.Sum(nil)
}
