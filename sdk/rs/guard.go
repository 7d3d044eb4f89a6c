package rs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuer"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// Config says whose tokens are accepted, and for which API.
type Config struct {
	Issuer   string // exactly as the server writes it
	Audience string // this API's audience in the group file

	// SoleAudience refuses tokens that are good for another API too. The
	// authorization server itself beside this API does not count.
	SoleAudience bool

	// Introspect asks the server about each token instead of checking it
	// here: revocation is seen within a minute, and opaque tokens work. It
	// needs Client, a client of this API's subsystem.
	Introspect bool
	Client     *rp.Client

	// Metadata describes this API to clients that do not know it yet (RFC 9728); its
	// audience must be its https address. Nil: nothing is told. Serve it with
	// ServeMetadata.
	Metadata *Metadata

	// BoundOnly refuses tokens that are not bound to a key of their sender.
	// Bound ones are always taken, with their proof only (DPoP, RFC 9449).
	BoundOnly bool

	// BaseURL is where callers reach this API, as in https://api.market.example:
	// proofs name it. Empty: what each request was sent to, which is wrong behind a
	// proxy that ends TLS or changes the host or the path.
	BaseURL string

	// Certificate finds the certificate that a caller has presented, for tokens that
	// are bound to one (RFC 8705). Nil: that of the TLS connection of the request.
	// Behind a proxy that ends TLS: CertificateFromHeader.
	Certificate func(*http.Request) *x509.Certificate

	// NonceKey is 32 random bytes, the same on every replica. With it each proof must
	// hold a nonce that this API gave out in the last minutes, so that none can be
	// made in advance. Nil: none is asked for.
	NonceKey []byte

	// Proofs remembers which proofs were used. Nil: this process does, so that
	// another replica would take a stolen request once more while its proof is new,
	// two minutes at most.
	Proofs UsedProofs

	// Algorithms of signatures, out of ES256, RS256, PS256 and EdDSA. Empty:
	// ES256, which is what the server signs access tokens with.
	Algorithms []string

	// TracerProvider makes a span of each request that comes in without one
	// (OpenTelemetry). Nil: none, and a trace the caller began goes on to whomever
	// the handler calls.
	TracerProvider trace.TracerProvider

	HTTPClient *http.Client     // nil: a plain one with a timeout of 10 seconds
	Now        func() time.Time // nil: time.Now
}

// Guard lets requests with a good token through to handlers and refuses the
// others. Make it once with New and share it: it is safe for parallel use and
// has nothing to close.
type Guard struct {
	issuer       string
	audience     string
	soleAudience bool
	now          func() time.Time
	source       source
	traces       trace.TracerProvider
	own          string // this API's subsystem, where Config.Client tells
	ended        endings

	metadata    []byte // nil where there is none
	metadataURL string
	certificate func(*http.Request) *x509.Certificate

	boundOnly bool
	baseURL   string
	checker   dpop.Checker
	nonces    *dpop.Nonces // nil where none are asked for
	proofs    UsedProofs
}

// source finds the claims of a token that its issuer stands for: offline by
// the issuer's keys, or by asking.
type source interface {
	claims(ctx context.Context, token string, need requirement) (*tokenClaims, error)
}

// New reads the server's metadata and keys, so that a wrong configuration
// shows at start.
func New(ctx context.Context, config Config) (*Guard, error) {
	if config.Audience == "" {
		return nil, errors.New("rs: Config.Audience is empty")
	}
	guard := &Guard{
		issuer:       config.Issuer,
		audience:     config.Audience,
		soleAudience: config.SoleAudience,
		now:          config.Now,
		traces:       config.TracerProvider,
		boundOnly:    config.BoundOnly,
		baseURL:      strings.TrimSuffix(config.BaseURL, "/"),
		proofs:       config.Proofs,
		certificate:  config.Certificate,
	}
	if guard.now == nil {
		guard.now = time.Now
	}
	if config.Metadata != nil {
		var err error
		if guard.metadata, guard.metadataURL, err = describe(&config); err != nil {
			return nil, err
		}
	}
	if guard.certificate == nil {
		guard.certificate = ofConnection
	}
	if guard.proofs == nil {
		guard.proofs = &usedHere{now: guard.now}
	}
	switch {
	case config.NonceKey == nil:
	case len(config.NonceKey) != nonceKeyBytes:
		return nil, errors.New("rs: Config.NonceKey must be 32 random bytes, the same on every replica")
	default:
		guard.nonces = &dpop.Nonces{Key: config.NonceKey}
	}
	if config.Client != nil {
		guard.own = config.Client.Subsystem()
	}
	var err error
	if config.Introspect {
		guard.source, err = newIntrospection(&config, guard.now)
	} else {
		guard.source, err = newOffline(ctx, &config, guard.now)
	}
	if err != nil {
		return nil, err
	}
	return guard, nil
}

// CheckUser checks a token that came by another way than net/http, by which no
// proof comes: one that is bound to a key is refused. A refusal is an *oauth.Error;
// find it with errors.As. Use User where net/http is the way.
func (g *Guard) CheckUser(ctx context.Context, token, scope string) (*User, error) {
	need, err := parseRequirement(scope)
	if err != nil {
		return nil, err
	}
	claims, err := g.checkUnbound(ctx, token, need)
	if err != nil {
		return nil, err
	}
	return claims.user(need, g.audience)
}

// CheckService is CheckUser for calls in service context.
func (g *Guard) CheckService(ctx context.Context, token, scope string) (*Service, error) {
	need, err := parseRequirement(scope)
	if err != nil {
		return nil, err
	}
	claims, err := g.checkUnbound(ctx, token, need)
	if err != nil {
		return nil, err
	}
	return claims.service(need)
}

// check answers claims that are the issuer's, for this API, and in force.
func (g *Guard) check(ctx context.Context, token string, need requirement) (*tokenClaims, error) {
	claims, err := g.source.claims(ctx, token, need)
	if err != nil {
		return nil, err
	}
	if fault := g.faultOf(claims); fault != "" {
		return nil, refuseToken(fault)
	}
	return claims, nil
}

// checkUnbound is check for a token that comes with no proof.
func (g *Guard) checkUnbound(ctx context.Context, token string, need requirement) (*tokenClaims, error) {
	claims, err := g.check(ctx, token, need)
	if err != nil {
		return nil, err
	}
	return claims, g.mayBeBearer(claims)
}

// offline checks tokens by the issuer's published keys.
type offline struct {
	keys *issuer.Keys
	kind issuer.Kind
}

func newOffline(ctx context.Context, config *Config, now func() time.Time) (*offline, error) {
	algorithms, err := parseAlgorithms(config.Algorithms)
	if err != nil {
		return nil, err
	}
	client := issuer.Client(config.HTTPClient)
	metadata, err := issuer.Discover(ctx, client, config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("rs: %w", err)
	}
	keys := issuer.NewKeys(metadata.JWKSURI, client, now)
	if err := keys.Load(ctx); err != nil {
		return nil, fmt.Errorf("rs: %w", err)
	}
	// RFC 9068 §4: the typ keeps an ID token or an event from being taken for
	// an access token.
	kind := issuer.Kind{Types: []string{oauth.TypAccessToken}, Algorithms: algorithms}
	return &offline{keys: keys, kind: kind}, nil
}

func parseAlgorithms(names []string) ([]jose.SignatureAlgorithm, error) {
	if len(names) == 0 {
		return []jose.SignatureAlgorithm{jose.ES256}, nil
	}
	algorithms := make([]jose.SignatureAlgorithm, 0, len(names))
	for _, name := range names {
		switch alg := jose.SignatureAlgorithm(name); alg {
		case jose.ES256, jose.RS256, jose.PS256, jose.EdDSA:
			algorithms = append(algorithms, alg)
		default:
			return nil, fmt.Errorf("rs: Config.Algorithms: %q is not one of ES256, RS256, PS256, EdDSA", name)
		}
	}
	return algorithms, nil
}

func (o *offline) claims(ctx context.Context, token string, _ requirement) (*tokenClaims, error) {
	var claims tokenClaims
	err := o.keys.Verify(ctx, token, o.kind, &claims)
	switch {
	case err == nil:
		return &claims, nil
	case errors.Is(err, issuer.ErrMalformed):
		return nil, refuseToken("The token is no well formed signed JWT.")
	case errors.Is(err, issuer.ErrKind):
		return nil, refuseToken("The token is no access token signed in an accepted way.")
	case errors.Is(err, issuer.ErrSignature):
		return nil, refuseToken("The signature of the token is not its issuer's.")
	case errors.Is(err, issuer.ErrUnknownKey):
		return nil, refuseToken("The token is signed with a key that the issuer does not publish.")
	}
	return nil, unavailable()
}
