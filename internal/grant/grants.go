package grant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/rar"
)

// Lifetimes of what this room keeps. A zero field has its default.
type Lifetimes struct {
	Code            time.Duration // 60 s
	SessionIdle     time.Duration // 1 h
	SessionAbsolute time.Duration // 24 h, from the sign-in
	RefreshIdle     time.Duration // 14 days, from the latest use
	RefreshAbsolute time.Duration // 90 days, from the first token of the family
	RefreshGrace    time.Duration // 30 s, in which a lost answer of a rotation is repeated
	AccessToken     time.Duration // 10 min; the longest that any access token lives
}

// withDefaults gives every field that says nothing its usual value.
func (l Lifetimes) withDefaults() Lifetimes {
	const day = 24 * time.Hour
	return Lifetimes{
		Code:            cmp.Or(l.Code, 60*time.Second),
		SessionIdle:     cmp.Or(l.SessionIdle, time.Hour),
		SessionAbsolute: cmp.Or(l.SessionAbsolute, day),
		RefreshIdle:     cmp.Or(l.RefreshIdle, 14*day),
		RefreshAbsolute: cmp.Or(l.RefreshAbsolute, 90*day),
		RefreshGrace:    cmp.Or(l.RefreshGrace, 30*time.Second),
		AccessToken:     cmp.Or(l.AccessToken, 10*time.Minute),
	}
}

// Config is what Grants needs. All fields but Lifetimes are required.
type Config struct {
	DB        *db.DB
	People    *account.People
	Now       func() time.Time
	Lifetimes Lifetimes
}

// Grants are the sessions, consents and grants of all people.
type Grants struct {
	db     *db.DB
	people *account.People
	now    func() time.Time
	life   Lifetimes
	ended  *endedSet

	restored epoch
}

// Open loads what is kept in memory and keeps it up to date from then on.
func Open(ctx context.Context, c Config) (*Grants, error) {
	if c.DB == nil || c.People == nil || c.Now == nil {
		return nil, errors.New("grant: DB, People and Now are needed")
	}
	g := &Grants{
		db:     c.DB,
		people: c.People,
		now:    c.Now,
		life:   c.Lifetimes.withDefaults(),
		ended:  &endedSet{until: map[Key]int64{}},
	}
	load := func(ctx context.Context) error {
		return errors.Join(g.ended.load(ctx, g.db), g.restored.load(ctx, g.db))
	}
	g.db.Watch(topic, load)
	if err := load(ctx); err != nil {
		return nil, fmt.Errorf("grant: load what was revoked: %w", err)
	}
	return g, nil
}

// Refusal is a reason why a code, refresh token or session is not accepted. It
// is the caller's fault or nobody's, never the server's: the token endpoint
// answers invalid_grant (RFC 6749 §5.2) for each of them. Its text may be shown.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// The refusals.
const (
	ErrUnknown     Refusal = "it is not known here, or no longer"
	ErrWrongClient Refusal = "it was issued to another client"
	ErrRedirectURI Refusal = "redirect_uri is not the one of the authorization request"
	ErrVerifier    Refusal = "code_verifier does not match the code_challenge of the authorization request"
	ErrKey         Refusal = "it is bound to a key, and the request proves possession of none or of another"
	ErrSpent       Refusal = "the code was used before, so what it gave has been revoked"
	ErrReused      Refusal = "the refresh token was replaced before, so its whole family has been revoked"
	ErrExpired     Refusal = "it has expired"
	ErrEnded       Refusal = "what it stands for was revoked"
	ErrAccount     Refusal = "the account was disabled or deleted, or its password was changed"
	ErrRestored    Refusal = "it was issued before the server's database was restored from a backup"
	ErrNoSession   Refusal = "there is no such session, or no longer"
)

// Scopes are scopes per audience of a resource.
type Scopes map[string][]string

// Grant is what a client got from a person.
type Grant struct {
	ID            int64
	AccountID     string
	Ref           account.Ref
	ClientID      string
	SessionID     *[16]byte // the session it was given in, which may be over
	Offline       bool      // lives on when the session is ended
	Scopes        Scopes
	Details       rar.Details // what it may do with a scope (RFC 9396); nil for none
	AuthTime      time.Time
	ExactAuthTime bool // the client asked for auth_time itself
	ACR           string
	AMR           []string
	Nonce         string
	Claims        string // the claims parameter as it was sent
	CreatedAt     time.Time
	ExpiresAt     time.Time // nothing under it is alive after that

	ended bool
}

// Session is a browser's sign-in.
type Session struct {
	ID        [16]byte
	AccountID string
	Ref       account.Ref
	ACR       string
	AMR       []string
	AuthTime  time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
	Agent     string // what the browser says it is; empty if nothing
	Source    string // the address it signed in from; empty if it is not known
}

// SignIn is how a person proved who they are. AuthTime is taken after the proof:
// one from before the account's last change of password counts for nothing.
type SignIn struct {
	AuthTime time.Time
	ACR      string
	AMR      []string
	Agent    string // as in Session
	Source   string
}

// Consent is what a person allowed a client, until withdrawn.
type Consent struct {
	AccountID string
	ClientID  string
	Scopes    Scopes
	GrantedAt time.Time // the latest change
}

// Authorization is a person's answer to an authorization request that has
// passed every check.
type Authorization struct {
	Session       *Session
	ClientID      string
	Scopes        Scopes
	Details       rar.Details
	Offline       bool // offline_access is among the scopes
	RedirectURI   string
	Challenge     string // PKCE S256; empty only for clients that may do without
	Key           string // thumbprint of the key that the code is bound to (RFC 9449 §10); empty for none
	Nonce         string
	Claims        string
	ExactAuthTime bool
}

// Redemption is a token request with a code. Check, if set, sees the grant
// after every other check and before the code is used; its error is returned
// as it is and leaves the code unused. It may run twice.
type Redemption struct {
	Code        string
	ClientID    string
	RedirectURI string
	Verifier    string
	Key         string // thumbprint of the key that the sender has proved to hold; empty for none
	Refresh     bool   // make the first refresh token
	Check       func(*Grant) error
}

// RefreshRequest is a token request with a refresh token. Check is as in
// Redemption.
type RefreshRequest struct {
	Token    string
	ClientID string
	Key      string // as in Redemption
	Rotate   bool   // public clients; confidential ones keep their token
	Check    func(*Grant) error
}

// Revocation names what ends: exactly one of a grant, a chain of access tokens
// by its root, or one access token by its jti.
type Revocation struct {
	Grant    int64
	Root     int64
	Token    string
	ClientID string // who asked for it; empty when the server decided
	Reason   string
}

// ByID finds a grant that was not ended: else ErrUnknown or ErrEnded. It reads
// nothing of the person, so the Ref has no generation.
func (g *Grants) ByID(ctx context.Context, tx *db.Tx, id int64) (*Grant, error) {
	granted, err := loadGrant(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if granted.ended {
		return nil, ErrEnded
	}
	return granted, nil
}
