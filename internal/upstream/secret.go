package upstream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// apple is who reads a secret that is signed with the key of a team.
const apple = "https://appleid.apple.com"

// appleLife is how long such a secret is good; it is made for one request.
const appleLife = 5 * time.Minute

// errNoSecret is no fault: a provider without a secret is not offered.
var errNoSecret = errors.New("there is no secret for the provider")

// held is what this server has with a provider: a secret, or a key to sign one with. It is
// read each time, so that a new one needs no restart.
func (u *Upstream) held(p *registry.Provider) (password string, key *ecdsa.PrivateKey, err error) {
	if u.Secrets == "" {
		return "", nil, errNoSecret
	}
	text, err := os.ReadFile(filepath.Join(u.Secrets, p.Name))
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errNoSecret, err)
	}
	if p.Apple != nil {
		key, err = appleKey(p, text)
		return "", key, err
	}
	password = strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", nil, fmt.Errorf("%w: its file is empty", errNoSecret)
	}
	return password, nil, nil
}

// secret is what this server shows to a provider.
func (u *Upstream) secret(p *registry.Provider) (string, error) {
	password, key, err := u.held(p)
	if err != nil || key == nil {
		return password, err
	}
	return u.appleSecret(p, key)
}

// appleKey reads the key of the team.
func appleKey(p *registry.Provider, text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil {
		return nil, fmt.Errorf("the secret of %s is no private key in PEM", p.Name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the secret of %s is no P-256 private key in PKCS #8", p.Name)
	}
	return key, nil
}

// appleSecret signs the secret that Apple asks for.
func (u *Upstream) appleSecret(p *registry.Provider, key *ecdsa.PrivateKey) (string, error) {
	signer, err := jose.NewSigner(key, jose.ES256, p.Apple.Key, "")
	if err != nil {
		return "", err
	}
	now := u.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": p.Apple.Team, "sub": p.ClientID, "aud": apple, "iat": now.Unix(), "exp": now.Add(appleLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	return signer.Sign(claims)
}
