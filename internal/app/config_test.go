package app_test

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// TestWhereClientsPresentCertificates: what does not go together is said at start, and
// no header is believed of everybody.
func TestWhereClientsPresentCertificates(t *testing.T) {
	t.Parallel()
	const at = "https://mtls.id.test"
	proxy := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		mtls  app.MTLS
		tls   string
		trust []netip.Prefix
		want  string
	}{
		"nowhere":                    {app.MTLS{}, "", nil, ""},
		"on a listener of our own":   {app.MTLS{URL: at, Listen: "localhost:8443", Roots: x509.NewCertPool()}, "id.pem", nil, ""},
		"behind a proxy":             {app.MTLS{URL: at, Header: "Client-Cert"}, "", proxy, ""},
		"a listener without address": {app.MTLS{Listen: "localhost:8443"}, "id.pem", nil, "--mtls-url"},
		"authorities for nobody":     {app.MTLS{Roots: x509.NewCertPool()}, "", nil, "--mtls-url"},
		"an address and no way":      {app.MTLS{URL: at}, "", nil, "--mtls-listen"},
		"a listener without TLS":     {app.MTLS{URL: at, Listen: "localhost:8443"}, "", nil, "--tls-cert"},
		"a header of anybody":        {app.MTLS{URL: at, Header: "Client-Cert"}, "", nil, "--trust-proxy"},
		"plain http":                 {app.MTLS{URL: "http://mtls.id.test", Header: "Client-Cert"}, "", proxy, "must be https"},
		"an address with a path":     {app.MTLS{URL: at + "/x", Header: "Client-Cert"}, "", proxy, "must be https"},
	} {
		err := app.Config{
			Database: "sekisho.db", PPIDSecrets: [][]byte{make([]byte, 32)}, KeyEncryptionKeys: []secret.KEK{secret.LocalKEK([secret.KeySize]byte{})},
			TLSCert: c.tls, TLSKey: c.tls, TrustProxy: c.trust, MTLS: c.mtls,
		}.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
