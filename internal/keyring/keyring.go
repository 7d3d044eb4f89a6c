package keyring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/secret"
)

var (
	// ErrForeign says that no key of the purpose, with its header, made a token.
	ErrForeign = errors.New("keyring: not a token of a key of this purpose")
	// ErrKEK says that the key-encryption key is not the one of this database.
	ErrKEK = errors.New("keyring: the key-encryption key does not open the keys in this database; " +
		"start with the key-encryption key that was used when the database was made, or since it was last resealed")
)

// topic is the keyring's name in the change feed.
const topic = "keyring"

// Lifetimes says when keys change. Zero values mean the defaults.
type Lifetimes struct {
	Rotation      time.Duration // how long a key signs: 90 days
	PublishBefore time.Duration // how long it is published before: 24 hours
	LongestToken  time.Duration // how long a token may live: 1 hour
	KeepAfter     time.Duration // how long a key is kept after its last token: 24 hours
}

func (l Lifetimes) withDefaults() Lifetimes {
	if l.Rotation == 0 {
		l.Rotation = 90 * 24 * time.Hour
	}
	if l.PublishBefore == 0 {
		l.PublishBefore = 24 * time.Hour
	}
	if l.LongestToken == 0 {
		l.LongestToken = time.Hour
	}
	if l.KeepAfter == 0 {
		l.KeepAfter = 24 * time.Hour
	}
	return l
}

// Config is what a keyring needs.
type Config struct {
	DB        *db.DB
	KEKs      []secret.KEK // one of them is in use; the last one is the one that Reseal changes to
	Now       func() time.Time
	Lifetimes Lifetimes
}

// Keyring holds the open keys.
type Keyring struct {
	db        *db.DB
	keks      []secret.KEK
	sealing   atomic.Int32 // the place among keks of the one in use
	following sync.Mutex
	followed  []byte // the sealed root key that sealing was found by
	now       func() time.Time
	lifetimes Lifetimes
	root      []byte // the data key that Secret derives from
	state     atomic.Pointer[state]
	loading   sync.Mutex // so that the newest state is stored last
}

// state is what is in use at one moment. It is replaced as a whole.
type state struct {
	signers   map[Purpose]*jose.Signer
	verifiers map[Purpose]map[string]*jose.Verifier // by header segment
	keys      []signingKey
	jwks      []byte
	etag      string
}

// Open reads the keys, and makes them in a new database.
func Open(ctx context.Context, c Config) (*Keyring, error) {
	if len(c.KEKs) == 0 {
		return nil, errors.New("keyring: there is no key-encryption key")
	}
	k := &Keyring{db: c.DB, keks: c.KEKs, now: c.Now, lifetimes: c.Lifetimes.withDefaults()}
	k.state.Store(&state{})
	k.db.Watch(topic, k.load)
	var err error
	if k.root, err = k.openRoot(ctx); err != nil {
		return nil, err
	}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	if err := k.makeMissing(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Sign gives the token with these claims.
func (k *Keyring) Sign(p Purpose, claims []byte) (string, error) {
	signer := k.state.Load().signers[p]
	if signer == nil {
		return "", fmt.Errorf("keyring: there is no current key for %s", p)
	}
	return signer.Sign(claims)
}

// Verify gives the claims of a token that a key of this purpose signed.
func (k *Keyring) Verify(p Purpose, compact string) (claims []byte, err error) {
	verifier := k.state.Load().verifiers[p][jose.HeaderSegment(compact)]
	if verifier == nil {
		return nil, ErrForeign
	}
	return verifier.Verify(compact)
}

// JWKS gives the published key set (RFC 7517 §5) and its entity tag. The body
// is shared and must not be changed.
func (k *Keyring) JWKS() (body []byte, etag string) {
	s := k.state.Load()
	return s.jwks, s.etag
}

// Secret gives 32 bytes for one use, named by it, that stay the same as long
// as the database lives. Whoever has the database alone cannot know them.
func (k *Keyring) Secret(name string) []byte {
	return secret.Derive(k.root, "sekisho data key "+name, secret.KeySize)
}
