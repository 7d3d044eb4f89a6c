package pairwise

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// SecretSize is the length of the secret of a generation.
const SecretSize = 32

var (
	// ErrWrongSecret says that the secrets are not those that the database was made
	// with. Starting with them would give every person a new identifier everywhere.
	ErrWrongSecret = errors.New("the PPID secret does not belong to this database")
	// ErrNoSecret says that this process has no secret for a key generation. Callers
	// answer 503: without it people of that generation would be taken for nobody.
	ErrNoSecret = errors.New("there is no PPID secret for a key generation")
)

// topic is pairwise's name in the change feed.
const topic = "pairwise"

// Config is what Pairwise needs. All fields are required.
type Config struct {
	DB      *db.DB
	Realm   string   // immutable id of the installation
	Secrets [][]byte // one of each generation, the first one first; more wait for NextGeneration
	People  *account.People
	Now     func() time.Time
}

// Pairwise makes subjects and turns them back.
type Pairwise struct {
	Config
	live   atomic.Pointer[generations]
	cache  keyCache
	births births
}

// Open checks the secrets against the database, makes the first generation in a
// new one, and follows what NextGeneration makes in other processes.
func Open(ctx context.Context, c Config) (*Pairwise, error) {
	if c.DB == nil || c.People == nil || c.Now == nil || c.Realm == "" {
		return nil, errors.New("pairwise: DB, People, Realm and Now are needed")
	}
	if err := checkSecrets(c.Secrets); err != nil {
		return nil, err
	}
	p := &Pairwise{Config: c}
	c.DB.Watch(topic, p.load)
	if err := p.makeFirst(ctx); err != nil {
		return nil, err
	}
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	if missing := p.live.Load().missing; missing > 0 {
		known := len(c.Secrets) + missing
		return nil, fmt.Errorf("%w: the database has %d key generations, and there are secrets for %d; give one for each, the oldest first",
			ErrWrongSecret, known, len(c.Secrets))
	}
	return p, nil
}

func checkSecrets(secrets [][]byte) error {
	if len(secrets) == 0 {
		return errors.New("pairwise: there is no PPID secret")
	}
	for i, one := range secrets {
		if len(one) != SecretSize {
			return fmt.Errorf("pairwise: the PPID secret of generation %d has %d bytes, it needs %d", i+1, len(one), SecretSize)
		}
		for j := range i {
			if secret.Equal(one, secrets[j]) {
				return fmt.Errorf("pairwise: the PPID secret of generation %d is that of generation %d; a new generation needs a new secret", i+1, j+1)
			}
		}
	}
	return nil
}
