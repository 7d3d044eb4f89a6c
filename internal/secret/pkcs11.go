//go:build pkcs11

package secret

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ThalesGroup/crypto11"
)

// pkcs11KEK is an AES key that a hardware security module does not give out. It
// wraps with AES-GCM there (CKM_AES_GCM).
type pkcs11KEK struct {
	module *crypto11.Context
	aead   cipher.AEAD
}

// pkcs11Wait is how long a call waits for one of the module's sessions.
const pkcs11Wait = 10 * time.Second

// openPKCS11 opens the key that a URI names by token, object and module-path, with
// the PIN in the file that pin-source names (RFC 7512 §2.3, §2.4).
func openPKCS11(uri string) (KEK, error) {
	named, err := parsePKCS11(uri)
	if err != nil {
		return nil, fmt.Errorf("secret: pkcs11: %w", err)
	}
	pin, err := os.ReadFile(named.pinFile)
	if err != nil {
		return nil, fmt.Errorf("secret: pkcs11: the PIN: %w", err)
	}
	module, err := crypto11.Configure(&crypto11.Config{
		Path: named.module, TokenLabel: named.token, Pin: strings.TrimSpace(string(pin)), PoolWaitTimeout: pkcs11Wait,
	})
	if err != nil {
		return nil, fmt.Errorf("secret: pkcs11: open token %q: %w", named.token, err)
	}
	key, err := module.FindKey(nil, []byte(named.object))
	if err == nil && key == nil {
		err = errors.New("there is no such key")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("secret: pkcs11: key %q on token %q: %w", named.object, named.token, err), module.Close())
	}
	aead, err := key.NewGCM()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("secret: pkcs11: key %q: %w", named.object, err), module.Close())
	}
	return &pkcs11KEK{module, aead}, nil
}

// Wrap gives nonce, ciphertext and tag.
func (k *pkcs11KEK) Wrap(_ context.Context, key, place []byte) (wrapped []byte, err error) {
	// The library has only a panic to tell that the module refused.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("secret: pkcs11: wrap: %v", cause)
		}
	}()
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails: the runtime ends the process instead
	return k.aead.Seal(nonce, nonce, key, place), nil
}

// refusedPKCS11 are what modules say of a tag that is wrong: CKR_ENCRYPTED_DATA_INVALID
// and _LEN_RANGE, and CKR_GENERAL_ERROR of those that have no word for it.
var refusedPKCS11 = []string{"CKR_ENCRYPTED_DATA_INVALID", "CKR_ENCRYPTED_DATA_LEN_RANGE", "CKR_GENERAL_ERROR"}

// Unwrap opens what Wrap has made.
func (k *pkcs11KEK) Unwrap(_ context.Context, wrapped, place []byte) ([]byte, error) {
	n := k.aead.NonceSize()
	if len(wrapped) < n+k.aead.Overhead() {
		return nil, ErrSealed
	}
	key, err := k.aead.Open(nil, wrapped[:n], wrapped[n:], place)
	if err == nil {
		return key, nil
	}
	for _, word := range refusedPKCS11 {
		if strings.Contains(err.Error(), word) {
			return nil, ErrSealed
		}
	}
	return nil, fmt.Errorf("secret: pkcs11: unwrap: %w", err)
}

// Close ends the sessions with the module.
func (k *pkcs11KEK) Close() error { return k.module.Close() }

// pkcs11Name is what a URI says.
type pkcs11Name struct{ token, object, module, pinFile string }

func parsePKCS11(uri string) (pkcs11Name, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(uri, pkcs11Scheme), "?")
	var name pkcs11Name
	known := map[string]*string{
		"token": &name.token, "object": &name.object, "module-path": &name.module, "pin-source": &name.pinFile,
	}
	attributes := strings.Split(path, ";")
	if query != "" {
		attributes = append(attributes, strings.Split(query, "&")...)
	}
	for _, attribute := range attributes {
		key, value, _ := strings.Cut(attribute, "=")
		field := known[key]
		if field == nil {
			return name, fmt.Errorf("the attribute %q of the URI is none of token, object, module-path and pin-source", key)
		}
		text, err := url.PathUnescape(value)
		if err != nil {
			return name, fmt.Errorf("the attribute %s of the URI: %w", key, err)
		}
		*field = text
	}
	name.pinFile = strings.TrimPrefix(name.pinFile, "file:")
	for key, field := range known {
		if *field == "" {
			return name, fmt.Errorf("the URI has no %s; it looks like pkcs11:token=TOKEN;object=KEY?module-path=/path/to/module.so&pin-source=file:/path/to/pin", key)
		}
	}
	return name, nil
}
