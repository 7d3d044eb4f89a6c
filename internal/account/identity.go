package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
)

// maxIdentities is how many identities at other providers an account may have.
const maxIdentities = 8

// Identity is a person as an OpenID provider of somebody else knows them. Issuer and
// Subject name them; the address never does (OIDC Core §5.7).
type Identity struct {
	Issuer        string
	Subject       string
	Email         string // as the provider has it; may be empty
	EmailVerified bool   // a provider that is trusted in this says so
	Name          string

	LinkedAt time.Time // of one that is connected
	UsedAt   time.Time
}

var (
	// ErrIdentityKnown says that somebody's account is connected with the identity already.
	ErrIdentityKnown = errors.New("account: the identity is connected with an account already")
	// ErrIdentityUnproven says that a provider does not vouch for the address of an identity.
	ErrIdentityUnproven = errors.New("account: the provider does not vouch for the e-mail address")
	// ErrIdentitiesFull says that there are as many identities as there may be.
	ErrIdentitiesFull = errors.New("account: there are as many identities as an account may have")
)

// CheckIdentity says who has signed in at another provider. It gives ErrUnknown if no
// account is connected with the identity, and ErrCredentials if that one may not sign in.
func (p *People) CheckIdentity(ctx context.Context, id *Identity, from Origin) (who *Account, err error) {
	var refused error
	err = p.DB.Update(ctx, func(tx *db.Tx) (err error) {
		refused = nil
		accountID, err := useIdentity(ctx, tx, id, p.now())
		if errors.Is(err, db.ErrNotFound) {
			refused = ErrUnknown
			return nil
		}
		if err != nil {
			return err
		}
		if who, err = p.ByID(ctx, tx, accountID); err != nil {
			return err
		}
		if !who.Active() {
			refused = ErrCredentials
			return p.record(ctx, tx, audit.SignInFailed, from, who, "the account is disabled")
		}
		return p.record(ctx, tx, audit.SignInSucceeded, from, who, "")
	})
	if err != nil {
		return nil, fmt.Errorf("account: check an identity: %w", err)
	}
	if refused != nil {
		return nil, refused
	}
	return who, nil
}

// LinkIdentity connects an identity with the account of a person who has just proved that
// it is theirs. The provider must vouch for its address: ErrIdentityUnproven. If somebody
// has the identity, the person too, it gives ErrIdentityKnown.
func (p *People) LinkIdentity(ctx context.Context, accountID string, id *Identity, from Origin) error {
	if !id.EmailVerified {
		return ErrIdentityUnproven
	}
	return p.changeMethods(ctx, accountID, from, "create", func(tx *db.Tx, who *Account) (string, error) {
		held, err := identities(ctx, tx, who.ID)
		if err != nil {
			return "", err
		}
		if len(held) >= maxIdentities {
			return "", ErrIdentitiesFull
		}
		return credentialIdentity, insertIdentity(ctx, tx, who.ID, id, p.now())
	})
}

// UnlinkIdentity disconnects an identity of the person, unless it is the only way left to
// sign in. ErrUnknown says that they have none such.
func (p *People) UnlinkIdentity(ctx context.Context, accountID, issuer, subject string, from Origin) error {
	return p.changeMethods(ctx, accountID, from, "delete", func(tx *db.Tx, _ *Account) (string, error) {
		m, err := p.Methods(ctx, tx, accountID)
		if err != nil {
			return "", err
		}
		if !m.Password && len(m.Usable()) == 0 && len(m.Identities) <= 1 {
			return "", ErrLastMethod
		}
		n, err := tx.Exec(ctx, "DELETE FROM account_identity WHERE issuer = $1 AND subject = $2 AND account_id = $3", issuer, subject, accountID)
		if err == nil && n == 0 {
			err = ErrUnknown
		}
		return credentialIdentity, err
	})
}

// SameEmail reports whether an address is that of the account, in any spelling.
func (a *Account) SameEmail(email string) bool {
	mine, ok := normaliseEmail(a.Email)
	other, valid := normaliseEmail(email)
	return ok && valid && mine == other
}

// identities lists the identities of an account, the oldest first.
func identities(ctx context.Context, tx *db.Tx, accountID string) ([]Identity, error) {
	rows, err := tx.Rows(ctx, `SELECT issuer, subject, email, created_at, used_at FROM account_identity
		WHERE account_id = $1 ORDER BY created_at, issuer, subject`, accountID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var held []Identity
	for rows.Next() {
		var id Identity
		var linked, used int64
		if err := rows.Scan(&id.Issuer, &id.Subject, &id.Email, &linked, &used); err != nil {
			return nil, err
		}
		id.LinkedAt, id.UsedAt = db.Time(linked), db.Time(used)
		held = append(held, id)
	}
	return held, rows.Err()
}

// useIdentity finds whose an identity is, and notes that it was used.
func useIdentity(ctx context.Context, tx *db.Tx, id *Identity, now time.Time) (accountID string, err error) {
	err = tx.Row(ctx, "UPDATE account_identity SET used_at = $1 WHERE issuer = $2 AND subject = $3 RETURNING account_id",
		db.Millis(now), id.Issuer, id.Subject).Scan(&accountID)
	return accountID, err
}

// insertIdentity connects an identity with an account, once.
func insertIdentity(ctx context.Context, tx *db.Tx, accountID string, id *Identity, now time.Time) error {
	n, err := tx.Exec(ctx, `INSERT INTO account_identity (issuer, subject, account_id, email, created_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (issuer, subject) DO NOTHING`,
		id.Issuer, id.Subject, accountID, id.Email, db.Millis(now))
	if err == nil && n == 0 {
		return ErrIdentityKnown
	}
	return err
}
