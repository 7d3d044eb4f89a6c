package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// TrustedLife is how long a browser needs no code of the app after it was remembered.
const TrustedLife = 30 * 24 * time.Hour

// A trusted-browser token is a stamp for the account, and for when its password and its
// app were last changed: with either it ends. It needs no row; when all of a person's end
// is kept beside the app.

// TrustedToken makes the token by which a browser of a person needs no code of the app,
// who has just given one.
func (p *People) TrustedToken(ctx context.Context, tx *db.Tx, accountID string) (string, error) {
	bound, _, err := p.trustBinding(ctx, tx, accountID)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(secret.NewStamp(p.trustKey(), bound, db.Millis(p.Now()))), nil
}

// Trusted reports whether a browser needs no code of the app. It proves nothing: who signs
// in with it has given the password, and no more.
func (p *People) Trusted(ctx context.Context, tx *db.Tx, accountID, token string) (bool, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return false, nil //nolint:nilerr // a text that is no token is not trusted
	}
	bound, since, err := p.trustBinding(ctx, tx, accountID)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	made, ok := secret.OpenStamp(p.trustKey(), bound, b)
	return ok && made >= since && p.Now().Before(db.Time(made).Add(TrustedLife)), nil
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
func (p *People) trustBinding(ctx context.Context, tx *db.Tx, accountID string) (bound string, since int64, err error) {
	who, err := p.ByID(ctx, tx, accountID)
	if err != nil {
		return "", 0, err
	}
	var app int64
	err = tx.Row(ctx, "SELECT created_at, trust_since FROM totp WHERE account_id = $1", accountID).Scan(&app, &since)
	if errors.Is(err, db.ErrNotFound) {
		return "", 0, ErrUnknown
	}
	return fmt.Sprintf("%s\x00%d\x00%d\x00", accountID, db.Millis(who.PasswordChangedAt), app), since, err
}

func (p *People) trustKey() []byte {
	return secret.Derive(p.FactorKey, "trusted browser", secret.KeySize)
}
