package pairwise

import (
	"time"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// SessionID is the identifier of a session in a sector, the sid claim. Like a
// subject it cannot be matched with that of another sector. The generation is
// the sector's, since a session id has no room to tell another.
func (p *Pairwise) SessionID(s registry.Sector, session [16]byte) string {
	block := p.cipher(sessionLabel, max(1, p.gen(s)), s.ID)
	sealed := new([16]byte)
	block.Encrypt(sealed[:], session[:])
	return string(appendBlock(make([]byte, 0, SubjectSize), sealed))
}

// OpenSessionID is the way back from the sid of a token that was issued at a time:
// before the sector was re-keyed it was made with the key of before. ok tells that
// sid is well formed; whether there is such a session is for its owner to say.
func (p *Pairwise) OpenSessionID(s registry.Sector, sid string, issued time.Time) (session [16]byte, ok bool) {
	sealed := new([16]byte)
	if !parseBlock(sealed, sid) {
		return session, false
	}
	gen := s.Gen
	if s.Former > 0 && issued.Before(s.RekeyedAt) {
		gen = s.Former
	}
	p.cipher(sessionLabel, max(1, gen), s.ID).Decrypt(sealed[:], sealed[:])
	return *sealed, true
}
