package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/oauth"
)

// PasswordChange is a person who wants another password.
type PasswordChange struct {
	AccountID string
	Old       string
	New       string
	Device    string // known-device token, if the browser has one
	Origin

	// Also runs in the same transaction, to end the sessions and grants that the
	// old password has made. It may run twice.
	Also func(ctx context.Context, tx *db.Tx) error
}

// ChangePassword replaces a password by one that may be chosen, if the old one
// is right. Attempts count like those at sign-in. From then on the account's
// PasswordChangedAt is later than everything made before.
func (p *People) ChangePassword(ctx context.Context, c PasswordChange) error {
	old, err := preparePassword(c.Old)
	if err != nil {
		return err
	}
	find := func(tx *db.Tx) (*Account, error) { return p.ByID(ctx, tx, c.AccountID) }
	attempt := Attempt{Device: c.Device, Origin: c.Origin}
	who, err := p.admit(ctx, attempt, p.nameCounter(c.AccountID), find)
	if err != nil {
		return err
	}
	_, err = p.evaluate(ctx, who, old)
	if err != nil && !errors.Is(err, ErrCredentials) {
		return err
	}
	account, err := p.settle(ctx, attempt, who, "", err)
	if err != nil {
		return err
	}
	if err := p.checkReplacement(ctx, c, account); err != nil {
		return err
	}
	phc, err := p.hash(ctx, c.New)
	if err != nil {
		return err
	}
	err = p.DB.Update(ctx, func(tx *db.Tx) error {
		ok, err := replacePassword(ctx, tx, account.ID, who.phc, phc, p.now())
		if err != nil {
			return err
		}
		if !ok {
			return ErrCredentials // changed by another request meanwhile
		}
		return p.passwordChanged(ctx, tx, account, c.Origin, c.Also)
	})
	if err != nil {
		return fmt.Errorf("account: change the password: %w", err)
	}
	return nil
}

func (p *People) checkReplacement(ctx context.Context, c PasswordChange, a *Account) error {
	if err := p.CheckNewPassword(ctx, c.New, personalWords(a.Email, &a.Profile)...); err != nil {
		return err
	}
	old, _ := preparePassword(c.Old)
	if chosen, _ := preparePassword(c.New); chosen == old {
		return &PasswordError{Fault: PasswordUnchanged}
	}
	return nil
}

// newPassword is the hash of a password that its person, who is not asked for an old
// one, may choose.
func (p *People) newPassword(ctx context.Context, c PasswordChange) (who *Account, phc string, err error) {
	err = p.DB.Read(ctx, func(tx *db.Tx) error {
		who, err = p.ByID(ctx, tx, c.AccountID)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	phc, err = p.hashChosen(ctx, who, c.New)
	return who, phc, err
}

// hashChosen is the hash of a password that the person may choose.
func (p *People) hashChosen(ctx context.Context, who *Account, password string) (phc string, err error) {
	if err := p.CheckNewPassword(ctx, password, personalWords(who.Email, &who.Profile)...); err != nil {
		return "", err
	}
	return p.hash(ctx, password)
}

// AddPassword gives a password to a person who has none. ErrCredentials says that there
// is one, which only ChangePassword replaces.
func (p *People) AddPassword(ctx context.Context, c PasswordChange) error {
	_, phc, err := p.newPassword(ctx, c)
	if err != nil {
		return err
	}
	return p.changeMethods(ctx, c.AccountID, c.Origin, "create", func(tx *db.Tx, _ *Account) (string, error) {
		added, err := insertPassword(ctx, tx, c.AccountID, phc, p.now())
		if err == nil && !added {
			err = ErrCredentials
		}
		return credentialPassword, err
	})
}

// ResetPassword gives a person a password without asking for the old one, and
// lets attempts begin anew. It is for operators, who have made sure of the
// person in another way.
func (p *People) ResetPassword(ctx context.Context, c PasswordChange) error {
	account, phc, err := p.newPassword(ctx, c)
	if err != nil {
		return err
	}
	err = p.DB.Update(ctx, func(tx *db.Tx) error {
		if _, err := p.ByID(ctx, tx, account.ID); err != nil {
			return err
		}
		if err := putPassword(ctx, tx, account.ID, phc, p.now()); err != nil {
			return err
		}
		if err := accountCounter(account.ID).clear(ctx, tx); err != nil {
			return err
		}
		from := c.Origin
		if from.By == "" {
			from.By = "operator"
		}
		return p.passwordChanged(ctx, tx, account, from, c.Also)
	})
	if err != nil {
		return fmt.Errorf("account: reset the password: %w", err)
	}
	return nil
}

func (p *People) passwordChanged(ctx context.Context, tx *db.Tx, a *Account, from Origin, also func(context.Context, *db.Tx) error) error {
	if also != nil {
		if err := also(ctx, tx); err != nil {
			return err
		}
	}
	tx.Changed(topic)
	if _, err := tx.Exec(ctx, "DELETE FROM account_link WHERE account_id = $1 AND kind = $2", a.ID, string(mail.Recover)); err != nil {
		return err
	}
	err := p.tell(ctx, tx, oauth.EventCredentialChange, a.Ref, from, map[string]any{
		"credential_type": "password", "change_type": "update", // CAEP 1.0 §3.3
		"reason_admin": map[string]string{"en": "password changed"}, // CAEP Interoperability Profile 1.0 §3.2
	})
	if err != nil {
		return err
	}
	return p.record(ctx, tx, audit.PasswordChanged, from, a, "")
}

// ChangeProfile replaces what a person tells about themselves.
func (p *People) ChangeProfile(ctx context.Context, tx *db.Tx, id string, profile Profile, from Origin) error {
	if err := profile.Validate(); err != nil {
		return err
	}
	before, err := p.ByID(ctx, tx, id)
	if err != nil {
		return err
	}
	ok, err := setProfile(ctx, tx, id, &profile, p.now())
	if err != nil {
		return err
	}
	if !ok {
		return ErrUnknown
	}
	if err := p.tellProfile(ctx, tx, before, profile, from); err != nil {
		return err
	}
	return p.record(ctx, tx, audit.AccountChanged, from, &Account{ID: id}, "")
}

// Disable keeps a person from everything until Enable. The caller ends sessions
// and grants in the same transaction. Disabling twice is no error.
func (p *People) Disable(ctx context.Context, tx *db.Tx, id string, from Origin) error {
	who, changed, err := setState(ctx, tx, id, Active, Disabled, p.now())
	if err != nil || !changed {
		return p.unchanged(ctx, tx, id, err)
	}
	if err := addGone(ctx, tx, who.Handle); err != nil {
		return err
	}
	if err := p.tell(ctx, tx, oauth.EventAccountDisabled, who, from, nil); err != nil {
		return err
	}
	return p.record(ctx, tx, audit.AccountDisabled, from, &Account{ID: id}, "")
}

// Enable is the way back from Disable. What was ended stays ended.
func (p *People) Enable(ctx context.Context, tx *db.Tx, id string, from Origin) error {
	who, changed, err := setState(ctx, tx, id, Disabled, Active, p.now())
	if err != nil || !changed {
		return p.unchanged(ctx, tx, id, err)
	}
	if err := removeGone(ctx, tx, who.Handle); err != nil {
		return err
	}
	if err := p.tell(ctx, tx, oauth.EventAccountEnabled, who, from, nil); err != nil {
		return err
	}
	return p.record(ctx, tx, audit.AccountEnabled, from, &Account{ID: id}, "")
}

// Delete removes a person: handle, identifiers, password, profile. The caller
// ends sessions and grants in the same transaction. Subjects that were given out
// name nobody from then on, and a person who comes back gets others.
func (p *People) Delete(ctx context.Context, tx *db.Tx, id string, from Origin) error {
	who, ok, err := deleteAccount(ctx, tx, id)
	if err != nil {
		return err
	}
	if !ok {
		return ErrUnknown
	}
	if err := addGone(ctx, tx, who.Handle); err != nil {
		return err
	}
	if err := accountCounter(id).clear(ctx, tx); err != nil {
		return err
	}
	if err := p.tell(ctx, tx, oauth.EventAccountPurged, who, from, nil); err != nil {
		return err
	}
	return p.record(ctx, tx, audit.AccountDeleted, from, &Account{ID: id}, "")
}

// unchanged tells an account that is in the wanted state already from none.
func (p *People) unchanged(ctx context.Context, tx *db.Tx, id string, err error) error {
	if err != nil {
		return err
	}
	_, err = p.ByID(ctx, tx, id)
	return err
}
