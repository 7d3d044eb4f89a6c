package token

import (
	"net/netip"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
)

// Config is what the door needs. All fields but TrustProxy are required.
type Config struct {
	Issuer     string
	DB         *db.DB
	Registry   *registry.Registry
	People     *account.People
	Grants     *grant.Grants
	Pairwise   *pairwise.Pairwise
	Budgets    *pairwise.Budgets // shared with the other doors that convert
	Mint       *mint.Mint
	Keys       *keyring.Keyring
	Audit      *audit.Log
	Push       Push           // keeps the requests that clients push
	TrustProxy []netip.Prefix // peers whose X-Forwarded-For is believed
	Now        func() time.Time
}

// Door serves the endpoints. Each is a method that is an http.HandlerFunc.
type Door struct {
	Config
	metadata web.Document
	limits   limits
}

// New makes a Door.
func New(c Config) *Door {
	return &Door{Config: c, metadata: newMetadata(c.Issuer, c.Mint.MTLSURL), limits: limits{now: c.Now}}
}

// The paths of the endpoints under the issuer, as the metadata tells them.
const (
	PathToken         = "/oauth2/token"
	PathIntrospection = "/oauth2/introspect"
	PathRevocation    = "/oauth2/revoke"
	PathUserinfo      = "/oauth2/userinfo"
	PathPush          = "/oauth2/par"
	PathJWKS          = "/oauth2/jwks"

	// Served by the door of the browser, told here (RFC 8414 §2).
	PathAuthorization = "/oauth2/authorize"
	PathEndSession    = "/oauth2/logout"

	// And by the door of registration.
	PathRegistration = "/oauth2/register"
)
