package upstream

import (
	"bytes"
	"crypto/ecdsa"
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

// secret is what this server shows to a provider. It is read each time, so that a new one
// needs no restart.
func (u *Upstream) secret(p *registry.Provider) (string, error) {
	if u.Secrets == "" {
		return "", errNoSecret
	}
	text, err := os.ReadFile(filepath.Join(u.Secrets, p.Name))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoSecret, err)
	}
	if p.Apple != nil {
		return u.appleSecret(p, text)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("%w: its file is empty", errNoSecret)
	}
	return password, nil
}

// appleSecret signs the secret that Apple asks for, with the key of the team.
func (u *Upstream) appleSecret(p *registry.Provider, text []byte) (string, error) {
	block, _ := pem.Decode(bytes.TrimSpace(text))
	if block == nil {
		return "", fmt.Errorf("the secret of %s is no private key in PEM", p.Name)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return "", fmt.Errorf("the secret of %s is no ECDSA private key in PKCS #8", p.Name)
	}
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
