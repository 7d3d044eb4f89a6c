package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Limits of an initial access token.
const (
	registrationTokenPrefix = "sek_ia_"
	maxRegistrationLife     = 30 * 24 * time.Hour

	registrationsPerPeriod = 5 // as many columns used_1 to used_5 there are
	registrationPeriod     = time.Hour
)

// RegistrationToken is an initial access token (RFC 7591 §1.2): whoever has it
// may register clients of one third party until it expires.
type RegistrationToken struct {
	ID        string    `json:"id"`
	Subsystem string    `json:"subsystem"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// MakeRegistrationToken makes an initial access token and gives its text, which
// is kept nowhere.
func (r *Registry) MakeRegistrationToken(ctx context.Context, subsystem string, life time.Duration, from Origin) (RegistrationToken, string, error) {
	if life <= 0 || life > maxRegistrationLife {
		return RegistrationToken{}, "", fmt.Errorf("registry: an initial access token is valid for a moment at least and %d days at most", int(maxRegistrationLife.Hours())/24)
	}
	now := r.config.Now().Truncate(time.Millisecond)
	token := RegistrationToken{ID: secret.ID(), Subsystem: subsystem, CreatedAt: now, ExpiresAt: now.Add(life)}
	text := secret.Token(registrationTokenPrefix)
	err := r.config.DB.Update(ctx, func(tx *db.Tx) error {
		if err := checkOpens(ctx, tx, subsystem); err != nil {
			return err
		}
		if err := deleteExpiredTokens(ctx, tx, now); err != nil {
			return err
		}
		if err := writeRegistrationToken(ctx, tx, secret.Hash(text), token); err != nil {
			return err
		}
		return r.recordToken(ctx, tx, audit.RegistrationOpened, from, map[string]any{
			"token": token.ID, "subsystem": subsystem, "expires_at": token.ExpiresAt.UTC().Format(time.RFC3339),
		})
	})
	if err != nil {
		return RegistrationToken{}, "", fmt.Errorf("registry: initial access token: %w", err)
	}
	return token, text, nil
}

// checkOpens checks that clients of a subsystem may register, and says why not.
func checkOpens(ctx context.Context, tx *db.Tx, name string) error {
	if err := lockRealm(ctx, tx); err != nil {
		return err
	}
	held, err := newestRevision(ctx, tx)
	if err != nil {
		return err
	}
	group, err := held.group()
	switch {
	case err != nil:
		return err
	case group == nil:
		return fmt.Errorf("there is no group yet, and so no subsystem %s", name)
	case group.Subsystems[name] == nil:
		return fmt.Errorf("there is no subsystem %s; %s", name, didYouMean(name, sortedKeys(group.Subsystems), "subsystems"))
	case !group.opensRegistration(name):
		return fmt.Errorf("%s is %s; only clients of a third_party register themselves, all others are declared in the group file",
			name, group.Subsystems[name].Scenario.described())
	}
	return nil
}

// RegistrationToken finds an initial access token that has not expired.
func (r *Registry) RegistrationToken(ctx context.Context, text string) (token RegistrationToken, err error) {
	err = r.config.DB.Read(ctx, func(tx *db.Tx) error {
		token, _, err = readRegistrationToken(ctx, tx, secret.Hash(text), r.config.Now())
		return err
	})
	return token, err
}

// CloseRegistration withdraws an initial access token. What was registered with
// it stays.
func (r *Registry) CloseRegistration(ctx context.Context, id string, from Origin) error {
	err := r.config.DB.Update(ctx, func(tx *db.Tx) error {
		switch deleted, err := deleteRegistrationToken(ctx, tx, id); {
		case err != nil:
			return err
		case !deleted:
			return ErrNotRegistered
		}
		return r.recordToken(ctx, tx, audit.RegistrationClosed, from, map[string]any{"token": id})
	})
	if err != nil {
		return fmt.Errorf("registry: initial access token %s: %w", id, err)
	}
	return nil
}

func (r *Registry) recordToken(ctx context.Context, tx *db.Tx, event audit.Event, from Origin, detail map[string]any) error {
	if from.By != "" {
		detail["by"] = from.By
	}
	return audit.Append(ctx, tx, audit.Record{
		At: r.config.Now(), Event: event, Outcome: audit.OK, Source: from.Source, Request: from.Request, Detail: detail,
	})
}

// Registrations lists the registered clients and the open tokens.
func (r *Registry) Registrations(ctx context.Context) (clients []Registered, tokens []RegistrationToken, err error) {
	err = r.config.DB.Read(ctx, func(tx *db.Tx) error {
		if clients, err = readAllRegistered(ctx, tx); err != nil {
			return err
		}
		tokens, err = readRegistrationTokens(ctx, tx, r.config.Now())
		return err
	})
	return clients, tokens, err
}
