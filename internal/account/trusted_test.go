package account_test

import (
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

func (b *bundle) trustedToken(t testing.TB, accountID string) (token string) {
	t.Helper()
	err := b.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		token, err = b.TrustedToken(t.Context(), tx, accountID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (b *bundle) trusts(t testing.TB, accountID, token string) (trusted bool) {
	t.Helper()
	err := b.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		trusted, err = b.Trusted(t.Context(), tx, accountID, token)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

// TestTrustedBrowsers holds that a token is of one person, and ends with the password, with
// the app, by a word of its owner, and after 30 days.
func TestTrustedBrowsers(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *bundle, *account.Account){
		"the password was changed": func(t *testing.T, b *bundle, a *account.Account) {
			err := b.ChangePassword(t.Context(), account.PasswordChange{AccountID: a.ID, Old: password, New: "seven slow clouds over harbour"})
			if err != nil {
				t.Fatal(err)
			}
		},
		"another app": func(t *testing.T, b *bundle, a *account.Account) { b.addApp(t, a) },
		"no app": func(t *testing.T, b *bundle, a *account.Account) {
			if err := b.RemoveTOTP(t.Context(), a.ID, account.Origin{}); err != nil {
				t.Fatal(err)
			}
		},
		"forgotten": func(t *testing.T, b *bundle, a *account.Account) {
			if err := b.ForgetTrusted(t.Context(), a.ID, account.Origin{}); err != nil {
				t.Fatal(err)
			}
		},
		"30 days": func(_ *testing.T, b *bundle, _ *account.Account) { b.clock.Advance(account.TrustedLife) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			a, other := b.signUp(t, email), b.signUp(t, "bob@example.com")
			b.addApp(t, a)
			b.addApp(t, other)
			b.clock.Advance(time.Minute)
			token := b.trustedToken(t, a.ID)
			if !b.trusts(t, a.ID, token) {
				t.Fatal("it is not trusted")
			}
			for what, bad := range map[string]string{"none": "", "no token": "abc", "changed": "A" + token[1:]} {
				if b.trusts(t, a.ID, bad) && bad != token {
					t.Errorf("%s is trusted", what)
				}
			}
			if b.trusts(t, other.ID, token) {
				t.Error("it is trusted with another person")
			}
			end(t, b, a)
			if b.trusts(t, a.ID, token) {
				t.Error("it is trusted still")
			}
		})
	}
}
