package mint

import (
	"errors"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/clientcert"
	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Possession tells to which key the tokens that a client asks for are bound: the
// one that the request proves possession of (RFC 9449 §5). It is nil for bearer
// tokens, which a client whose tokens must be bound does not get. The error is
// an *oauth.Error, or the server's own failure.
func (m *Mint) Possession(w http.ResponseWriter, r *http.Request, client *registry.Client) (*oauth.Confirmation, error) {
	proof, err := m.proof(w, r, client, "")
	switch {
	case err != nil:
		return nil, err
	case client.MTLSRequired && proof != nil:
		return nil, oauth.Refuse(oauth.InvalidRequest, "The tokens of this client are bound to its certificate (sender_constraint); send no DPoP proof.")
	case client.MTLSRequired:
		return m.presented(r)
	case proof != nil:
		return &oauth.Confirmation{JKT: proof.Thumbprint}, nil
	case client.DPoPRequired:
		return nil, oauth.Refuse(oauth.InvalidDPoPProof, "The tokens of this client are bound to a key (sender_constraint); send a DPoP proof.")
	}
	return nil, nil
}

// presented tells to which certificate tokens are bound: the one that the client has
// presented (RFC 8705 §3).
func (m *Mint) presented(r *http.Request) (*oauth.Confirmation, error) {
	certificates := m.Certificates.Of(r)
	if len(certificates) == 0 {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The tokens of this client are bound to its certificate (sender_constraint); present one, at the address of mtls_endpoint_aliases.")
	}
	return &oauth.Confirmation{X5T: clientcert.Thumbprint(certificates[0])}, nil
}

// PushedKey is the thumbprint of the key that a pushed request proves possession
// of, to which its code is bound (RFC 9449 §10.1). It may have none.
func (m *Mint) PushedKey(w http.ResponseWriter, r *http.Request, client *registry.Client) (string, error) {
	proof, err := m.proof(w, r, client, "")
	if err != nil || proof == nil {
		return "", err
	}
	return proof.Thumbprint, nil
}

// CheckSubjectProof checks the proof that the subject token of an exchange came with,
// and names its key (ADR 19). An error is dpop's.
func (m *Mint) CheckSubjectProof(proof, token string) (thumbprint string, err error) {
	return m.proofs.CheckSeen(proof, token, m.Now())
}

// CheckSent is Check for a token that came with a request to an API of this server:
// whoever sends a token that is bound to a key proves to hold it, and no token passes
// as one of the other kind (RFC 9449 §7). The error wraps ErrInvalid, is an
// *oauth.Error, or the server's own failure.
func (m *Mint) CheckSent(w http.ResponseWriter, r *http.Request, sent web.SentToken) (Checked, error) {
	checked, err := m.Check(r.Context(), sent.Token)
	if err != nil {
		return Checked{}, err
	}
	bound := checked.Claims().Confirmation
	switch {
	case bound == nil && !sent.DPoP:
		return checked, nil
	case bound != nil && bound.X5T != "":
		return checked, m.checkHolder(r, sent, bound)
	case bound == nil:
		return Checked{}, oauth.Refuse(oauth.InvalidToken, "The access token is bound to no key; send it under the scheme Bearer.")
	case !sent.DPoP:
		return Checked{}, oauth.Refuse(oauth.InvalidToken, "The access token is bound to a key; send it under the scheme DPoP, with a proof.")
	}
	proof, err := m.proof(w, r, checked.client(), sent.Token)
	var refused *oauth.Error
	switch {
	case errors.As(err, &refused): // RFC 9449 §7.1, §9: at a resource it is 401
		return Checked{}, &oauth.Error{Code: refused.Code, Description: refused.Description, Status: http.StatusUnauthorized}
	case err != nil:
		return Checked{}, err
	case proof == nil:
		return Checked{}, &oauth.Error{
			Code: oauth.InvalidDPoPProof, Status: http.StatusUnauthorized,
			Description: "The access token is bound to a key; send a DPoP proof with it.",
		}
	case proof.Thumbprint != bound.JKT:
		return Checked{}, oauth.Refuse(oauth.InvalidToken, "The access token is bound to another key than that of the DPoP proof.")
	}
	return checked, nil
}

// checkHolder asks for the certificate that a token is bound to (RFC 8705 §3). Its
// scheme is Bearer all the same.
func (m *Mint) checkHolder(r *http.Request, sent web.SentToken, bound *oauth.Confirmation) error {
	certificates := m.Certificates.Of(r)
	switch {
	case sent.DPoP:
		return oauth.Refuse(oauth.InvalidToken, "The access token is bound to a certificate; send it under the scheme Bearer.")
	case len(certificates) == 0 || clientcert.Thumbprint(certificates[0]) != bound.X5T:
		return oauth.Refuse(oauth.InvalidToken, "The access token is bound to a certificate, which the request was not made with.")
	}
	return nil
}

func (c Checked) client() *registry.Client {
	if c.User != nil {
		return c.User.Client
	}
	return c.Service.Client
}

// proof checks the DPoP proof of a request, and that it is used for the first time;
// nil where there is none. token is the access token sent with it.
func (m *Mint) proof(w http.ResponseWriter, r *http.Request, client *registry.Client, token string) (*dpop.Proof, error) {
	compact, err := dpop.FromHeader(r.Header)
	if err != nil {
		return nil, refuseProof(err)
	}
	if compact == "" {
		return nil, nil
	}
	now := m.Now()
	request := dpop.Request{Method: r.Method, URL: m.Issuer + r.URL.EscapedPath(), Token: token}
	if m.MTLSURL != "" {
		request.Alias = m.MTLSURL + r.URL.EscapedPath()
	}
	proof, err := m.proofs.Check(compact, request, now)
	if err != nil {
		return nil, refuseProof(err)
	}
	if client.DPoPNonce || proof.Nonce != "" {
		w.Header().Set(oauth.HeaderDPoPNonce, m.nonces.At(now))
		if !m.nonces.Fresh(proof.Nonce, now) {
			return nil, oauth.Refuse(oauth.UseDPoPNonce, "The DPoP proof must hold the nonce of the DPoP-Nonce header.")
		}
	}
	err = m.Registry.UseProof(r.Context(), client, proof)
	if errors.Is(err, registry.ErrReplayed) {
		return nil, oauth.Refuse(oauth.InvalidDPoPProof, "The DPoP proof was used before.")
	}
	return proof, err
}

func refuseProof(err error) error {
	return oauth.Refuse(oauth.InvalidDPoPProof, "The DPoP proof is refused: "+dpop.Reason(err)+".")
}
