package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Config is what People needs. All fields but Generation, SiteWords, PasswordHook and
// those of passkeys and codes are required.
type Config struct {
	DB           *db.DB
	Hasher       *secret.Hasher
	DeviceKey    []byte                       // 32 bytes; signs known-device tokens
	Generation   func() int                   // of pairwise keys that new accounts get; nil: the first one
	FactorKey    []byte                       // 32 bytes: challenges, and what is kept of one-time codes; needed with Site
	Site         func() (origin, name string) // of the pages that passkeys are made for; nil: none are taken
	PasswordHook *PasswordHook                // asks the system that people come from; nil: there is none
	SiteWords    []string                     // words nobody may build a password of: names of the group
	Now          func() time.Time
}

// People is everybody who has an account.
type People struct {
	Config
	gone           goneFilter
	authenticators atomic.Pointer[webauthn.WebAuthn] // of the origin it was made for
}

// topic is where changes of accounts are announced.
const topic = "account"

// Open loads what is kept in memory and keeps it up to date from then on.
func Open(ctx context.Context, c Config) (*People, error) {
	if c.DB == nil || c.Hasher == nil || c.Now == nil || len(c.DeviceKey) != secret.KeySize {
		return nil, errors.New("account: DB, Hasher, Now and a DeviceKey of 32 bytes are needed")
	}
	if c.Generation == nil {
		c.Generation = func() int { return 1 }
	}
	if c.Site != nil && len(c.FactorKey) != secret.KeySize {
		return nil, errors.New("account: with a Site a FactorKey of 32 bytes is needed")
	}
	p := &People{Config: c}
	c.DB.Watch(topic, p.loadGone)
	if err := p.loadGone(ctx); err != nil {
		return nil, fmt.Errorf("account: load disabled and deleted people: %w", err)
	}
	return p, nil
}

// Origin says where a change or an attempt comes from, for the audit log and for
// those who are told of a change.
type Origin struct {
	Source  netip.Addr // the network address; zero for an operator's command
	Client  string     // the client whose sign-in it belongs to, if any
	Request string     // correlation id
	By      string     // who asks, if it is not the person

	// KnownTo are the clients that hold something of the person before the change
	// ends it: who may hear of it. nil has them looked for when it is told.
	KnownTo []string
}

// ByID finds a person by the internal id, or gives ErrUnknown.
func (p *People) ByID(ctx context.Context, tx *db.Tx, id string) (*Account, error) {
	return one(accountRows(ctx, tx, "a.id = $1", id))
}

// ByHandle finds a person by the handle, or gives ErrUnknown.
func (p *People) ByHandle(ctx context.Context, tx *db.Tx, handle Handle) (*Account, error) {
	return one(accountRows(ctx, tx, "a.pid = $1", handle[:]))
}

// ByHandles finds the people whom the handles name, in one query. Handles that
// name nobody are missing in the answer.
func (p *People) ByHandles(ctx context.Context, tx *db.Tx, handles []Handle) (map[Handle]*Account, error) {
	found := make(map[Handle]*Account, len(handles))
	if len(handles) == 0 {
		return found, nil
	}
	list, args := handleList(handles)
	accounts, err := accountRows(ctx, tx, "a.pid IN ("+list+")", args...)
	for _, a := range accounts {
		found[a.Ref.Handle] = a
	}
	return found, err
}

// ByIdentity finds a person by what a provider calls them, or gives ErrUnknown.
func (p *People) ByIdentity(ctx context.Context, tx *db.Tx, issuer, subject string) (*Account, error) {
	return one(accountRows(ctx, tx, "a.id = (SELECT account_id FROM account_identity WHERE issuer = $1 AND subject = $2)", issuer, subject))
}

// ByEmail finds a person by any spelling of the e-mail address, or gives
// ErrUnknown.
func (p *People) ByEmail(ctx context.Context, tx *db.Tx, email string) (*Account, error) {
	value, ok := normaliseEmail(email)
	if !ok {
		return nil, ErrUnknown
	}
	return one(accountRows(ctx, tx, "i.kind = $1 AND i.value = $2", kindEmail, value))
}

// Refs gives the Ref of every active person among the handles, in one query.
func (p *People) Refs(ctx context.Context, tx *db.Tx, handles []Handle) (map[Handle]Ref, error) {
	return activeRefs(ctx, tx, handles)
}

// CountActive counts the people who may do anything.
func (p *People) CountActive(ctx context.Context, tx *db.Tx) (int64, error) {
	return countActive(ctx, tx)
}

func one(accounts []*Account, err error) (*Account, error) {
	switch {
	case err != nil:
		return nil, err
	case len(accounts) == 0:
		return nil, ErrUnknown
	}
	return accounts[0], nil
}
