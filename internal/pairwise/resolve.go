package pairwise

import (
	"context"
	"crypto/cipher"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// ResolveOne is Resolve for one subject.
func (p *Pairwise) ResolveOne(ctx context.Context, s registry.Sector, sub string) (account.Ref, error) {
	refs, err := p.Resolve(ctx, s, []string{sub})
	if err != nil {
		return account.Ref{}, err
	}
	return refs[0], nil
}

// reading is a subject read under one generation: what it may mean.
type reading struct {
	index int // of the subject
	gen   int
	who   account.Ref // Gen is 0 where only the database knows it
}

// Resolve finds the people behind subjects of a sector, in the same order. A
// subject that is malformed, of another sector, of nobody, or of somebody who is
// disabled or deleted gives the zero Ref, whichever it is. In a sector that was
// re-keyed, subjects of before are good too, for as long as it says.
//
// The keys alone say who is meant. Looked up, all in one query, are only people who
// may be gone, and those of whom the keys do not tell the generation: people of a
// sector that is younger than they may be, at their first sight.
func (p *Pairwise) Resolve(ctx context.Context, s registry.Sector, subs []string) ([]account.Ref, error) {
	if err := p.Ready(); err != nil {
		return nil, err
	}
	refs := make([]account.Ref, len(subs))
	scratch := new([16]byte)
	ciphers, oldest := p.ciphers(s)
	var doubts []reading
	for i, sub := range subs {
		before := len(doubts)
		var only reading
		read := 0
		for n, block := range ciphers {
			handle, ok := decode(block, scratch, sub)
			if !ok {
				continue
			}
			gen := oldest + n
			only = reading{i, gen, account.Ref{Handle: handle, Gen: p.born(s, gen, handle)}}
			doubts = append(doubts, only)
			read++
		}
		if read == 1 && only.who.Gen > 0 && !p.People.MaybeGone(only.who.Handle) {
			refs[i], doubts = only.who, doubts[:before]
		}
	}
	if len(doubts) == 0 {
		return refs, nil
	}
	return refs, p.settle(ctx, s, doubts, refs)
}

// settle asks the database about what the keys alone do not tell.
func (p *Pairwise) settle(ctx context.Context, s registry.Sector, doubts []reading, refs []account.Ref) error {
	handles := make([]account.Handle, len(doubts))
	for i, d := range doubts {
		handles[i] = d.who.Handle
	}
	var active map[account.Handle]account.Ref
	err := p.DB.Read(ctx, func(tx *db.Tx) (err error) {
		active, err = p.People.Refs(ctx, tx, handles)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range doubts {
		if who, ok := active[d.who.Handle]; ok && p.fits(s, who.Gen, d.gen) {
			refs[d.index] = who
			p.births.note(who)
		}
	}
	return nil
}

// ciphers are those of the generations under which a subject of the sector may
// have been made, from the oldest on.
func (p *Pairwise) ciphers(s registry.Sector) (ciphers []cipher.Block, oldest int) {
	oldest = max(1, s.Gen)
	if p.overlaps(s) {
		oldest = s.Former
	}
	for gen := oldest; gen <= len(p.live.Load().keys); gen++ {
		ciphers = append(ciphers, p.cipher(subjectLabel, gen, s.ID))
	}
	return ciphers, oldest
}

// overlaps reports whether subjects of before the sector was re-keyed are good yet.
func (p *Pairwise) overlaps(s registry.Sector) bool {
	return s.Former > 0 && p.Now().Before(s.FormerUntil)
}

// fits reports whether a person of a generation has, or in an overlap had, a
// subject of generation gen in the sector.
func (p *Pairwise) fits(s registry.Sector, born, gen int) bool {
	return max(born, s.Gen) == gen || p.overlaps(s) && max(born, s.Former) == gen
}

// born is the generation of a person whose subject in the sector is of generation
// gen: gen itself, unless the sector's own has hidden it. 0: only the database knows.
func (p *Pairwise) born(s registry.Sector, gen int, handle account.Handle) int {
	if gen == 1 || gen != s.Gen && gen != s.Former {
		return gen
	}
	if born, ok := p.births.of(handle); ok && p.fits(s, born, gen) {
		return born
	}
	return 0
}

// decode reads a subject under one key: canonical form, then the zero padding.
func decode(block cipher.Block, scratch *[16]byte, sub string) (handle account.Handle, ok bool) {
	if !parseBlock(scratch, sub) {
		return handle, false
	}
	block.Decrypt(scratch[:], scratch[:])
	if scratch[12]|scratch[13]|scratch[14]|scratch[15] != 0 {
		return handle, false
	}
	copy(handle[:], scratch[:handleSize])
	return handle, true
}
