package grant

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// topic of the change feed.
const topic = "revocation"

// Key names something that can be revoked.
type Key [17]byte

const (
	kindGrant byte = iota + 1
	kindRoot
	kindToken
)

// GrantKey names a grant.
func GrantKey(id int64) Key { return numberKey(kindGrant, id) }

// RootKey names a chain of access tokens by its root.
func RootKey(root int64) Key { return numberKey(kindRoot, root) }

// TokenKey names one access token by its jti.
func TokenKey(jti string) Key {
	key := Key{kindToken}
	copy(key[1:], secret.Hash(jti))
	return key
}

func numberKey(kind byte, id int64) Key {
	key := Key{kind}
	binary.BigEndian.PutUint64(key[1:], uint64(id))
	return key
}

// Revoked says whether one of the keys was revoked while an access token under
// it could still be alive. It asks memory only.
func (g *Grants) Revoked(keys ...Key) bool { return g.ended.has(keys) }

// endedSet is what was revoked within the life of the longest access token: a
// copy of table revocation.
type endedSet struct {
	mu      sync.RWMutex
	until   map[Key]int64 // unix milliseconds
	lastSeq int64         // the newest row that was loaded
}

func (s *endedSet) has(keys []Key) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range keys {
		if _, ended := s.until[key]; ended {
			return true
		}
	}
	return false
}

// load brings the set up to the database. Rows are numbered in the order of
// their commits, so only newer ones are read.
func (s *endedSet) load(ctx context.Context, database *db.DB) error {
	s.mu.RLock()
	last := s.lastSeq
	s.mu.RUnlock()

	var rows []revocationRow
	err := database.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = revocationsAfter(ctx, tx, last)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range rows {
		s.until[row.key] = max(s.until[row.key], row.expiresAt)
		s.lastSeq = max(s.lastSeq, row.seq)
	}
	return nil
}

// prune forgets what no living access token can be under any more.
func (s *endedSet) prune(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, until := range s.until {
		if until <= now {
			delete(s.until, key)
		}
	}
}
