package secret

import (
	"context"
	"errors"
	"strings"
)

// KEK is a key-encryption key: what the database keeps of keys is sealed under it,
// and it is never there itself. The two methods are those of a key management
// service. They are called a few times at start and at each rotation, never while a
// request is served.
type KEK interface {
	// Wrap seals a key for one place in the database.
	Wrap(ctx context.Context, key, place []byte) (wrapped []byte, err error)
	// Unwrap is the way back. ErrSealed: it was wrapped under another KEK, for
	// another place, or has been changed. Any other error: ask again later.
	Unwrap(ctx context.Context, wrapped, place []byte) (key []byte, err error)
}

// pkcs11Scheme begins the URI of a key in a hardware security module (RFC 7512).
const pkcs11Scheme = "pkcs11:"

// OpenKEK opens the KEK that a pkcs11: URI names. ok is false where the text is none.
func OpenKEK(text string) (kek KEK, ok bool, err error) {
	if !strings.HasPrefix(text, pkcs11Scheme) {
		return nil, false, nil
	}
	kek, err = openPKCS11(text)
	return kek, true, err
}

// localKEK is a KEK whose bytes this process has.
type localKEK struct{ box *Box }

// LocalKEK makes a KEK of bytes from a file or the environment.
func LocalKEK(key [KeySize]byte) KEK {
	box, err := NewBox(Derive(key[:], "sekisho keyring 1", KeySize))
	if err != nil {
		panic(err) // the derived key has the right length
	}
	return localKEK{box}
}

func (k localKEK) Wrap(_ context.Context, key, place []byte) ([]byte, error) {
	return k.box.Seal(key, place), nil
}

func (k localKEK) Unwrap(_ context.Context, wrapped, place []byte) ([]byte, error) {
	return k.box.Open(wrapped, place)
}

// UnwrapAny opens what one of several KEKs has wrapped, the likeliest first, and
// says which. ErrSealed: none of them.
func UnwrapAny(ctx context.Context, keks []KEK, likeliest int, wrapped, place []byte) (key []byte, by int, err error) {
	for i := range keks {
		by := (likeliest + i) % len(keks)
		key, err := keks[by].Unwrap(ctx, wrapped, place)
		if !errors.Is(err, ErrSealed) {
			return key, by, err
		}
	}
	return nil, 0, ErrSealed
}
