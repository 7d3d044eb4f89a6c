package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	linkPrefix  = "sek_ln_"
	recoverLife = 15 * time.Minute
	verifyLife  = 24 * time.Hour
)

// ErrLink is the answer to a link that is not good, or not any more: used, run out,
// replaced by a newer one, or of nobody.
var ErrLink = errors.New("account: the link is not good any more")

// Mailing is how a letter to a person is to be written.
type Mailing struct {
	Post     *mail.Post
	Language string
	Group    string
	Link     func(token string) string // the address of the page that the link opens
}

// SendVerification writes a letter by which a person shows that the address of the
// account is theirs. It counts against the address, so that nobody is flooded.
func (p *People) SendVerification(ctx context.Context, accountID string, m Mailing, from Origin) error {
	return p.sendLink(ctx, m, mail.Verify, verifyLife, from, func(tx *db.Tx) (*Account, string, error) {
		who, err := p.ByID(ctx, tx, accountID)
		if err != nil || !who.Active() || who.EmailVerified {
			return nil, accountID, err
		}
		return who, who.Email, nil
	})
}

// SendRecovery writes a letter by which a person chooses another password, if the
// address has an account. Whether it has shows neither in the answer nor in its time:
// a *ThrottledError comes for any address alike.
func (p *People) SendRecovery(ctx context.Context, email string, m Mailing, from Origin) error {
	return p.sendLink(ctx, m, mail.Recover, recoverLife, from, func(tx *db.Tx) (*Account, string, error) {
		who, err := p.ByEmail(ctx, tx, email)
		if errors.Is(err, ErrUnknown) || err == nil && !who.Active() {
			return nil, email, nil
		}
		return who, email, err
	})
}

// sendLink makes the link that find says it is for, and the letter with it.
func (p *People) sendLink(ctx context.Context, m Mailing, kind mail.Kind, life time.Duration, from Origin,
	find func(*db.Tx) (who *Account, address string, err error),
) error {
	token := secret.Token(linkPrefix)
	var refused *ThrottledError
	err := p.DB.Update(ctx, func(tx *db.Tx) error {
		who, address, err := find(tx)
		if err != nil {
			return err
		}
		value, _ := normaliseEmail(address)
		name := p.nameCounter(value)
		if refused, err = (counter{countMail, string(kind) + " " + name.subject}).take(ctx, tx, p.Now()); err != nil || refused != nil || who == nil {
			return err
		}
		to := who.Email
		if kind == mail.Move {
			to = address
		}
		if err := putLink(ctx, tx, secret.Hash(token), kind, who.ID, to, p.now().Add(life)); err != nil {
			return err
		}
		err = m.Post.Append(ctx, tx, mail.Letter{
			To: to, Kind: kind, Language: m.Language, Group: m.Group, Link: m.Link(token), Minutes: int(life / time.Minute),
		})
		if err != nil {
			return err
		}
		return p.recordMethod(ctx, tx, audit.LetterWritten, who, from, map[string]any{"kind": string(kind)})
	})
	if err != nil {
		return fmt.Errorf("account: send a link: %w", err)
	}
	if refused != nil {
		return refused
	}
	return nil
}

// VerifyEmail takes the link of a verification, and says whose address it has shown to be
// theirs. ErrLink if it is not good, or the address has changed since.
func (p *People) VerifyEmail(ctx context.Context, token string, from Origin) (who *Account, err error) {
	err = p.DB.Update(ctx, func(tx *db.Tx) error {
		link, owner, err := p.useLink(ctx, tx, token, mail.Verify)
		if err != nil {
			return err
		}
		who = owner
		verified, err := verifyIdentifier(ctx, tx, link.accountID, link.email, p.now())
		if err != nil {
			return err
		}
		if !verified {
			return ErrLink
		}
		err = p.tell(ctx, tx, oauth.EventTokenClaimsChange, who.Ref, from, map[string]any{"claims": []string{"email_verified"}})
		if err != nil {
			return err
		}
		return p.record(ctx, tx, audit.AccountChanged, from, who, "")
	})
	return who, err
}

// SendMove writes a letter to an address that a person wants to have in place of theirs.
// ErrEmailInvalid says that it is none. Whether it has an account shows nowhere: one that
// has gets no letter.
func (p *People) SendMove(ctx context.Context, accountID, email string, m Mailing, from Origin) error {
	if _, ok := normaliseEmail(email); !ok || len(spelling(email)) > maxIdentifier {
		return ErrEmailInvalid
	}
	return p.sendLink(ctx, m, mail.Move, recoverLife, from, func(tx *db.Tx) (*Account, string, error) {
		switch _, err := p.ByEmail(ctx, tx, email); {
		case err == nil:
			return nil, email, nil
		case !errors.Is(err, ErrUnknown):
			return nil, email, err
		}
		who, err := p.ByID(ctx, tx, accountID)
		return who, spelling(email), err
	})
}

// MoveEmail takes the link of such a letter: its address takes the place of the one there
// was, which is told. Links that were sent there before are worth nothing. ErrLink if it
// is not good, or somebody else has the address by now.
func (p *People) MoveEmail(ctx context.Context, token string, m Mailing, from Origin) (who *Account, err error) {
	err = p.DB.Update(ctx, func(tx *db.Tx) error {
		link, before, err := p.useLink(ctx, tx, token, mail.Move)
		if err != nil {
			return err
		}
		moved, err := moveIdentifier(ctx, tx, link.accountID, link.email, p.now())
		if err != nil {
			return err
		}
		if !moved {
			return ErrLink
		}
		if _, err := tx.Exec(ctx, "DELETE FROM account_link WHERE account_id = $1", link.accountID); err != nil {
			return err
		}
		if err := m.Post.Append(ctx, tx, mail.Letter{To: before.Email, Kind: mail.Moved, Language: m.Language, Group: m.Group}); err != nil {
			return err
		}
		if who, err = p.ByID(ctx, tx, link.accountID); err != nil {
			return err
		}
		err = p.tell(ctx, tx, oauth.EventTokenClaimsChange, who.Ref, from, map[string]any{"claims": []string{"email", "email_verified"}})
		if err != nil {
			return err
		}
		return p.record(ctx, tx, audit.AccountChanged, from, who, "")
	})
	return who, err
}

// moveIdentifier puts an address in the place of an account's; false if somebody has it.
func moveIdentifier(ctx context.Context, tx *db.Tx, accountID, email string, now time.Time) (bool, error) {
	value, _ := normaliseEmail(email)
	n, err := tx.Exec(ctx, `UPDATE account_identifier SET value = $1, spelling = $2, verified_at = $3
		WHERE kind = $4 AND account_id = $5 AND NOT EXISTS (SELECT 1 FROM account_identifier WHERE kind = $4 AND value = $1)`,
		value, email, db.Millis(now), kindEmail, accountID)
	return n == 1, err
}

// CheckRecovery says whether the link of a recovery is good, and takes nothing.
func (p *People) CheckRecovery(ctx context.Context, token string) error {
	return p.DB.Read(ctx, func(tx *db.Tx) error {
		_, err := readLink(ctx, tx, secret.Hash(token), mail.Recover, p.Now())
		return err
	})
}

// Recover gives a person the password they chose, by the link of a recovery, which is
// worth nothing after that. also ends what the old password has made. It proves no more
// than the password does: who has a second way of proof is asked for it at the next
// sign-in.
func (p *People) Recover(ctx context.Context, token, password string, m Mailing, from Origin, also func(ctx context.Context, tx *db.Tx, accountID string) error) error {
	var who *Account
	err := p.DB.Read(ctx, func(tx *db.Tx) error {
		link, err := readLink(ctx, tx, secret.Hash(token), mail.Recover, p.Now())
		if err != nil {
			return err
		}
		who, err = p.ByID(ctx, tx, link.accountID)
		if errors.Is(err, ErrUnknown) {
			return ErrLink
		}
		return err
	})
	if err != nil {
		return err
	}
	phc, err := p.hashChosen(ctx, who, password)
	if err != nil {
		return err
	}
	return p.DB.Update(ctx, func(tx *db.Tx) error {
		link, who, err := p.useLink(ctx, tx, token, mail.Recover)
		if err != nil {
			return err
		}
		if err := putPassword(ctx, tx, who.ID, phc, p.now()); err != nil {
			return err
		}
		// Who has read the letter has the address.
		if _, err := verifyIdentifier(ctx, tx, who.ID, link.email, p.now()); err != nil {
			return err
		}
		if err := accountCounter(who.ID).clear(ctx, tx); err != nil {
			return err
		}
		if err := m.Post.Append(ctx, tx, mail.Letter{To: who.Email, Kind: mail.Changed, Language: m.Language, Group: m.Group}); err != nil {
			return err
		}
		return p.passwordChanged(ctx, tx, who, from, func(ctx context.Context, tx *db.Tx) error { return also(ctx, tx, who.ID) })
	})
}

// useLink takes a link, with the person it was written to. ErrLink if they are gone, or
// disabled; a database that fails is not the link's fault.
func (p *People) useLink(ctx context.Context, tx *db.Tx, token string, kind mail.Kind) (link linkRow, who *Account, err error) {
	link, err = takeLink(ctx, tx, secret.Hash(token), kind, p.Now())
	if err != nil {
		return link, nil, err
	}
	who, err = p.ByID(ctx, tx, link.accountID)
	if errors.Is(err, ErrUnknown) || err == nil && !who.Active() {
		err = ErrLink
	}
	return link, who, err
}

// linkRow is a row of account_link.
type linkRow struct {
	accountID string
	email     string
}

// putLink keeps a link; one of the kind that the person had before is worth nothing.
func putLink(ctx context.Context, tx *db.Tx, hash []byte, kind mail.Kind, accountID, email string, expires time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO account_link (hash, kind, account_id, email, expires_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id, kind) DO UPDATE SET hash = excluded.hash, email = excluded.email, expires_at = excluded.expires_at`,
		hash, string(kind), accountID, email, db.Millis(expires))
	return err
}

func readLink(ctx context.Context, tx *db.Tx, hash []byte, kind mail.Kind, now time.Time) (linkRow, error) {
	return scanLink(tx.Row(ctx, "SELECT account_id, email FROM account_link WHERE hash = $1 AND kind = $2 AND expires_at > $3",
		hash, string(kind), db.Millis(now)))
}

// takeLink takes a link: exactly one of all who open it gets it.
func takeLink(ctx context.Context, tx *db.Tx, hash []byte, kind mail.Kind, now time.Time) (linkRow, error) {
	return scanLink(tx.Row(ctx, "DELETE FROM account_link WHERE hash = $1 AND kind = $2 AND expires_at > $3 RETURNING account_id, email",
		hash, string(kind), db.Millis(now)))
}

func scanLink(row *sql.Row) (l linkRow, err error) {
	err = row.Scan(&l.accountID, &l.email)
	if errors.Is(err, db.ErrNotFound) {
		return l, ErrLink
	}
	return l, err
}

// verifyIdentifier notes that an address is the person's; false if it is not theirs any
// more.
func verifyIdentifier(ctx context.Context, tx *db.Tx, accountID, email string, now time.Time) (bool, error) {
	value, _ := normaliseEmail(email)
	n, err := tx.Exec(ctx, "UPDATE account_identifier SET verified_at = $1 WHERE kind = $2 AND value = $3 AND account_id = $4",
		db.Millis(now), kindEmail, value, accountID)
	return n == 1, err
}
