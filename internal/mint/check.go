package mint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// User is a living access token in user context.
type User struct {
	Claims  *oauth.AccessTokenClaims
	Client  *registry.Client
	Who     account.Ref
	Session *[16]byte // the session behind its sid; nil when it has none
	Grant   int64
	Root    int64
	Opaque  bool
}

// Service is a living access token in service context.
type Service struct {
	Claims *oauth.AccessTokenClaims
	Client *registry.Client
	Root   int64
	Opaque bool
}

// Checked is a living access token of either context: exactly one of the two
// is set.
type Checked struct {
	User    *User
	Service *Service
}

// Claims are the claims of the token, whichever context it has.
func (c Checked) Claims() *oauth.AccessTokenClaims {
	if c.User != nil {
		return c.User.Claims
	}
	return c.Service.Claims
}

// Root is the first token of the chain that the token belongs to.
func (c Checked) Root() int64 {
	if c.User != nil {
		return c.User.Root
	}
	return c.Service.Root
}

// Check reads an access token of ours, JWT or opaque, and tells what it says
// if it is alive. Whether it is meant for the asker is for the asker to check.
// It is one signature verification or one unsealing, and no database.
func (m *Mint) Check(ctx context.Context, token string) (Checked, error) {
	claims, opaque, err := m.readAccess(token)
	if err != nil {
		return Checked{}, err
	}
	client, err := m.checkCommon(claims)
	if err != nil {
		return Checked{}, err
	}
	ref, ok := m.open(claims.ID)
	if !ok {
		return Checked{}, fmt.Errorf("%w: jti is not of this server", ErrInvalid)
	}
	if m.Grants.Revoked(grant.GrantKey(ref.Grant), grant.RootKey(ref.Root), grant.TokenKey(claims.ID)) {
		return Checked{}, fmt.Errorf("%w: revoked", ErrInvalid)
	}
	if claims.ServiceContext() {
		return Checked{Service: &Service{Claims: claims, Client: client, Root: ref.Root, Opaque: opaque}}, nil
	}
	user := &User{Claims: claims, Client: client, Grant: ref.Grant, Root: ref.Root, Opaque: opaque}
	sector := client.Subsystem.Sector
	user.Who, err = m.who(ctx, sector, claims.Subject)
	if err != nil {
		return Checked{}, err
	}
	user.Session = m.session(sector, claims.SessionID, claims.IssuedAt)
	return Checked{User: user}, nil
}

// readAccess opens either form of access token into its claims.
func (m *Mint) readAccess(token string) (claims *oauth.AccessTokenClaims, opaque bool, err error) {
	var payload []byte
	if opaque = strings.HasPrefix(token, opaquePrefix); opaque {
		var ok bool
		if payload, ok = m.openOpaque(token); !ok {
			return nil, true, fmt.Errorf("%w: not sealed here", ErrInvalid)
		}
	} else if payload, err = m.Keys.Verify(keyring.Access, token); err != nil {
		if !errors.Is(err, jose.ErrSignature) {
			m.decoy.verify()
		}
		return nil, false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	claims = new(oauth.AccessTokenClaims)
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, opaque, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return claims, opaque, nil
}

// checkCommon checks what holds in both contexts, and finds the client.
func (m *Mint) checkCommon(claims *oauth.AccessTokenClaims) (*registry.Client, error) {
	if claims.Issuer != m.Issuer {
		return nil, fmt.Errorf("%w: another issuer", ErrInvalid)
	}
	now := m.Now()
	if now.Unix() >= claims.ExpiresAt {
		return nil, fmt.Errorf("%w: expired", ErrInvalid)
	}
	if claims.IssuedAt > now.Add(clockAhead).Unix() {
		return nil, fmt.Errorf("%w: not valid yet", ErrInvalid)
	}
	client, ok := m.Registry.Current().Client(claims.ClientID)
	if !ok {
		return nil, fmt.Errorf("%w: its client is not declared any more", ErrInvalid)
	}
	return client, nil
}

// who finds the person that a subject names in a sector.
func (m *Mint) who(ctx context.Context, sector registry.Sector, sub string) (account.Ref, error) {
	who, err := m.Pairwise.ResolveOne(ctx, sector, sub)
	if err != nil {
		return account.Ref{}, err
	}
	if who == (account.Ref{}) {
		return account.Ref{}, fmt.Errorf("%w: its person is gone", ErrInvalid)
	}
	return who, nil
}

// session reads the sid of a token back into the session it stands for.
func (m *Mint) session(sector registry.Sector, sid string, issuedAt int64) *[16]byte {
	if sid == "" {
		return nil
	}
	id, ok := m.Pairwise.OpenSessionID(sector, sid, time.Unix(issuedAt, 0))
	if !ok {
		return nil
	}
	return &id
}
