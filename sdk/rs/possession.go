package rs

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sekisho-id/sekisho/internal/clientcert"
	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/oauth"
)

const nonceKeyBytes = 32

// UsedProofs remembers which proofs of possession were used, for all replicas of an
// API together (RFC 9449 §11.1).
type UsedProofs interface {
	// Use notes a proof as used until it expires. Of all who ever note the same id,
	// the first gets true.
	Use(ctx context.Context, id string, expires time.Time) (first bool, err error)
}

// sentToken is a token as a request brought it.
type sentToken struct {
	token string
	dpop  bool   // under the scheme DPoP
	proof string // of the DPoP header; empty where there is none
}

// mayBeBearer refuses a token without a proof where there must be one.
func (g *Guard) mayBeBearer(claims *tokenClaims) error {
	switch {
	case claims.Confirmation != nil && claims.Confirmation.X5T != "":
		return refuseToken("The token is bound to a certificate; make the request with it.")
	case claims.Confirmation != nil:
		return refuseToken("The token is bound to a key; send it under the scheme DPoP, with a proof.")
	case g.boundOnly:
		return refuseToken("This API takes only tokens that are bound to a key; ask for one with a DPoP proof.")
	}
	return nil
}

// prove checks that whoever sends a bound token holds its key, and that no token
// passes as one of the other kind (RFC 9449 §7).
func (g *Guard) prove(w http.ResponseWriter, r *http.Request, sent sentToken, claims *tokenClaims) error {
	switch {
	case claims.Confirmation != nil && claims.Confirmation.X5T != "" && !sent.dpop:
		return g.proveCertificate(r, claims.Confirmation.X5T)
	case !sent.dpop:
		return g.mayBeBearer(claims)
	case claims.Confirmation == nil || claims.Confirmation.JKT == "":
		return refuseToken("The token is bound to no key; send it under the scheme Bearer.")
	case sent.proof == "":
		return refuseProof("The token is bound to a key; send a DPoP proof with it.")
	}
	now := g.now()
	proof, err := g.checker.Check(sent.proof, dpop.Request{Method: r.Method, URL: g.addressOf(r), Token: sent.token}, now)
	switch {
	case err != nil:
		return refuseProof("The DPoP proof is refused: " + dpop.Reason(err) + ".")
	case proof.Thumbprint != claims.Confirmation.JKT:
		return refuseToken("The token is bound to another key than that of the DPoP proof.")
	}
	if g.nonces != nil {
		w.Header().Set(oauth.HeaderDPoPNonce, g.nonces.At(now))
		if !g.nonces.Fresh(proof.Nonce, now) {
			return &oauth.Error{
				Code: oauth.UseDPoPNonce, Status: http.StatusUnauthorized,
				Description: "The DPoP proof must hold the nonce of the DPoP-Nonce header.",
			}
		}
	}
	first, err := g.proofs.Use(r.Context(), proof.Thumbprint+"."+proof.ID, proof.Expires)
	switch {
	case err != nil:
		return unavailable()
	case !first:
		return refuseProof("The DPoP proof was used before.")
	}
	return nil
}

// proveCertificate checks that the request was made with the certificate that the
// token is bound to (RFC 8705 §3).
func (g *Guard) proveCertificate(r *http.Request, thumbprint string) error {
	presented := g.certificate(r)
	if presented == nil || clientcert.Thumbprint(presented) != thumbprint {
		return refuseToken("The token is bound to a certificate, which the request was not made with.")
	}
	return nil
}

func ofConnection(r *http.Request) *x509.Certificate {
	if presented := clientcert.FromTLS(r); len(presented) > 0 {
		return presented[0]
	}
	return nil
}

// CertificateFromHeader reads the certificate of a caller out of a header that a proxy
// sets: Client-Cert as RFC 9440 has it, or PEM in URL encoding as nginx writes it
// ($ssl_client_escaped_cert). The proxy must set it at every request, so that no
// caller can, and the API must not be reached but through it.
func CertificateFromHeader(name string) func(*http.Request) *x509.Certificate {
	return func(r *http.Request) *x509.Certificate {
		values := r.Header.Values(name)
		if len(values) != 1 {
			return nil
		}
		certificate, err := clientcert.FromHeader(values[0])
		if err != nil {
			return nil // as if none had been presented
		}
		return certificate
	}
}

func refuseProof(why string) error {
	return &oauth.Error{Code: oauth.InvalidDPoPProof, Description: why, Status: http.StatusUnauthorized}
}

// addressOf is the address that a request was sent to, without its query.
func (g *Guard) addressOf(r *http.Request) string {
	path := sentPath(r)
	if g.baseURL != "" {
		return g.baseURL + path
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + strings.ToLower(r.Host) + path
}

// sentPath is the path that the caller wrote: http.StripPrefix changes that of the
// URL on the way to a handler.
func sentPath(r *http.Request) string {
	if sent, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return sent.EscapedPath()
	}
	return r.URL.EscapedPath() // of a request that no server has read
}

// usedHere remembers the proofs that this process saw, in two halves: while one
// fills, the other is still asked, and is dropped when nothing in it can be new any
// more.
type usedHere struct {
	now func() time.Time

	mu             sync.Mutex
	filling, older map[string]struct{}
	since          time.Time // when filling began
}

const (
	usedHalf = 2*dpop.Window + 2*time.Second // no proof lives longer
	maxUsed  = 1 << 20                       // of a half; more are refused, since forgetting one would let it be replayed
)

func (u *usedHere) Use(_ context.Context, id string, _ time.Time) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := u.now(); now.Sub(u.since) >= usedHalf {
		u.older = u.filling
		if now.Sub(u.since) >= 2*usedHalf {
			u.older = nil
		}
		u.filling, u.since = make(map[string]struct{}), now
	}
	if _, used := u.older[id]; used {
		return false, nil
	}
	if _, used := u.filling[id]; used {
		return false, nil
	}
	if len(u.filling) >= maxUsed {
		return false, unavailable()
	}
	u.filling[id] = struct{}{}
	return true, nil
}
