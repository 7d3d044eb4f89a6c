package rp

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
)

// Config names the authorization server and the client one is there. With a
// Secret the client proves itself by client_secret_basic, with a Key by
// private_key_jwt; with neither it is a public client.
type Config struct {
	Issuer   string // exactly as the server writes it
	ClientID string
	Secret   string        // client_secret_basic
	Key      crypto.Signer // private_key_jwt: ECDSA P-256, RSA or Ed25519
	KeyID    string        // the kid of Key in the client's registered keys

	// AssertionFile holds a token that the platform of this program gives it, such as a
	// projected token of a Kubernetes service account with the issuer as its
	// audience: it is shown in place of a Secret or a Key, and read anew each time, since
	// the platform renews it.
	AssertionFile string

	// DPoPKey binds every token to this key (RFC 9449): ECDSA P-256, RSA or Ed25519. It
	// need not be registered. One that is made at start is enough for services;
	// tokens that outlive the program, as refresh tokens of public clients do,
	// need a key that does. Nil: tokens are bearer tokens.
	DPoPKey crypto.Signer

	// MTLS says that HTTPClient presents the certificate of this client (RFC 8705): it
	// proves the client, where there is neither Secret nor Key, and tokens may be bound
	// to it.
	MTLS bool

	HTTPClient *http.Client     // nil: a plain one with a timeout of 10 seconds
	Now        func() time.Time // nil: time.Now
}

// Client is one OAuth client of a group. Make it once with Discover and share
// it: it is safe for parallel use and remembers tokens until they expire.
type Client struct {
	Issuer   string         // the authorization server; not to be changed
	ID       string         // this client; not to be changed
	Metadata oauth.Metadata // what the server says of itself

	http   *http.Client
	api    string // where the server's own APIs are
	auth   authentication
	keys   *issuer.Keys
	now    func() time.Time
	tokens *tokens
	proofs *proofs // nil for bearer tokens
}

// Discover reads the server's metadata, checks that it is the configured
// issuer's, and makes the client. No token is asked for yet.
func Discover(ctx context.Context, config Config) (*Client, error) {
	auth, err := newAuthentication(&config)
	if err != nil {
		return nil, err
	}
	proofs, err := newProofs(config.DPoPKey)
	if err != nil {
		return nil, err
	}
	httpClient := issuer.Client(config.HTTPClient)
	metadata, err := issuer.Discover(ctx, httpClient, config.Issuer)
	if err != nil {
		return nil, err
	}
	api := strings.TrimSuffix(config.Issuer, "/")
	if config.MTLS {
		if api, err = useAliases(metadata, api); err != nil {
			return nil, err
		}
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	return &Client{
		Issuer:   config.Issuer,
		ID:       config.ClientID,
		Metadata: *metadata,
		http:     httpClient,
		api:      api,
		auth:     auth,
		keys:     issuer.NewKeys(metadata.JWKSURI, httpClient, now),
		now:      now,
		tokens:   newTokens(now),
		proofs:   proofs,
	}, nil
}

// Subsystem is the subsystem this client belongs to.
func (c *Client) Subsystem() string { return SubsystemOf(c.ID) }

// SubsystemOf is the subsystem of a client: the part of the client id before
// the dot. Pairwise subjects are one per subsystem, so this names whose they are.
func SubsystemOf(clientID string) string {
	subsystem, _, _ := strings.Cut(clientID, ".")
	return subsystem
}

// useAliases puts the endpoints for clients that present certificates in place of the
// others (RFC 8705 §5), and tells where the server's own APIs are for them.
func useAliases(metadata *oauth.Metadata, api string) (string, error) {
	aliases := metadata.MTLSEndpointAliases
	if aliases == nil {
		return "", errors.New("rp: Config.MTLS: the authorization server takes no certificates")
	}
	api = strings.TrimSuffix(aliases.TokenEndpoint, strings.TrimPrefix(metadata.TokenEndpoint, api))
	for _, one := range []struct {
		endpoint *string
		alias    string
	}{
		{&metadata.TokenEndpoint, aliases.TokenEndpoint},
		{&metadata.UserinfoEndpoint, aliases.UserinfoEndpoint},
		{&metadata.IntrospectionEndpoint, aliases.IntrospectionEndpoint},
		{&metadata.RevocationEndpoint, aliases.RevocationEndpoint},
		{&metadata.PushedAuthorizationRequestEndpoint, aliases.PushedAuthorizationRequestEndpoint},
	} {
		if one.alias != "" {
			*one.endpoint = one.alias
		}
	}
	return api, nil
}
