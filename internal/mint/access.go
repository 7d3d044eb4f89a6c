package mint

import (
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

// ServiceToken is an access token that a client gets for itself.
type ServiceToken struct {
	Client   *registry.Client
	Audience oauth.Audience
	Scopes   oauth.Scopes
	Opaque   bool
	Bound    *oauth.Confirmation // to the key of its sender; nil for a bearer token
}

// UserToken is an access token that a client gets for a person.
type UserToken struct {
	Client   *registry.Client
	Who      account.Ref
	Audience oauth.Audience
	Scopes   oauth.Scopes
	Details  rar.Details // nil for none
	Opaque   bool
	SignIn   SignIn
	Grant    int64
	Root     int64               // the chain's first token; zero starts a chain
	Actor    *oauth.Actor        // only after an exchange (RFC 8693 §4.1)
	NotAfter time.Time           // latest exp; zero means the usual life
	Bound    *oauth.Confirmation // as in ServiceToken
}

// SignIn is how and when the person signed in, as tokens tell it.
type SignIn struct {
	Session *[16]byte // nil when no session stands behind the token
	At      time.Time
	Exact   bool // the client asked for the exact auth_time; else whole minutes
	ACR     string
	AMR     []string
}

// Issued is a token that was made.
type Issued struct {
	Token     string
	ID        string // its jti
	Root      int64
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// ExpiresIn is the life of the token in seconds.
func (i Issued) ExpiresIn() int64 { return i.ExpiresAt.Unix() - i.IssuedAt.Unix() }

// ServiceToken makes an access token in service context: its sub is the client
// id, which no pairwise subject can equal.
func (m *Mint) ServiceToken(t ServiceToken) (Issued, error) {
	now := m.Now()
	root := secret.Int63()
	return m.issue(&oauth.AccessTokenClaims{
		Issuer:    m.Issuer,
		Subject:   t.Client.ID,
		Audience:  t.Audience,
		IssuedAt:  now.Unix(),
		ExpiresAt: now.Add(ServiceTokenLife).Unix(),
		ID:        m.seal(Reference{Root: root}),
		ClientID:  t.Client.ID,
		Scope:     t.Scopes,

		Confirmation: t.Bound,
	}, root, t.Opaque)
}

// UserToken makes an access token in user context: its sub is the person's
// pairwise subject in the client's sector.
func (m *Mint) UserToken(t UserToken) (Issued, error) {
	now := m.Now()
	root := t.Root
	if root == 0 {
		root = secret.Int63()
	}
	sector := t.Client.Subsystem.Sector
	claims := &oauth.AccessTokenClaims{
		Issuer:    m.Issuer,
		Subject:   m.Pairwise.Subject(sector, t.Who),
		Audience:  t.Audience,
		IssuedAt:  now.Unix(),
		ExpiresAt: earliest(now.Add(UserTokenLife), t.NotAfter).Unix(),
		ID:        m.seal(Reference{Grant: t.Grant, Root: root}),
		ClientID:  t.Client.ID,
		Scope:     t.Scopes,
		AuthTime:  t.SignIn.authTime(),
		ACR:       t.SignIn.ACR,
		AMR:       t.SignIn.AMR,
		Actor:     t.Actor,

		Confirmation:         t.Bound,
		AuthorizationDetails: t.Details.JSON(),
	}
	if t.SignIn.Session != nil {
		claims.SessionID = m.Pairwise.SessionID(sector, *t.SignIn.Session)
	}
	return m.issue(claims, root, t.Opaque)
}

// issue signs the claims, or seals them where the resource wants its tokens
// opaque.
func (m *Mint) issue(claims *oauth.AccessTokenClaims, root int64, opaque bool) (Issued, error) {
	issued := Issued{
		ID:        claims.ID,
		Root:      root,
		IssuedAt:  time.Unix(claims.IssuedAt, 0),
		ExpiresAt: time.Unix(claims.ExpiresAt, 0),
	}
	payload := appendClaims(make([]byte, 0, claimsSize), claims)
	if opaque {
		issued.Token = m.sealOpaque(payload)
		return issued, nil
	}
	var err error
	issued.Token, err = m.Keys.Sign(keyring.Access, payload)
	return issued, err
}

// authTime is the auth_time claim. Whole minutes, unless the client asked for
// the time itself: the second of a sign-in would let two sectors match a person.
func (s SignIn) authTime() int64 {
	if s.At.IsZero() {
		return 0
	}
	if s.Exact {
		return s.At.Unix()
	}
	return s.At.Truncate(time.Minute).Unix()
}

// earliest is the earlier of two times, where zero means no limit.
func earliest(t, limit time.Time) time.Time {
	if limit.IsZero() || t.Before(limit) {
		return t
	}
	return limit
}
