package registry

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// ErrCertificate is a client certificate that is missing, or not the client's.
var ErrCertificate = fmt.Errorf("%w: certificate refused", ErrClientAuthentication)

// CertificateName is the name by which a client is known in a certificate that an
// authority of the group's has issued (RFC 8705 §2.1.2). One of the three is set.
type CertificateName struct {
	SubjectDN string
	DNS       string
	URI       string
}

// checkCertificate authenticates a client by the certificate that it has presented in
// TLS, which has shown that it holds the key (RFC 8705 §2).
func (r *Registry) checkCertificate(client *Client, presented []*x509.Certificate) error {
	if len(presented) == 0 {
		return fmt.Errorf("%w: none was presented", ErrCertificate)
	}
	own, now := presented[0], r.config.Now()
	if now.Before(own.NotBefore) || now.After(own.NotAfter) {
		return fmt.Errorf("%w: it has expired, or is not valid yet", ErrCertificate)
	}
	if client.Auth == AuthSelfSignedTLS {
		sum := sha256.Sum256(own.Raw)
		if !slices.ContainsFunc(client.CertificateHashes, func(known []byte) bool { return secret.Equal(sum[:], known) }) {
			return fmt.Errorf("%w: it is none of those that are registered", ErrCertificate)
		}
		return nil
	}
	if r.config.ClientRoots == nil {
		return fmt.Errorf("%w: no authority is trusted (--client-ca)", ErrCertificate)
	}
	between := x509.NewCertPool()
	for _, certificate := range presented[1:] {
		between.AddCert(certificate)
	}
	_, err := own.Verify(x509.VerifyOptions{
		Roots: r.config.ClientRoots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if !client.CertificateName.in(own) {
		return fmt.Errorf("%w: it is of another subject", ErrCertificate)
	}
	return nil
}

func certificateName(declared *GroupClient) CertificateName {
	return CertificateName{SubjectDN: declared.CertificateSubject, DNS: declared.CertificateDNS, URI: declared.CertificateURI}
}

// words are the name in a sentence.
func (n CertificateName) words() string {
	return cmp.Or(n.URI, n.DNS, n.SubjectDN, "nobody")
}

// in reports whether the certificate has the name.
func (n CertificateName) in(certificate *x509.Certificate) bool {
	switch {
	case n.SubjectDN != "":
		return certificate.Subject.String() == n.SubjectDN
	case n.DNS != "":
		return slices.ContainsFunc(certificate.DNSNames, func(name string) bool { return strings.EqualFold(name, n.DNS) })
	case n.URI != "":
		for _, uri := range certificate.URIs {
			if uri.String() == n.URI {
				return true
			}
		}
	}
	return false
}

// checkCertificates checks what the file says of the certificates of a client.
func (c clientCheck) checkCertificates() {
	names := 0
	for _, name := range []struct{ key, value string }{
		{"tls_client_auth_subject_dn", c.CertificateSubject}, {"tls_client_auth_san_dns", c.CertificateDNS}, {"tls_client_auth_san_uri", c.CertificateURI},
	} {
		if name.value == "" {
			continue
		}
		names++
		if c.Auth != AuthTLS {
			c.at(name.key, "only a client with tls_client_auth is known by a name in its certificate", "write `auth: tls_client_auth`, or remove it")
		}
	}
	switch {
	case c.Auth == AuthTLS && names != 1:
		c.at("auth", "tls_client_auth needs one name by which the client is known in its certificate", "write one of `tls_client_auth_san_uri:`, `tls_client_auth_san_dns:` and `tls_client_auth_subject_dn:`")
	case c.Auth == AuthSelfSignedTLS && len(c.Certificates) == 0:
		c.at("auth", "self_signed_tls_client_auth needs the certificates of the client", "write `certificate_sha256:` with the SHA-256 of each, in hex")
	case c.Auth != AuthSelfSignedTLS && len(c.Certificates) > 0:
		c.at("certificate_sha256", "only a client with self_signed_tls_client_auth is known by its certificates", "write `auth: self_signed_tls_client_auth`, or remove it")
	}
	if c.SenderConstraint == ConstraintMTLS && c.Auth == AuthNone {
		c.at("sender_constraint", "a public client has no certificate that lasts", "write `sender_constraint: dpop`")
	}
	if len(c.Certificates) > maxSecrets {
		c.at("certificate_sha256", fmt.Sprintf("has more than %d certificates", maxSecrets), "keep the one in use and the next one")
	}
	for i, text := range c.Certificates {
		if _, err := certificateHash(text); err != nil {
			c.at(fmt.Sprintf("certificate_sha256[%d]", i), "is no SHA-256 in small hex", "make it with: openssl x509 -in cert.pem -outform DER | sha256sum")
		}
	}
}

func certificateHash(text string) ([]byte, error) {
	hash, err := hex.DecodeString(text)
	if err != nil || len(hash) != sha256.Size || text != strings.ToLower(text) {
		return nil, errors.New("no SHA-256 in small hex")
	}
	return hash, nil
}
