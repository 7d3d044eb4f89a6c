package registry

import (
	"errors"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/oauth"
)

// ClientType is the kind of software a client is.
type ClientType string

// The client types.
const (
	TypeWeb     ClientType = "web"     // a site with a server
	TypeNative  ClientType = "native"  // an app on a person's device (RFC 8252)
	TypeSPA     ClientType = "spa"     // an app in a person's browser
	TypeBackend ClientType = "backend" // a program no person looks at
)

// phrase is the type with its article.
func (t ClientType) phrase() string {
	if t == TypeSPA {
		return "an spa"
	}
	return "a " + string(t)
}

// AuthMethod is how a client proves to be itself (OIDC Core §9).
type AuthMethod string

// The client authentication methods.
const (
	AuthNone          AuthMethod = oauth.AuthNone
	AuthSecretBasic   AuthMethod = oauth.AuthSecretBasic
	AuthSecretPost    AuthMethod = oauth.AuthSecretPost
	AuthPrivateKeyJWT AuthMethod = oauth.AuthPrivateKeyJWT
	AuthTLS           AuthMethod = oauth.AuthTLS
	AuthSelfSignedTLS AuthMethod = oauth.AuthSelfSignedTLS
)

// usesSecret reports whether the method needs a shared secret.
func (m AuthMethod) usesSecret() bool { return m == AuthSecretBasic || m == AuthSecretPost }

// usesCertificate reports whether the client proves itself by its certificate.
func (m AuthMethod) usesCertificate() bool { return m == AuthTLS || m == AuthSelfSignedTLS }

// Client is one OAuth client of a subsystem.
type Client struct {
	ID        string // subsystem.client
	Name      Text   // for people; the subsystem's where the client has none
	Subsystem *Subsystem
	Type      ClientType
	Profile   Profile
	Auth      AuthMethod

	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	CORSOrigins            []string // of a public client in a browser
	PKCEOptional           bool     // never true for a public client
	PARRequired            bool     // it must push its authorization requests (RFC 9126)
	JARRequired            bool     // it must sign them (RFC 9101)
	DPoPRequired           bool     // its tokens are bound to a key that it proves to hold (RFC 9449)
	DPoPNonce              bool     // and its proofs hold a nonce of ours
	MTLSRequired           bool     // its tokens are bound to its certificate (RFC 8705 §3)
	IDTokenAlg             jose.Alg // RS256 or ES256
	ACR                    string   // how strongly people sign in to it at least; empty for any way
	FormerSubject          bool     // it wants former_sub after its sector was re-keyed
	Rate                   int      // token requests a second
	Burst                  int      // and how many at once

	SecretHashes [][]byte   // SHA-256; several while a secret is being replaced
	JWKS         *jose.JWKS // that it signs assertions and requests with; nil for none

	Workload          *Workload       // of a client whose assertions are tokens of its platform; else nil
	CertificateName   CertificateName // of a client with tls_client_auth
	CertificateHashes [][]byte        // SHA-256 of those of one with self_signed_tls_client_auth

	// OncePerReplica says that an assertion or a proof is remembered by the process
	// that took it only.
	OncePerReplica bool

	ClientURI        string
	LogoURI          string
	PolicyURI        string
	TOSURI           string
	InitiateLoginURI string

	BackChannelLogoutURI     string // where it is told of ended sessions; empty: it is not
	BackChannelLogoutSession bool   // it wants the sid, which it gets in any case
}

// Public reports whether the client cannot keep a secret (RFC 6749 §2.1).
func (c *Client) Public() bool { return c.Auth == AuthNone }

// MayCall reports whether the client is as strict as the resource asks of whoever
// gets tokens for it.
func (c *Client) MayCall(r *Resource) bool { return c.Profile.reaches(r.Profile) }

// FirstParty reports whether the client belongs to the group.
func (c *Client) FirstParty() bool { return c.Subsystem.Scenario.FirstParty() }

// MatchRedirectURI reports whether uri is one of the registered redirect URIs,
// byte for byte; on a person's device the port of a loopback address is free.
func (c *Client) MatchRedirectURI(uri string) bool {
	return matchURI(c.RedirectURIs, uri, c.Type == TypeNative)
}

// MatchPostLogoutRedirectURI is MatchRedirectURI for the place to go to after
// sign-out.
func (c *Client) MatchPostLogoutRedirectURI(uri string) bool {
	return matchURI(c.PostLogoutRedirectURIs, uri, c.Type == TypeNative)
}

// ErrGrantRefused is a grant type the client's scenario or kind does not have.
var ErrGrantRefused = errors.New("grant type is not for this client")

// AllowsGrant returns nil where the client may use the grant type, and else an
// error that says in plain ASCII why not. It wraps ErrGrantRefused.
func (c *Client) AllowsGrant(grant oauth.GrantType) error {
	scenario := c.Subsystem.Scenario
	switch {
	case !scenario.allows(grant):
		return fmt.Errorf("%w: %s is %s; it has no %s", ErrGrantRefused, c.Subsystem.Name, scenario.described(), grantName(grant))
	case c.Public() && (grant == oauth.GrantClientCredentials || grant == oauth.GrantTokenExchange):
		return fmt.Errorf("%w: %s is a public client and cannot prove to be itself; %s needs a confidential one", ErrGrantRefused, c.ID, grantName(grant))
	case len(c.RedirectURIs) == 0 && (grant == oauth.GrantAuthorizationCode || grant == oauth.GrantRefreshToken):
		return fmt.Errorf("%w: %s signs nobody in, since it has no redirect_uris; %s is not for it", ErrGrantRefused, c.ID, grantName(grant))
	}
	return nil
}

// grantName is the grant type in words.
func grantName(grant oauth.GrantType) string {
	switch grant {
	case oauth.GrantAuthorizationCode:
		return "authorization code flow"
	case oauth.GrantRefreshToken:
		return "refresh token"
	case oauth.GrantClientCredentials:
		return "client credentials (service context)"
	case oauth.GrantTokenExchange:
		return "token exchange"
	default:
		return "such grant type"
	}
}
