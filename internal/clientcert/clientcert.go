package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const maxHeader = 16 << 10

// Thumbprint is how a token names a certificate, as in x5t#S256 (RFC 8705 §3.1).
func Thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// FromTLS is what a client has presented on this connection, its own certificate
// first; nil where it has presented none.
func FromTLS(r *http.Request) []*x509.Certificate {
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// FromHeader reads the certificate that a proxy has put into a header: as a byte
// sequence (RFC 9440 §2.1) or as PEM in URL encoding, as nginx and Envoy write it. It is
// nil where the header is empty.
func FromHeader(value string) (*x509.Certificate, error) {
	if value == "" {
		return nil, nil
	}
	if len(value) > maxHeader {
		return nil, errors.New("clientcert: the header is too long")
	}
	if encoded, ok := strings.CutPrefix(value, ":"); ok {
		der, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, ":"))
		if err != nil {
			return nil, errors.New("clientcert: the header is no byte sequence (RFC 9440)")
		}
		return x509.ParseCertificate(der)
	}
	text, err := url.PathUnescape(value) // + stands for itself, as in base64
	if err != nil {
		return nil, errors.New("clientcert: the header is not URL-encoded")
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("clientcert: the header holds no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
