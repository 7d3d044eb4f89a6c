package account

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sekisho-id/sekisho/internal/db"
)

// goneFilter knows the fingerprints of disabled and deleted people. It may know
// too many, people who were enabled again among them: a hit is a reason to ask
// the database, a miss needs no question.
type goneFilter struct {
	mu    sync.Mutex // held while loading
	since int64      // seq of the newest row that was loaded
	set   atomic.Pointer[goneSet]
}

// goneSet is two sorted lists. Changes go to the recent one, which stays short
// enough to be copied for each of them.
type goneSet struct {
	settled []uint64
	recent  []uint64
}

const mostRecent = 4096

// fingerprint is what is kept of the handle of somebody who is gone. It leads
// back to no handle: that has 96 random bits.
func fingerprint(h Handle) uint64 {
	sum := sha256.Sum256(h[:])
	return binary.BigEndian.Uint64(sum[:8])
}

// loadGone reads the fingerprints that were added since the last time.
func (p *People) loadGone(ctx context.Context) error {
	g := &p.gone
	g.mu.Lock()
	defer g.mu.Unlock()
	var added []uint64
	newest := g.since
	err := p.DB.Read(ctx, func(tx *db.Tx) error {
		added, newest = added[:0], g.since
		rows, err := tx.Rows(ctx, "SELECT fingerprint, seq FROM account_gone WHERE seq > $1", g.since)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var print, seq int64
			if err := rows.Scan(&print, &seq); err != nil {
				return err
			}
			added, newest = append(added, uint64(print)), max(newest, seq) //nolint:gosec // the same 64 bits
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	g.since = newest
	g.set.Store(g.set.Load().with(added))
	return nil
}

func (s *goneSet) with(added []uint64) *goneSet {
	if s == nil {
		s = &goneSet{}
	}
	fresh := slices.DeleteFunc(added, s.has)
	if len(fresh) == 0 {
		return s
	}
	recent := slices.Concat(s.recent, fresh)
	if len(recent) > mostRecent {
		return &goneSet{settled: sorted(slices.Concat(s.settled, recent))}
	}
	return &goneSet{settled: s.settled, recent: sorted(recent)}
}

func sorted(prints []uint64) []uint64 {
	slices.Sort(prints)
	return slices.Compact(prints)
}

func (s *goneSet) has(print uint64) bool {
	if _, found := slices.BinarySearch(s.recent, print); found {
		return true
	}
	_, found := slices.BinarySearch(s.settled, print)
	return found
}

// MaybeGone reports whether a handle may belong to somebody who is disabled or
// deleted. It looks into memory only: false is certain unless the handle was
// never given out, true must be confirmed by Refs.
func (p *People) MaybeGone(h Handle) bool {
	set := p.gone.set.Load()
	if len(set.settled) == 0 && len(set.recent) == 0 {
		return false
	}
	return set.has(fingerprint(h))
}

// addGone has every filter learn the handle once the transaction is committed.
func addGone(ctx context.Context, tx *db.Tx, h Handle) error {
	var seq int64
	err := tx.Row(ctx, `INSERT INTO account_gone_count (name, last) VALUES ('entries', 1)
		ON CONFLICT (name) DO UPDATE SET last = account_gone_count.last + 1
		RETURNING last`).Scan(&seq)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO account_gone (fingerprint, seq) VALUES ($1, $2)
		ON CONFLICT (fingerprint) DO UPDATE SET seq = excluded.seq`,
		int64(fingerprint(h)), seq) //nolint:gosec // the same 64 bits
	tx.Changed(topic)
	return err
}

// removeGone takes the handle of somebody who is enabled again off the table.
// The filters of running processes keep it, as a hit that is not confirmed.
func removeGone(ctx context.Context, tx *db.Tx, h Handle) error {
	_, err := tx.Exec(ctx, "DELETE FROM account_gone WHERE fingerprint = $1", int64(fingerprint(h))) //nolint:gosec // the same 64 bits
	return err
}
