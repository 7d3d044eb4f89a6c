package pairwise

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"sync"
	"sync/atomic"
)

// Labels of the two kinds of key that a sector has. They are part of the
// format: changing one changes every identifier.
const (
	subjectLabel = "sekisho/ppid/v1"
	sessionLabel = "sekisho/sid/v1"
)

const keySize = 32 // AES-256

// generation is one key generation: the PRK of its secret and its salt.
type generation struct {
	prk []byte
}

func newGeneration(secret, salt []byte) (generation, error) {
	prk, err := hkdf.Extract(sha256.New, secret, salt)
	return generation{prk: prk}, err
}

// checkValue tells, without telling the key, which secret the generation was
// made with.
func (g generation) checkValue() []byte {
	mac := hmac.New(sha256.New, g.prk)
	mac.Write([]byte("check"))
	return mac.Sum(nil)
}

// key derives the key of a sector. The realm is bound into it instead of the
// issuer, so that identifiers outlive a change of domain.
func (g generation) key(label, realm, sector string) ([]byte, error) {
	info := append([]byte(label), 0)
	info = appendSized(info, realm)
	info = appendSized(info, sector)
	return hkdf.Expand(sha256.New, g.prk, string(info), keySize)
}

func appendSized(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s))) //nolint:gosec // ids are short
	return append(dst, s...)
}

// keyName names one key of one sector.
type keyName struct {
	label  string
	gen    int
	sector string
}

// keyCache keeps the keys that were used. Readers take no lock: the map is
// replaced as a whole when a key is added, once in the life of a sector.
type keyCache struct {
	mu   sync.Mutex
	keys atomic.Pointer[map[keyName]cipher.Block]
}

func (c *keyCache) get(name keyName) (cipher.Block, bool) {
	keys := c.keys.Load()
	if keys == nil {
		return nil, false
	}
	block, ok := (*keys)[name]
	return block, ok
}

func (c *keyCache) put(name keyName, block cipher.Block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := map[keyName]cipher.Block{}
	if old := c.keys.Load(); old != nil {
		keys = maps.Clone(*old)
	}
	keys[name] = block
	c.keys.Store(&keys)
}

// cipher is the cipher of a sector under a generation.
func (p *Pairwise) cipher(label string, gen int, sector string) cipher.Block {
	name := keyName{label: label, gen: gen, sector: sector}
	if block, ok := p.cache.get(name); ok {
		return block
	}
	live := p.live.Load().keys
	if gen < 1 || gen > len(live) {
		// People and sectors are given generations that exist, and a process that
		// has no secret for one serves nobody.
		panic("pairwise: no such key generation")
	}
	key, err := live[gen-1].key(label, p.Realm, sector)
	if err != nil {
		panic(err) // 32 bytes are never too many for HKDF
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has the right length
	}
	p.cache.put(name, block)
	return block
}
