package secret

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

var (
	// ErrBusy says that too many passwords are being hashed. Callers answer 503.
	ErrBusy = errors.New("secret: too many passwords are being checked")
	// ErrHash says that a stored password hash cannot be read.
	ErrHash = errors.New("secret: unknown form of password hash")
)

// HasherConfig sets the cost of password hashing. Zero values mean the
// defaults, which follow the OWASP cheat sheet on password storage.
type HasherConfig struct {
	Memory  uint32        // KiB, 19 MiB by default
	Time    uint32        // passes, 2 by default
	Threads uint8         // 1 by default
	AtOnce  int           // hashes at one time, one per core by default
	Queue   int           // callers that may wait, 50 by default
	Wait    time.Duration // how long they wait, 2 s by default
}

// Hasher hashes passwords with Argon2id (RFC 9106), a bounded number at a time.
type Hasher struct {
	cost  cost
	slots chan struct{}
	queue int64
	wait  time.Duration

	waiting atomic.Int64
}

// cost is the part of an Argon2id hash that says what it took to make.
type cost struct {
	memory  uint32
	time    uint32
	threads uint8
}

const (
	saltSize = 16
	hashSize = 32

	// Imported hashes may not cost more than this.
	maxMemory = 256 << 10
	maxTime   = 16
)

// NewHasher makes a Hasher.
func NewHasher(c HasherConfig) *Hasher {
	if c.Memory == 0 {
		c.Memory = 19 << 10
	}
	if c.Time == 0 {
		c.Time = 2
	}
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.AtOnce == 0 {
		c.AtOnce = runtime.GOMAXPROCS(0)
	}
	if c.Queue == 0 {
		c.Queue = 50
	}
	if c.Wait == 0 {
		c.Wait = 2 * time.Second
	}
	return &Hasher{
		cost:  cost{memory: c.Memory, time: c.Time, threads: c.Threads},
		slots: make(chan struct{}, c.AtOnce),
		queue: int64(c.Queue),
		wait:  c.Wait,
	}
}

// Hash gives the PHC string of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (phc string, err error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := Bytes(saltSize)
	return formatPHC(h.cost, salt, h.cost.key(password, salt, hashSize)), nil
}

// Do runs other costly work on a password, as one of the bounded number.
func (h *Hasher) Do(ctx context.Context, work func() error) error {
	if err := h.enter(ctx); err != nil {
		return err
	}
	defer h.leave()
	return work()
}

// Verify says whether the password is the one of the hash, and whether the
// hash should be made anew because it is not of today's cost. An empty hash
// takes the same work and fails, so that nobody can tell by the clock whether
// an account exists.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (ok, rehash bool, err error) {
	if err := h.enter(ctx); err != nil {
		return false, false, err
	}
	defer h.leave()
	switch {
	case phc == "":
		h.cost.key(password, make([]byte, saltSize), hashSize)
		return false, false, nil
	case strings.HasPrefix(phc, "$2"):
		return verifyBcrypt(phc, password)
	case !strings.HasPrefix(phc, "$argon2id$"):
		f, err := parseForeign(phc)
		if err != nil {
			return false, false, err
		}
		ok, err = f.verify(password)
		return ok, ok, err // always to be made anew
	}
	c, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, false, err
	}
	got := c.key(password, salt, uint32(len(want))) //nolint:gosec // parsePHC bounds the length
	ok = subtle.ConstantTimeCompare(got, want) == 1
	return ok, ok && (c != h.cost || len(salt) != saltSize || len(want) != hashSize), nil
}

// verifyBcrypt checks an imported hash; it is always to be made anew.
func verifyBcrypt(hash, password string) (ok, rehash bool, err error) {
	made, err := bcrypt.Cost([]byte(hash))
	if err != nil || made > maxBcryptCost {
		return false, false, ErrHash
	}
	err = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	return err == nil, err == nil, nil
}

// enter waits for a slot. Who would wait behind a full queue, or too long, is
// told to come back.
func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.queue {
		return ErrBusy
	}
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) leave() {
	<-h.slots
}

func (c cost) key(password string, salt []byte, size uint32) []byte {
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, size)
}

// formatPHC writes a hash as a PHC string, the form other software reads too.
func formatPHC(c cost, salt, hash []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(hash))
}

func parsePHC(phc string) (c cost, salt, hash []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, ErrHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil || n != 3 {
		return c, nil, nil, ErrHash
	}
	if c.memory > maxMemory || c.time < 1 || c.time > maxTime || c.threads < 1 {
		return c, nil, nil, ErrHash
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return c, nil, nil, ErrHash
	}
	if hash, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(hash) < 16 || len(hash) > 64 {
		return c, nil, nil, ErrHash
	}
	return c, salt, hash, nil
}
