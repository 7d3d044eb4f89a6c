package pairwise

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// SecretSize is the length of the secret of a generation.
const SecretSize = 32

// ErrWrongSecret says that the secrets are not those that the database was made
// with. Starting with them would give every person a new identifier everywhere.
var ErrWrongSecret = errors.New("the PPID secret does not belong to this database")

// Config is what Pairwise needs. All fields are required.
type Config struct {
	DB      *db.DB
	Realm   string   // immutable id of the installation
	Secrets [][]byte // one of each generation, the first one first
	People  *account.People
	Now     func() time.Time
}

// Pairwise makes subjects and turns them back.
type Pairwise struct {
	Config
	generations []generation // generation g is generations[g-1]
	cache       keyCache
}

// Open checks the secrets against the database. A generation that the database
// does not know yet is made, if it is the next one.
func Open(ctx context.Context, c Config) (*Pairwise, error) {
	if c.DB == nil || c.People == nil || c.Now == nil || c.Realm == "" {
		return nil, errors.New("pairwise: DB, People, Realm and Now are needed")
	}
	if err := checkSecrets(c.Secrets); err != nil {
		return nil, err
	}
	p := &Pairwise{Config: c}
	err := c.DB.Update(ctx, func(tx *db.Tx) error {
		generations, err := openGenerations(ctx, tx, c.Secrets, c.Now())
		p.generations = generations
		return err
	})
	if err != nil {
		return nil, err
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

// openGenerations holds the secrets against the check values.
func openGenerations(ctx context.Context, tx *db.Tx, secrets [][]byte, now time.Time) ([]generation, error) {
	known, err := loadGenerations(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(known) > len(secrets) {
		return nil, fmt.Errorf("%w: the database has %d key generations, and there are secrets for %d; give one for each, the oldest first",
			ErrWrongSecret, len(known), len(secrets))
	}
	generations := make([]generation, len(secrets))
	for i, one := range secrets {
		if i < len(known) {
			generations[i], err = checkGeneration(known[i], one)
		} else {
			generations[i], err = makeGeneration(ctx, tx, i+1, one, now)
		}
		if err != nil {
			return nil, err
		}
	}
	return generations, nil
}

func checkGeneration(row generationRow, one []byte) (generation, error) {
	g, err := newGeneration(one, row.salt)
	if err != nil {
		return g, err
	}
	if !secret.Equal(g.checkValue(), row.checkValue) {
		return g, fmt.Errorf("%w: generation %d was made with another secret; starting with this one would silently give every person new identifiers at every relying party, so put the right secret back",
			ErrWrongSecret, row.gen)
	}
	return g, nil
}

func makeGeneration(ctx context.Context, tx *db.Tx, gen int, one []byte, now time.Time) (generation, error) {
	salt := secret.Bytes(SecretSize)
	g, err := newGeneration(one, salt)
	if err != nil {
		return g, err
	}
	return g, insertGeneration(ctx, tx, generationRow{gen: gen, salt: salt, checkValue: g.checkValue()}, now)
}
