package pairwise

import (
	"context"
	"crypto/cipher"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
)

const handleSize = len(account.Handle{})

// Subject is the identifier of a person in a sector.
func (p *Pairwise) Subject(s registry.Sector, who account.Ref) string {
	return string(p.AppendSubject(make([]byte, 0, SubjectSize), s, who))
}

// AppendSubject appends Subject to dst.
func (p *Pairwise) AppendSubject(dst []byte, s registry.Sector, who account.Ref) []byte {
	block := p.cipher(subjectLabel, max(who.Gen, s.Gen), s.ID)
	// The room for the block is taken at the end of dst, where its text replaces
	// it: the cipher's argument would otherwise have to be allocated.
	n := len(dst)
	var plain [16]byte
	copy(plain[:], who.Handle[:])
	dst = append(dst, plain[:]...)
	block.Encrypt(dst[n:], dst[n:])
	copy(plain[:], dst[n:])
	return appendBlock(dst[:n], &plain)
}

// ResolveOne is Resolve for one subject.
func (p *Pairwise) ResolveOne(ctx context.Context, s registry.Sector, sub string) (account.Ref, error) {
	refs, err := p.Resolve(ctx, s, []string{sub})
	if err != nil {
		return account.Ref{}, err
	}
	return refs[0], nil
}

// Resolve finds the people behind subjects of a sector, in the same order. A
// subject that is malformed, of another sector, of nobody, or of somebody who is
// disabled or deleted gives the zero Ref, whichever it is.
func (p *Pairwise) Resolve(ctx context.Context, s registry.Sector, subs []string) ([]account.Ref, error) {
	if len(p.generations) == 1 {
		return p.resolveByKey(ctx, s, subs)
	}
	return p.resolveByQuery(ctx, s, subs)
}

// resolveByKey reads subjects where there is one generation, so that the key
// alone says who is meant. Only those who may be gone are looked up.
func (p *Pairwise) resolveByKey(ctx context.Context, s registry.Sector, subs []string) ([]account.Ref, error) {
	refs := make([]account.Ref, len(subs))
	block := p.cipher(subjectLabel, 1, s.ID)
	scratch := new([16]byte)
	var doubtful []account.Handle
	for i, sub := range subs {
		handle, ok := decode(block, scratch, sub)
		if !ok {
			continue
		}
		refs[i] = account.Ref{Handle: handle, Gen: 1}
		if p.People.MaybeGone(handle) {
			doubtful = append(doubtful, handle)
		}
	}
	if len(doubtful) == 0 {
		return refs, nil
	}
	active, err := p.lookUp(ctx, doubtful)
	if err != nil {
		return nil, err
	}
	for i := range refs {
		if _, ok := active[refs[i].Handle]; !ok && p.People.MaybeGone(refs[i].Handle) {
			refs[i] = account.Ref{}
		}
	}
	return refs, nil
}

// resolveByQuery reads subjects where there are several generations. What has
// the padding under a generation is a candidate; it is the person meant if the
// person exists and would get this subject under just that generation.
func (p *Pairwise) resolveByQuery(ctx context.Context, s registry.Sector, subs []string) ([]account.Ref, error) {
	type candidate struct {
		index  int
		gen    int
		handle account.Handle
	}
	var candidates []candidate
	var handles []account.Handle
	scratch := new([16]byte)
	for gen := max(1, s.Gen); gen <= len(p.generations); gen++ {
		block := p.cipher(subjectLabel, gen, s.ID)
		for i, sub := range subs {
			if handle, ok := decode(block, scratch, sub); ok {
				candidates = append(candidates, candidate{i, gen, handle})
				handles = append(handles, handle)
			}
		}
	}
	refs := make([]account.Ref, len(subs))
	if len(candidates) == 0 {
		return refs, nil
	}
	active, err := p.lookUp(ctx, handles)
	if err != nil {
		return nil, err
	}
	for _, c := range candidates {
		if ref, ok := active[c.handle]; ok && max(ref.Gen, s.Gen) == c.gen {
			refs[c.index] = ref
		}
	}
	return refs, nil
}

func (p *Pairwise) lookUp(ctx context.Context, handles []account.Handle) (active map[account.Handle]account.Ref, err error) {
	err = p.DB.Read(ctx, func(tx *db.Tx) error {
		active, err = p.People.Refs(ctx, tx, handles)
		return err
	})
	return active, err
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
