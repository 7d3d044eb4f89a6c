package secret

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // of hashes that others made
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Bounds of what a foreign hash may cost, so that no imported one stops the server.
const (
	maxBcryptCost = 15
	maxIterations = 5_000_000
	maxScrypt     = 256 << 20 // bytes
)

// foreign is a password hash that another system has made.
type foreign struct {
	key  func(password string) ([]byte, error)
	want []byte
}

// CheckForeign says whether a password hash of another system is of a form that Verify
// knows: argon2id and argon2i in the PHC form, bcrypt, PBKDF2 and scrypt as passlib,
// Django, Werkzeug and the PHC form write them. The error is ErrHash.
func CheckForeign(text string) error {
	if strings.HasPrefix(text, "$2") {
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil || cost > maxBcryptCost {
			return ErrHash
		}
		return nil
	}
	if strings.HasPrefix(text, "$argon2id$") {
		_, _, _, err := parsePHC(text)
		return err
	}
	_, err := parseForeign(text)
	return err
}

// parseForeign reads what is neither bcrypt nor argon2id.
func parseForeign(text string) (foreign, error) {
	parts := strings.Split(text, "$")
	switch {
	case strings.HasPrefix(text, "$argon2i$"):
		return parseArgon2i(text)
	case len(parts) == 5 && parts[0] == "" && strings.HasPrefix(parts[1], "pbkdf2"):
		// $pbkdf2-sha256$29000$salt$hash (passlib), $pbkdf2-sha256$i=29000,l=32$salt$hash
		rounds, _, _ := strings.Cut(strings.TrimPrefix(parts[2], "i="), ",")
		salt, err := phcBytes(parts[3])
		if err != nil {
			return foreign{}, ErrHash
		}
		want, err := phcBytes(parts[4])
		return newPBKDF2(strings.TrimPrefix(strings.TrimPrefix(parts[1], "pbkdf2"), "-"), rounds, salt, want, err)
	case len(parts) == 4 && strings.HasPrefix(parts[0], "pbkdf2_"):
		// pbkdf2_sha256$260000$salt$hash (Django)
		want, err := base64.StdEncoding.DecodeString(parts[3])
		return newPBKDF2(strings.TrimPrefix(parts[0], "pbkdf2_"), parts[1], []byte(parts[2]), want, err)
	case len(parts) == 3 && strings.HasPrefix(parts[0], "pbkdf2:"):
		// pbkdf2:sha256:260000$salt$hash (Werkzeug)
		names := strings.Split(parts[0], ":")
		if len(names) != 3 {
			return foreign{}, ErrHash
		}
		want, err := hex.DecodeString(parts[2])
		return newPBKDF2(names[1], names[2], []byte(parts[1]), want, err)
	case len(parts) == 5 && parts[0] == "" && parts[1] == "scrypt":
		// $scrypt$ln=16,r=8,p=1$salt$hash
		var ln, r, p int
		if n, err := fmt.Sscanf(parts[2], "ln=%d,r=%d,p=%d", &ln, &r, &p); err != nil || n != 3 || ln < 1 || ln > 30 {
			return foreign{}, ErrHash
		}
		salt, err := phcBytes(parts[3])
		if err != nil {
			return foreign{}, ErrHash
		}
		want, err := phcBytes(parts[4])
		return newScrypt(1<<ln, r, p, salt, want, err)
	case len(parts) == 6 && parts[0] == "scrypt":
		// scrypt$16384$salt$8$1$hash (Django)
		want, err := base64.StdEncoding.DecodeString(parts[5])
		return newScrypt(atoi(parts[1]), atoi(parts[3]), atoi(parts[4]), []byte(parts[2]), want, err)
	case len(parts) == 3 && strings.HasPrefix(parts[0], "scrypt:"):
		// scrypt:32768:8:1$salt$hash (Werkzeug)
		costs := strings.Split(parts[0], ":")
		if len(costs) != 4 {
			return foreign{}, ErrHash
		}
		want, err := hex.DecodeString(parts[2])
		return newScrypt(atoi(costs[1]), atoi(costs[2]), atoi(costs[3]), []byte(parts[1]), want, err)
	}
	return foreign{}, ErrHash
}

// verify is whether a password is the one of the hash.
func (f foreign) verify(password string) (bool, error) {
	got, err := f.key(password)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrHash, err)
	}
	return hmac.Equal(got, f.want), nil
}

var digests = map[string]func() hash.Hash{"": sha1.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func newPBKDF2(digest, rounds string, salt, want []byte, err error) (foreign, error) {
	iterations, made := atoi(rounds), digests[digest]
	if err != nil || made == nil || iterations < 1 || iterations > maxIterations || !sensible(salt, want) {
		return foreign{}, ErrHash
	}
	return foreign{want: want, key: func(password string) ([]byte, error) {
		return pbkdf2.Key(made, password, salt, iterations, len(want))
	}}, nil
}

func newScrypt(n, r, p int, salt, want []byte, err error) (foreign, error) {
	if err != nil || n < 2 || n&(n-1) != 0 || n > maxScrypt || r < 1 || r > 64 || p < 1 || p > 16 || 128*n*r > maxScrypt || !sensible(salt, want) {
		return foreign{}, ErrHash
	}
	return foreign{want: want, key: func(password string) ([]byte, error) {
		return scrypt.Key([]byte(password), salt, n, r, p, len(want))
	}}, nil
}

func parseArgon2i(text string) (foreign, error) {
	c, salt, want, err := parsePHC("$argon2id$" + strings.TrimPrefix(text, "$argon2i$"))
	if err != nil {
		return foreign{}, err
	}
	return foreign{want: want, key: func(password string) ([]byte, error) {
		return argon2.Key([]byte(password), salt, c.time, c.memory, c.threads, uint32(len(want))), nil //nolint:gosec // parsePHC bounds the length
	}}, nil
}

func sensible(salt, want []byte) bool {
	return len(salt) >= 1 && len(salt) <= 128 && len(want) >= 16 && len(want) <= 128
}

// phcBytes reads base64 without padding, in which passlib writes a point for a plus.
func phcBytes(text string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.ReplaceAll(text, ".", "+"))
}

// atoi is a number, or zero.
func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}
