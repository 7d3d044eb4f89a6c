package keyring

import (
	"context"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
)

// List gives all keys, oldest first.
func (k *Keyring) List(ctx context.Context) ([]Key, error) {
	var keys []Key
	err := k.db.Read(ctx, func(tx *db.Tx) error {
		keys = nil
		rows, err := selectKeys(ctx, tx)
		for _, row := range rows {
			keys = append(keys, row.Key)
		}
		return err
	})
	return keys, err
}

// Maintain does what is due: it publishes next keys, lets them take over and
// removes keys that no living token needs. It may run in several processes at
// once; each looks at the database first, lest it repeats what another did.
func (k *Keyring) Maintain(ctx context.Context) error {
	if err := k.load(ctx); err != nil {
		return err
	}
	now := k.now()
	keys := k.state.Load().keys
	var soon []Purpose
	var due []Key
	for _, p := range keyPurposes() {
		current, next := inLine(keys, p)
		switch {
		case next != nil && !now.Before(next.CurrentFrom):
			due = append(due, *next)
		case next == nil && current != nil && !now.Before(current.CurrentFrom.Add(k.lifetimes.Rotation-k.lifetimes.PublishBefore)):
			soon = append(soon, p)
		}
	}
	if err := k.publish(ctx, soon); err != nil {
		return err
	}
	if err := k.takeOver(ctx, due, now); err != nil {
		return err
	}
	expired := func(key signingKey) bool { return key.State == Retired && !now.Before(key.RemoveAfter) }
	if !slices.ContainsFunc(keys, expired) {
		return nil
	}
	return k.removeExpired(ctx, now)
}

// Due is when the key of each purpose is to be replaced. Maintain does it by
// itself, so a time that has passed long ago says that it cannot.
func (k *Keyring) Due() map[Purpose]time.Time {
	due, keys := map[Purpose]time.Time{}, k.state.Load().keys
	for _, p := range keyPurposes() {
		switch current, next := inLine(keys, p); {
		case next != nil:
			due[p] = next.CurrentFrom
		case current != nil:
			due[p] = current.CurrentFrom.Add(k.lifetimes.Rotation)
		}
	}
	return due
}

func inLine(keys []signingKey, p Purpose) (current, next *Key) {
	for i := range keys {
		switch {
		case keys[i].Purpose != p:
		case keys[i].State == Current:
			current = &keys[i].Key
		case keys[i].State == Next:
			next = &keys[i].Key
		}
	}
	return current, next
}

// Rotate starts a rotation of all keys: next keys are published now and take
// over when they have been published long enough, by Maintain. A rotation that
// is under way goes on as it is.
//
// Immediately is for the day a key has leaked: all keys are replaced in one
// step, and no token signed before is accepted any more.
func (k *Keyring) Rotate(ctx context.Context, immediately bool) error {
	all := keyPurposes()
	if !immediately {
		return k.publish(ctx, all)
	}
	made, err := k.generateAll(ctx, all, Current, k.now())
	if err != nil {
		return err
	}
	return k.db.Update(ctx, func(tx *db.Tx) error {
		removed, err := deleteAll(ctx, tx)
		if err != nil {
			return err
		}
		if err := k.recordRemoved(ctx, tx, removed, "emergency"); err != nil {
			return err
		}
		for _, key := range made {
			if _, err := insertKey(ctx, tx, key); err != nil {
				return err
			}
			if err := k.record(ctx, tx, audit.KeysRotated, key.Key); err != nil {
				return err
			}
		}
		tx.Changed(topic)
		return nil
	})
}

// publish adds next keys for the purposes that have none.
func (k *Keyring) publish(ctx context.Context, purposes []Purpose) error {
	if len(purposes) == 0 {
		return nil
	}
	made, err := k.generateAll(ctx, purposes, Next, k.now().Add(k.lifetimes.PublishBefore))
	if err != nil {
		return err
	}
	return k.add(ctx, made)
}

// takeOver lets next keys sign from now on.
func (k *Keyring) takeOver(ctx context.Context, due []Key, now time.Time) error {
	if len(due) == 0 {
		return nil
	}
	removeAfter := now.Add(k.lifetimes.LongestToken + k.lifetimes.KeepAfter)
	return k.db.Update(ctx, func(tx *db.Tx) error {
		for _, next := range due {
			done, err := promote(ctx, tx, next, now, removeAfter)
			if err != nil {
				return err
			}
			if !done {
				continue // another process was faster
			}
			next.State = Current
			if err := k.record(ctx, tx, audit.KeysRotated, next); err != nil {
				return err
			}
			tx.Changed(topic)
		}
		return nil
	})
}

func (k *Keyring) removeExpired(ctx context.Context, now time.Time) error {
	return k.db.Update(ctx, func(tx *db.Tx) error {
		removed, err := deleteExpired(ctx, tx, now)
		if err != nil || len(removed) == 0 {
			return err
		}
		tx.Changed(topic)
		return k.recordRemoved(ctx, tx, removed, "expired")
	})
}

func (k *Keyring) recordRemoved(ctx context.Context, tx *db.Tx, kids []string, reason string) error {
	if len(kids) == 0 {
		return nil
	}
	return audit.Append(ctx, tx, audit.Record{
		At: k.now(), Event: audit.KeysRemoved, Outcome: audit.OK, Reason: reason,
		Detail: map[string]any{"kids": kids},
	})
}
