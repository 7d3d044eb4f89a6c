package rp

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
)

// assertionLife is how long a client assertion may be used. It is made for
// each request, so it only has to outlive the way and the two clocks.
const assertionLife = time.Minute

// authentication proves the client to the server in one way. Exactly one of
// secret, signer and file is set, or none for a public client.
type authentication struct {
	clientID string
	issuer   string
	secret   string
	signer   jose.Signer
	requests jose.Signer // of authorization requests, with the same key
	file     string      // of an assertion that the platform has made
	now      func() time.Time
}

func newAuthentication(config *Config) (authentication, error) {
	auth := authentication{clientID: config.ClientID, issuer: config.Issuer, secret: config.Secret, file: config.AssertionFile, now: config.Now}
	if auth.now == nil {
		auth.now = time.Now
	}
	switch {
	case config.ClientID == "":
		return auth, errors.New("rp: Config.ClientID is empty")
	case config.AssertionFile != "" && (config.Key != nil || config.Secret != ""):
		return auth, errors.New("rp: Config has an AssertionFile and a Secret or a Key; a client proves itself in one way")
	case config.Key == nil:
		return auth, nil
	case config.Secret != "":
		return auth, errors.New("rp: Config has both a Secret and a Key; a client proves itself in one way")
	}
	alg, ok := dpop.AlgorithmOf(config.Key.Public())
	if !ok {
		return auth, fmt.Errorf("rp: Config.Key of type %T cannot be used; take ECDSA P-256, RSA or Ed25519", config.Key.Public())
	}
	if config.KeyID == "" {
		return auth, errors.New("rp: Config.Key needs its KeyID, the kid registered for it")
	}
	key := jose.SigningKey{Algorithm: alg, Key: dpop.Opaque(config.Key)}
	signer := func(typ jose.ContentType) (jose.Signer, error) {
		return jose.NewSigner(key, (&jose.SignerOptions{}).WithType(typ).WithHeader("kid", config.KeyID))
	}
	var err error
	if auth.signer, err = signer("JWT"); err != nil {
		return auth, err
	}
	auth.requests, err = signer("oauth-authz-req+jwt")
	return auth, err
}

// apply adds the proof to a request that will carry form as its body.
func (a *authentication) apply(header http.Header, form url.Values) error {
	switch {
	case a.signer != nil:
		assertion, err := a.assertion()
		if err != nil {
			return fmt.Errorf("rp: signing the client assertion: %w", err)
		}
		form.Set("client_assertion_type", oauth.AssertionJWTBearer)
		form.Set("client_assertion", assertion)
	case a.file != "":
		token, err := os.ReadFile(a.file)
		if err != nil {
			return fmt.Errorf("rp: Config.AssertionFile: %w", err)
		}
		form.Set("client_id", a.clientID)
		form.Set("client_assertion_type", oauth.AssertionJWTBearer)
		form.Set("client_assertion", strings.TrimSpace(string(token)))
	case a.secret != "":
		// Both halves are form-encoded first (RFC 6749 §2.3.1).
		request := http.Request{Header: header}
		request.SetBasicAuth(url.QueryEscape(a.clientID), url.QueryEscape(a.secret))
	default:
		form.Set("client_id", a.clientID)
	}
	return nil
}

// assertion makes a private_key_jwt for this issuer (RFC 7523 §3). The
// audience is the issuer alone, so that no other server can use it.
func (a *authentication) assertion() (string, error) {
	now := a.now()
	return compact(a.signer, map[string]any{
		"iss": a.clientID,
		"sub": a.clientID,
		"aud": a.issuer,
		"iat": now.Unix(),
		"exp": now.Add(assertionLife).Unix(),
		"jti": rand.Text(),
	})
}

// requestLife is how long a signed authorization request may be used.
const requestLife = 5 * time.Minute

// requestObject signs the parameters of an authorization request (RFC 9101 §4).
func (a *authentication) requestObject(request url.Values) (string, error) {
	now := a.now()
	claims := map[string]any{
		"iss": a.clientID, "aud": a.issuer, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(requestLife).Unix(),
	}
	for name, values := range request {
		claims[name] = values
		if len(values) == 1 {
			claims[name] = values[0]
		}
	}
	return compact(a.requests, claims)
}

// compact is a signed token with these claims.
func compact(signer jose.Signer, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
