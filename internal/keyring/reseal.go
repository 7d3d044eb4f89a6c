package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// Refusals of Reseal.
var (
	ErrOneKEK    = errors.New("keyring: there is one key-encryption key only; give the next one as well, behind it")
	ErrResealed  = errors.New("keyring: the keys are sealed under the last key-encryption key already")
	errUnsettled = errors.New("keyring: keys were changed at the same time; ask again")
)

// rootContext binds the sealed root key to its row.
func rootContext() []byte { return []byte("data_key/" + rootName) }

// wrap seals a key under the key-encryption key that is in use.
func (k *Keyring) wrap(ctx context.Context, key, place []byte) ([]byte, error) {
	wrapped, err := k.keks[k.sealing.Load()].Wrap(ctx, key, place)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return wrapped, nil
}

// unwrap opens what any of the key-encryption keys has sealed.
func (k *Keyring) unwrap(ctx context.Context, wrapped, place []byte) ([]byte, error) {
	key, _, err := secret.UnwrapAny(ctx, k.keks, int(k.sealing.Load()), wrapped, place)
	switch {
	case errors.Is(err, secret.ErrSealed):
		return nil, fmt.Errorf("%w (%w)", ErrKEK, err)
	case err != nil:
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return key, nil
}

// follow finds out which key-encryption key is in use: the one that the root key is
// sealed under.
// A process that does not have it must make no keys.
func (k *Keyring) follow(ctx context.Context, root []byte) error {
	k.following.Lock()
	defer k.following.Unlock()
	if bytes.Equal(root, k.followed) {
		return nil
	}
	_, by, err := secret.UnwrapAny(ctx, k.keks, int(k.sealing.Load()), root, rootContext())
	switch {
	case errors.Is(err, secret.ErrSealed):
		return fmt.Errorf("%w (data key: %w)", ErrKEK, err)
	case err != nil:
		return fmt.Errorf("keyring: %w", err)
	}
	k.sealing.Store(int32(by)) //nolint:gosec // a few
	k.followed = root
	return nil
}

// Reseal seals all keys under the last key-encryption key, in one transaction or not
// at all. Every process must have that one already; those that have both go on. by
// names who asks.
func (k *Keyring) Reseal(ctx context.Context, by string) error {
	last := len(k.keks) - 1
	if last == 0 {
		return ErrOneKEK
	}
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
	if int(k.sealing.Load()) == last {
		return ErrResealed
	}
	// All of it is sealed before the transaction: a key management service is on
	// the network.
	next := k.keks[last]
	freshRoot, err := k.rewrap(ctx, next, root, rootContext())
	if err != nil {
		return err
	}
	fresh := make([][]byte, len(keys))
	for i, key := range keys {
		if fresh[i], err = k.rewrap(ctx, next, key.sealed, sealContext(key.Purpose, key.ID)); err != nil {
			return fmt.Errorf("key %s: %w", key.ID, err)
		}
	}
	return k.db.Update(ctx, func(tx *db.Tx) error {
		done, err := resealDataKey(ctx, tx, rootName, root, freshRoot)
		for i, key := range keys {
			if err != nil || !done {
				break
			}
			done, err = resealKey(ctx, tx, key.ID, key.sealed, fresh[i])
		}
		if err != nil {
			return err
		}
		if n, err := countKeys(ctx, tx); err != nil || !done || n != len(keys) {
			return errors.Join(err, errUnsettled)
		}
		tx.Changed(topic)
		return audit.Append(ctx, tx, audit.Record{
			At: k.now(), Event: audit.KeysResealed, Outcome: audit.OK, Detail: map[string]any{"keys": len(keys), "by": by},
		})
	})
}

func (k *Keyring) rewrap(ctx context.Context, next secret.KEK, wrapped, place []byte) ([]byte, error) {
	key, err := k.unwrap(ctx, wrapped, place)
	if err != nil {
		return nil, err
	}
	if wrapped, err = next.Wrap(ctx, key, place); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return wrapped, nil
}
