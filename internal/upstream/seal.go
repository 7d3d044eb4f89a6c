package upstream

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// sealed is an identity that waits on a page for a person to confirm it.
type sealed struct {
	Identity account.Identity
	Expires  time.Time
}

// Seal puts an identity into a form, for the purpose alone and for ten minutes.
func (u *Upstream) Seal(id *account.Identity, purpose string) (string, error) {
	text, err := json.Marshal(sealed{*id, u.Now().Add(stateLife)})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(u.box().Seal(text, []byte(purpose))), nil
}

// Unseal reads the identity of a form, or gives ErrRefused.
func (u *Upstream) Unseal(text, purpose string) (*account.Identity, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, ErrRefused
	}
	plain, err := u.box().Open(b, []byte(purpose))
	if err != nil {
		return nil, ErrRefused
	}
	var s sealed
	if err := json.Unmarshal(plain, &s); err != nil || !u.Now().Before(s.Expires) {
		return nil, ErrRefused
	}
	return &s.Identity, nil
}

func (u *Upstream) box() *secret.Box {
	box, err := secret.NewBox(secret.Derive(u.Key, "upstream identity", secret.KeySize))
	if err != nil {
		panic(err) // the key has the right length
	}
	return box
}
