package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// credentials are what the clients of the example prove themselves with. They
// are made at the first start and kept in files, each read by its own system
// only; the group file names the public halves and the secrets' files.
type credentials struct {
	secrets map[string]string            // by client id
	keys    map[string]*ecdsa.PrivateKey // by client id
	events  []byte                       // what market makes the secrets of webhooks from
}

func openCredentials(dir string) (*credentials, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for secrets: %w", err)
	}
	made := &credentials{secrets: map[string]string{}, keys: map[string]*ecdsa.PrivateKey{}}
	for _, client := range []string{clientCrypto} {
		secret, err := openSecret(filepath.Join(dir, client+".secret"))
		if err != nil {
			return nil, fmt.Errorf("secret of %s: %w", client, err)
		}
		made.secrets[client] = secret
	}
	events, err := openSecret(filepath.Join(dir, "market.events.secret"))
	if err != nil {
		return nil, fmt.Errorf("key of market's webhooks: %w", err)
	}
	made.events = []byte(events)
	for _, client := range []string{clientWeb, clientPartner, clientMarket, clientPay, clientNightly} {
		key, err := openKey(filepath.Join(dir, client))
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", client, err)
		}
		made.keys[client] = key
	}
	return made, nil
}

// openSecret reads a client secret, or makes one at first.
func openSecret(path string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a fixed name in the example's own directory
	if errors.Is(err, fs.ErrNotExist) {
		secret := rand.Text() + rand.Text()
		return secret, os.WriteFile(path, []byte(secret+"\n"), 0o600)
	}
	return strings.TrimSpace(string(text)), err
}

// openKey reads a private key, or makes one at first and writes its public half
// as a key set beside it.
func openKey(base string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(base + ".pem") //nolint:gosec // a fixed name in the example's own directory
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(base)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s.pem holds no PEM block", base)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s.pem holds a %T, not an EC key", base, parsed)
	}
	return key, nil
}

func makeKey(base string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public, err := publicJWKS(key, filepath.Base(base))
	if err != nil {
		return nil, err
	}
	return key, errors.Join(
		os.WriteFile(base+".jwks.json", public, 0o600),
		os.WriteFile(base+".pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// publicJWKS writes the public half as a set of one key (RFC 7517 §5,
// RFC 7518 §6.2.1).
func publicJWKS(key *ecdsa.PrivateKey, keyID string) ([]byte, error) {
	point, err := key.PublicKey.Bytes() // 0x04 ‖ x ‖ y
	if err != nil {
		return nil, err
	}
	x, y := point[1:33], point[33:]
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyID,
		"x": base64.RawURLEncoding.EncodeToString(x),
		"y": base64.RawURLEncoding.EncodeToString(y),
	}}})
}
