package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// NewAccount is a person who has none yet.
type NewAccount struct {
	Email         string
	EmailVerified bool // only when something other than the person's word proves it
	Password      string
	Identity      *Identity // at a provider of somebody else, in place of a password
	Profile       Profile
	Origin
}

// SignUp makes an account. It gives ErrEmailInvalid, ErrEmailTaken, ErrTooLarge,
// *PasswordError or *ProfileError for what the person can mend, and ErrIdentityKnown if
// the identity has an account. Whether an
// address is taken can be asked only as often as a network may fail: then
// *ThrottledError.
func (p *People) SignUp(ctx context.Context, n NewAccount) (*Account, error) {
	email, ok := normaliseEmail(n.Email)
	if !ok || len(spelling(n.Email)) > maxIdentifier {
		return nil, ErrEmailInvalid
	}
	if err := n.Profile.Validate(); err != nil {
		return nil, err
	}
	if n.Identity == nil {
		if err := p.CheckNewPassword(ctx, n.Password, personalWords(n.Email, &n.Profile)...); err != nil {
			return nil, err
		}
	}
	if err := p.admitSignUp(ctx, n); err != nil {
		return nil, err
	}
	phc := ""
	if n.Identity == nil {
		var err error
		if phc, err = p.hash(ctx, n.Password); err != nil {
			return nil, err
		}
	}
	var a *Account
	err := p.DB.Update(ctx, func(tx *db.Tx) error {
		a = p.newAccount(n)
		if err := insertAccount(ctx, tx, a, email, phc); err != nil {
			return err
		}
		if n.Identity != nil {
			if err := insertIdentity(ctx, tx, a.ID, n.Identity, a.CreatedAt); err != nil {
				return err
			}
		}
		if n.Source.IsValid() {
			if err := sourceCounter(n.Source).giveBack(ctx, tx); err != nil {
				return err
			}
		}
		return p.record(ctx, tx, audit.AccountCreated, n.Origin, a, "")
	})
	if err != nil {
		return nil, fmt.Errorf("account: sign up: %w", err)
	}
	return a, nil
}

// admitSignUp counts the attempt as a failure of its network until it has
// succeeded, and looks whether the address is free before anything is hashed. An
// operator's command has no network.
func (p *People) admitSignUp(ctx context.Context, n NewAccount) error {
	var refused *ThrottledError
	var taken bool
	err := p.DB.Update(ctx, func(tx *db.Tx) (err error) {
		refused, taken = nil, false
		if n.Source.IsValid() {
			refused, err = sourceCounter(n.Source).takeSource(ctx, tx, p.Now())
			if err != nil {
				return err
			}
			if refused != nil {
				return p.record(ctx, tx, audit.SignInThrottled, n.Origin, nil, "too many failed attempts to sign up")
			}
		}
		_, err = p.ByEmail(ctx, tx, n.Email)
		if errors.Is(err, ErrUnknown) {
			return nil
		}
		taken = err == nil
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("account: sign up: %w", err)
	case refused != nil:
		return refused
	case taken:
		return ErrEmailTaken
	}
	return nil
}

func (p *People) newAccount(n NewAccount) *Account {
	now := p.now()
	a := &Account{
		ID: secret.ID(), Ref: Ref{Gen: p.Generation()}, State: Active,
		Email: spelling(n.Email), EmailVerified: n.EmailVerified, Profile: n.Profile,
		CreatedAt: now, UpdatedAt: now, PasswordChangedAt: now,
	}
	if n.Identity != nil {
		a.PasswordChangedAt = time.Time{}
	}
	copy(a.Ref.Handle[:], secret.Bytes(len(a.Ref.Handle)))
	return a
}

// hash makes the stored form of a password.
func (p *People) hash(ctx context.Context, password string) (string, error) {
	prepared, err := preparePassword(password)
	if err != nil {
		return "", err
	}
	return p.Hasher.Hash(ctx, prepared)
}

// personalWords are the words of a person that make a poor password.
func personalWords(email string, profile *Profile) []string {
	return []string{email, profile.Name, profile.GivenName, profile.FamilyName, profile.Nickname, profile.PreferredUsername}
}
