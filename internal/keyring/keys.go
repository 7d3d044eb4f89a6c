package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const (
	rsaBits  = 2048
	rootName = "root"
)

// Key is what may be shown of a signing key.
type Key struct {
	ID          string
	Purpose     Purpose
	Alg         jose.Alg
	State       State
	CreatedAt   time.Time
	CurrentFrom time.Time // planned while next
	RetiredAt   time.Time // zero until then
	RemoveAfter time.Time // zero until retired
}

// State is where in its life a key is.
type State string

// The states of a key.
const (
	Next    State = "next"
	Current State = "current"
	Retired State = "retired"
)

// signingKey is a key as its row has it, and open once it is loaded.
type signingKey struct {
	Key
	sealed  []byte
	private crypto.Signer
	jwk     jose.JWK
}

// generate makes a key; its name is its thumbprint (RFC 7638).
func (k *Keyring) generate(ctx context.Context, p Purpose, state State, currentFrom time.Time) (signingKey, error) {
	alg := p.alg()
	made := signingKey{Key: Key{Purpose: p, Alg: alg, State: state, CreatedAt: k.now(), CurrentFrom: currentFrom}}
	var err error
	if alg == jose.RS256 {
		made.private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	} else {
		made.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return signingKey{}, fmt.Errorf("keyring: make a key for %s: %w", p, err)
	}
	jwk, err := jose.PublicJWK(made.private.Public(), "", alg)
	if err != nil {
		return signingKey{}, err
	}
	if made.ID, err = jwk.Thumbprint(); err != nil {
		return signingKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(made.private)
	if err != nil {
		return signingKey{}, fmt.Errorf("keyring: write the key for %s: %w", p, err)
	}
	made.sealed, err = k.wrap(ctx, der, sealContext(p, made.ID))
	return made, err
}

// sealContext binds a sealed key to its row, so that a row's key cannot be
// put in another row's place.
func sealContext(p Purpose, kid string) []byte {
	return []byte("signing_key/" + string(p) + "/" + kid)
}

// unseal opens the private key of a row.
func (k *Keyring) unseal(ctx context.Context, key *signingKey) error {
	der, err := k.unwrap(ctx, key.sealed, sealContext(key.Purpose, key.ID))
	if err != nil {
		return fmt.Errorf("key %s: %w", key.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return fmt.Errorf("keyring: key %s: %w", key.ID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return fmt.Errorf("keyring: key %s cannot sign", key.ID)
	}
	key.private = private
	key.jwk, err = jose.PublicJWK(private.Public(), key.ID, key.Alg)
	return err
}

// makeMissing gives each purpose that has none its first key: all of them in a
// new database, later those of a purpose that is new. The keys are made at the
// same time, since RSA ones take long.
func (k *Keyring) makeMissing(ctx context.Context) error {
	var missing []Purpose
	for _, p := range keyPurposes() {
		if k.state.Load().signers[p] == nil {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	made, err := k.generateAll(ctx, missing, Current, k.now())
	if err != nil {
		return err
	}
	if err := k.add(ctx, made); err != nil {
		return err
	}
	return k.load(ctx) // also when another process was faster and nothing changed here
}

// add stores keys, each unless its purpose has one in that state already.
func (k *Keyring) add(ctx context.Context, made []signingKey) error {
	return k.db.Update(ctx, func(tx *db.Tx) error {
		for _, key := range made {
			added, err := insertKey(ctx, tx, key)
			if err != nil {
				return err
			}
			if !added {
				continue // another process was faster
			}
			if err := k.record(ctx, tx, audit.KeysMade, key.Key); err != nil {
				return err
			}
			tx.Changed(topic)
		}
		return nil
	})
}

func (k *Keyring) generateAll(ctx context.Context, purposes []Purpose, state State, currentFrom time.Time) ([]signingKey, error) {
	made := make([]signingKey, len(purposes))
	var group errgroup.Group
	for i, p := range purposes {
		group.Go(func() (err error) {
			made[i], err = k.generate(ctx, p, state, currentFrom)
			return err
		})
	}
	return made, group.Wait()
}

// load brings the state in memory up to the database.
func (k *Keyring) load(ctx context.Context) error {
	k.loading.Lock()
	defer k.loading.Unlock()
	var keys []signingKey
	var root []byte
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		if keys, err = selectKeys(ctx, tx); err != nil {
			return err
		}
		root, err = selectDataKey(ctx, tx, rootName)
		return err
	})
	if err != nil {
		return err
	}
	if err := k.follow(ctx, root); err != nil {
		return err
	}
	known := k.state.Load().keys
	for i := range keys {
		same := slices.IndexFunc(known, func(have signingKey) bool { return have.ID == keys[i].ID })
		if same >= 0 {
			keys[i].private, keys[i].jwk = known[same].private, known[same].jwk
			continue
		}
		if err := k.unseal(ctx, &keys[i]); err != nil {
			return err
		}
	}
	made, err := makeState(keys)
	if err != nil {
		return err
	}
	k.state.Store(made)
	return nil
}

func makeState(keys []signingKey) (*state, error) {
	s := &state{
		signers:   map[Purpose]*jose.Signer{},
		verifiers: map[Purpose]map[string]*jose.Verifier{},
		keys:      keys,
	}
	var published []jose.JWK
	for _, f := range forms() {
		s.verifiers[f.purpose] = map[string]*jose.Verifier{}
		for _, key := range keys {
			if key.Purpose != f.keys {
				continue
			}
			verifier, err := jose.NewVerifier(key.private.Public(), key.Alg, key.ID, f.typ)
			if err != nil {
				return nil, err
			}
			s.verifiers[f.purpose][verifier.HeaderSegment()] = verifier
			if f.keys == f.purpose {
				published = append(published, key.jwk)
			}
			if key.State != Current {
				continue
			}
			if s.signers[f.purpose], err = jose.NewSigner(key.private, key.Alg, key.ID, f.typ); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if s.jwks, err = jose.MarshalSet(published); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(s.jwks)
	s.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	return s, nil
}

// openRoot reads the data key that all others are derived from, and makes it
// in a new database.
func (k *Keyring) openRoot(ctx context.Context) ([]byte, error) {
	var sealed []byte
	err := k.db.Read(ctx, func(tx *db.Tx) (err error) {
		sealed, err = selectDataKey(ctx, tx, rootName)
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		fresh, wrapErr := k.wrap(ctx, secret.Bytes(secret.KeySize), rootContext())
		if wrapErr != nil {
			return nil, wrapErr
		}
		err = k.db.Update(ctx, func(tx *db.Tx) (err error) {
			if err := insertDataKey(ctx, tx, rootName, fresh, k.now()); err != nil {
				return err
			}
			sealed, err = selectDataKey(ctx, tx, rootName) // ours, or that of a faster process
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	root, err := k.unwrap(ctx, sealed, rootContext())
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	return root, k.follow(ctx, sealed)
}

// record writes what happened to a key.
func (k *Keyring) record(ctx context.Context, tx *db.Tx, event audit.Event, key Key) error {
	return audit.Append(ctx, tx, audit.Record{
		At: k.now(), Event: event, Outcome: audit.OK,
		Detail: map[string]any{"kid": key.ID, "purpose": string(key.Purpose), "state": string(key.State)},
	})
}
