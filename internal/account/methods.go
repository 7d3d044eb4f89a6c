package account

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/oauth"
)

// Methods are the ways in which a person can prove who they are.
type Methods struct {
	Password      bool
	Passkeys      []Passkey  // the oldest first
	TOTP          bool       // an authenticator app (RFC 6238)
	RecoveryCodes int        // that are left
	Identities    []Identity // at providers of others, the oldest first
}

// Second reports whether there is more than a password: a passkey, or an app.
func (m Methods) Second() bool { return m.TOTP || len(m.Usable()) > 0 }

// Usable are the passkeys that are taken.
func (m Methods) Usable() []Passkey {
	var keys []Passkey
	for _, k := range m.Passkeys {
		if !k.Suspect {
			keys = append(keys, k)
		}
	}
	return keys
}

// Methods finds the ways in which a person can prove who they are.
func (p *People) Methods(ctx context.Context, tx *db.Tx, accountID string) (m Methods, err error) {
	phc, err := storedPassword(ctx, tx, accountID)
	if err != nil {
		return m, err
	}
	m.Password = phc != ""
	if m.Passkeys, err = p.Passkeys(ctx, tx, accountID); err != nil {
		return m, err
	}
	if m.Identities, err = identities(ctx, tx, accountID); err != nil {
		return m, err
	}
	_, _, m.TOTP, err = loadTOTP(ctx, tx, accountID)
	if err != nil {
		return m, err
	}
	err = tx.Row(ctx, "SELECT COUNT(*) FROM recovery_code WHERE account_id = $1 AND used_at IS NULL", accountID).Scan(&m.RecoveryCodes)
	return m, err
}

// Kinds of credentials, as others are told of them (CAEP 1.0 §3.3.1).
const (
	credentialPassword = "password"
	credentialApp      = "app"
	credentialCodes    = "pin"        // the nearest there is for recovery codes
	credentialIdentity = "federation" // at a provider of somebody else; CAEP has no word for it
)

// RemovePassword leaves a person with passkeys alone, of which there must be one.
func (p *People) RemovePassword(ctx context.Context, accountID string, from Origin) error {
	return p.changeMethods(ctx, accountID, from, "delete", func(tx *db.Tx, _ *Account) (string, error) {
		m, err := p.Methods(ctx, tx, accountID)
		if err != nil {
			return "", err
		}
		if len(m.Usable()) == 0 {
			return "", ErrLastMethod
		}
		return credentialPassword, deletePassword(ctx, tx, accountID)
	})
}

// changeMethods changes how a person may prove who they are, tells those who may hear
// of it (CAEP 1.0 §3.3), and writes it down, in one transaction.
// fn makes the change and says of what kind of credential it was.
func (p *People) changeMethods(ctx context.Context, accountID string, from Origin, change string, fn func(*db.Tx, *Account) (credential string, err error)) error {
	return p.DB.Update(ctx, func(tx *db.Tx) error {
		who, err := p.ByID(ctx, tx, accountID)
		if err != nil {
			return err
		}
		credential, err := fn(tx, who)
		if err != nil {
			return err
		}
		err = p.tell(ctx, tx, oauth.EventCredentialChange, who.Ref, from, map[string]any{
			"credential_type": credential, "change_type": change,
			"reason_admin": map[string]string{"en": "way of signing in changed"},
		})
		if err != nil {
			return err
		}
		return p.recordMethod(ctx, tx, audit.CredentialChanged, who, from, map[string]any{"credential": credential, "change": change})
	})
}

func (p *People) recordMethod(ctx context.Context, tx *db.Tx, event audit.Event, who *Account, from Origin, detail map[string]any) error {
	r := audit.Record{At: p.Now(), Event: event, Outcome: audit.OK, Client: from.Client, Request: from.Request, Account: who.ID, Detail: detail}
	if from.Source.IsValid() {
		r.Source = from.Source.String()
	}
	if from.By != "" {
		detail["by"] = from.By
	}
	return audit.Append(ctx, tx, r)
}
