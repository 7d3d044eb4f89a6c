package registry

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

// Credentials are what a request brought to prove which client it is from.
type Credentials struct {
	Method        AuthMethod // the way they were sent, whatever the client is registered for
	ClientID      string     // may be empty where there is an assertion
	Secret        string
	AssertionType string
	Assertion     string
	Certificates  []*x509.Certificate // presented in TLS, the client's own first
	Audiences     []string            // whom an assertion may be addressed to: the issuer first, then the token endpoint and the endpoint called
}

// Claimed is the client id that the credentials claim, before anything of them
// is believed; empty if they claim none.
func (c Credentials) Claimed() string {
	if c.ClientID != "" || c.Assertion == "" {
		return c.ClientID
	}
	claimed, err := claimedSubject(c.Assertion)
	if err != nil {
		return ""
	}
	return claimed
}

// ErrClientAuthentication is every failure of client authentication. The errors
// below wrap it and say why, for the audit; a client learns nothing of that
// (RFC 6749 §5.2).
var ErrClientAuthentication = errors.New("client authentication failed")

// Why client authentication failed.
var (
	ErrClientUnknown = fmt.Errorf("%w: no such client", ErrClientAuthentication)
	ErrMethod        = fmt.Errorf("%w: method is not the one registered", ErrClientAuthentication)
	ErrSecret        = fmt.Errorf("%w: wrong secret", ErrClientAuthentication)
	ErrAssertion     = fmt.Errorf("%w: assertion refused", ErrClientAuthentication)
	ErrReplayed      = fmt.Errorf("%w: assertion was used before", ErrClientAuthentication)
)

// ErrAssertionsFull says that more assertions of a client are alive than it may
// have. Callers answer 503; forgetting one of them would let it be replayed.
var ErrAssertionsFull = errors.New("registry: too many client assertions are alive")

// Authenticate tells which client sent the credentials, or why it does not
// believe them. For an unknown client it does the work of a known one.
func (r *Registry) Authenticate(ctx context.Context, credentials Credentials) (*Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch credentials.Method {
	case AuthNone:
		return r.identify(credentials)
	case AuthSecretBasic, AuthSecretPost:
		return r.checkSecret(credentials)
	case AuthPrivateKeyJWT:
		return r.checkAssertion(ctx, credentials)
	default:
		return nil, ErrMethod
	}
}

// identify takes a public client by its word (RFC 6749 §3.2.1), and one that proves
// itself by its certificate by that.
func (r *Registry) identify(credentials Credentials) (*Client, error) {
	client, known := r.Current().Client(credentials.ClientID)
	switch {
	case !known:
		return nil, ErrClientUnknown
	case client.Auth.usesCertificate():
		if err := r.checkCertificate(client, credentials.Certificates); err != nil {
			return nil, err
		}
	case !client.Public():
		return nil, ErrMethod
	}
	return client, nil
}

// checkSecret compares a secret with the hashes of the client, all of them and
// in constant time (RFC 6749 §2.3.1).
func (r *Registry) checkSecret(credentials Credentials) (*Client, error) {
	client, known := r.Current().Client(credentials.ClientID)
	hashes := r.decoy.hashes
	if known && len(client.SecretHashes) > 0 {
		hashes = client.SecretHashes
	}
	presented := secret.Hash(credentials.Secret)
	match := 0
	for _, hash := range hashes {
		match |= subtle.ConstantTimeCompare(presented, hash)
	}
	switch {
	case !known:
		return nil, ErrClientUnknown
	case client.Auth != credentials.Method:
		return nil, ErrMethod
	case match == 0:
		return nil, ErrSecret
	}
	return client, nil
}

// checkAssertion checks a private_key_jwt assertion (RFC 7523 §3, OIDC Core §9).
func (r *Registry) checkAssertion(ctx context.Context, credentials Credentials) (*Client, error) {
	if credentials.AssertionType != oauth.AssertionJWTBearer {
		return nil, fmt.Errorf("%w: client_assertion_type is %.80q", ErrAssertion, credentials.AssertionType)
	}
	claimed, err := claimedSubject(credentials.Assertion)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	client, known := r.Current().Client(cmp.Or(credentials.ClientID, claimed))
	workload := known && client.Workload != nil
	if credentials.ClientID != "" && credentials.ClientID != claimed && !workload {
		return nil, fmt.Errorf("%w: sub is not the client_id of the request", ErrAssertion)
	}
	if !known || client.Auth != AuthPrivateKeyJWT { // others may have keys, to sign requests with
		r.decoy.verify(credentials.Assertion)
		if !known {
			return nil, ErrClientUnknown
		}
		return nil, ErrMethod
	}
	payload, header, err := client.JWKS.Verify(credentials.Assertion, client.Profile.signingAlgs())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	now := r.config.Now()
	assertion, err := readAssertion(payload, header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	if workload {
		if err := assertion.checkWorkload(client.Workload, credentials.Audiences[0], now); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
		}
		return client, nil
	}
	if err := assertion.check(client, credentials.Audiences, now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAssertion, err)
	}
	if err := r.useOnce(ctx, client, use{client.ID, idOf(client.ID, assertion.ID), assertion.expires()}); err != nil {
		return nil, err
	}
	return client, nil
}
