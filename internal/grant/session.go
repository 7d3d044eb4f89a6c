package grant

import (
	"context"
	"errors"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	cookiePrefix = "sek_ss_"

	// touchEvery is how exactly a session knows when it was last seen. It
	// spares a write on every page.
	touchEvery = time.Minute
)

// StartSession begins a session of a person who has just signed in. The cookie
// value is given once and stored as a hash only.
func (g *Grants) StartSession(ctx context.Context, tx *db.Tx, accountID string, how SignIn) (*Session, string, error) {
	who, err := g.person(ctx, tx, accountID, how.AuthTime)
	if err != nil {
		return nil, "", err
	}
	s := &Session{AccountID: who.ID, Ref: who.Ref}
	copy(s.ID[:], secret.Bytes(len(s.ID)))
	cookie := g.signIn(s, how)
	if err := insertSession(ctx, tx, s, secret.Hash(cookie)); err != nil {
		return nil, "", err
	}
	return s, cookie, g.record(ctx, tx, audit.Record{Event: audit.SessionStarted, Account: s.AccountID})
}

// RenewSession is a new sign-in of the same person in the same browser: the
// session and what hangs under it stay, the cookie value and both limits are
// new, and the old value is worth nothing.
func (g *Grants) RenewSession(ctx context.Context, tx *db.Tx, s *Session, how SignIn) (*Session, string, error) {
	who, err := g.person(ctx, tx, s.AccountID, how.AuthTime)
	if err != nil {
		return nil, "", err
	}
	renewed := &Session{ID: s.ID, AccountID: who.ID, Ref: who.Ref}
	cookie := g.signIn(renewed, how)
	switch found, err := updateSession(ctx, tx, renewed, secret.Hash(cookie)); {
	case err != nil:
		return nil, "", err
	case !found:
		return nil, "", ErrNoSession
	}
	return renewed, cookie, g.record(ctx, tx, audit.Record{
		Event: audit.SessionStarted, Account: renewed.AccountID, Reason: "renewed",
	})
}

// signIn writes a sign-in into the session and makes its cookie value.
func (g *Grants) signIn(s *Session, how SignIn) (cookie string) {
	s.AuthTime, s.ACR, s.AMR = how.AuthTime, how.ACR, how.AMR
	s.Agent, s.Source = how.Agent, how.Source
	s.SeenAt = g.now()
	s.ExpiresAt = g.sessionEnd(s, s.SeenAt)
	return secret.Token(cookiePrefix)
}

// sessionEnd is the nearer of the two limits of a session seen at that time.
func (g *Grants) sessionEnd(s *Session, seen time.Time) time.Time {
	return earlier(seen.Add(g.life.SessionIdle), s.AuthTime.Add(g.life.SessionAbsolute))
}

// LoadSession finds the session of a cookie value. ErrNoSession stands for
// unknown, ended, run out, and for a person who is disabled, deleted or has
// another password since. It reads only; TouchSession notes the visit.
func (g *Grants) LoadSession(ctx context.Context, tx *db.Tx, cookie string) (*Session, error) {
	s, err := sessionByCookie(ctx, tx, secret.Hash(cookie))
	if err != nil {
		return nil, err
	}
	if !g.now().Before(s.ExpiresAt) {
		return nil, ErrNoSession
	}
	who, err := g.person(ctx, tx, s.AccountID, s.AuthTime)
	if errors.Is(err, ErrAccount) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, err
	}
	s.Ref = who.Ref
	return s, nil
}

// ListSessions are the sessions of a person that have not run out, the one seen last
// first.
func (g *Grants) ListSessions(ctx context.Context, tx *db.Tx, accountID string) ([]Session, error) {
	return sessionsOfAccount(ctx, tx, accountID, g.now())
}

// TouchSession moves the idle limit of a session that was just used. It writes
// at most once a minute.
func (g *Grants) TouchSession(ctx context.Context, s *Session) error {
	if g.now().Sub(s.SeenAt) < touchEvery {
		return nil
	}
	return g.db.Update(ctx, func(tx *db.Tx) error {
		return g.touch(ctx, tx, s)
	})
}

// touch moves the idle limit, and says ErrNoSession when the session was ended
// or ran out meanwhile. It locks the session's row, so that what is made under the session
// in the same transaction is seen by whoever ends it.
func (g *Grants) touch(ctx context.Context, tx *db.Tx, s *Session) error {
	now := g.now()
	switch found, err := touchSession(ctx, tx, s.ID, now, g.sessionEnd(s, now)); {
	case err != nil:
		return err
	case !found:
		return ErrNoSession
	}
	return nil
}

// EndSession ends a session and its grants, except those with offline_access.
// It may have run out, or be ended already: then its grants are ended all the
// same.
func (g *Grants) EndSession(ctx context.Context, tx *db.Tx, id [16]byte) error {
	accountID, found, err := deleteSession(ctx, tx, id)
	if err != nil {
		return err
	}
	if found {
		if err := g.tellSessions(ctx, tx, accountID, [][16]byte{id}, outbox.ByUser, reasonSignedOut); err != nil {
			return err
		}
		err := g.record(ctx, tx, audit.Record{Event: audit.SessionEnded, Account: accountID})
		if err != nil {
			return err
		}
	}
	return g.end(ctx, tx, ofSession, reasonSessionEnded, id[:])
}

// person loads an account that may have sessions and grants made at since:
// ErrAccount if it is not active or its password was changed after that.
func (g *Grants) person(ctx context.Context, tx *db.Tx, accountID string, since time.Time) (*account.Account, error) {
	who, err := g.people.ByID(ctx, tx, accountID)
	switch {
	case errors.Is(err, account.ErrUnknown):
		return nil, ErrAccount
	case err != nil:
		return nil, err
	case !who.Active(), db.Millis(since) < db.Millis(who.PasswordChangedAt):
		return nil, ErrAccount
	}
	return who, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
