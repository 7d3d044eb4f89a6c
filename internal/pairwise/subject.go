package pairwise

import (
	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/registry"
)

const handleSize = len(account.Handle{})

// Subject is the identifier of a person in a sector.
func (p *Pairwise) Subject(s registry.Sector, who account.Ref) string {
	return string(p.AppendSubject(make([]byte, 0, SubjectSize), s, who))
}

// AppendSubject appends Subject to dst.
func (p *Pairwise) AppendSubject(dst []byte, s registry.Sector, who account.Ref) []byte {
	block := p.cipher(subjectLabel, max(who.Gen, p.gen(s)), s.ID)
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

// gen is the generation that a sector has now.
func (p *Pairwise) gen(s registry.Sector) int {
	if s.Former > 0 && p.Now().Before(s.RekeyedAt) {
		return s.Former
	}
	return s.Gen
}

// FormerSubject is the identifier that a person had in a sector before it was
// re-keyed, while those are taken; ok is false where it has not changed.
func (p *Pairwise) FormerSubject(s registry.Sector, who account.Ref) (sub string, ok bool) {
	if !p.overlaps(s) || p.gen(s) == s.Former || who.Gen >= s.Gen {
		return "", false
	}
	return p.Subject(registry.Sector{ID: s.ID, Gen: s.Former}, who), true
}
