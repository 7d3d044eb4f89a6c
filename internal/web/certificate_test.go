package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/sekisho-id/sekisho/internal/web"
)

// TestOnlyTheProxySaysWhoPresentedACertificate: one that is trusted, at the host it
// sets the header for, once.
func TestOnlyTheProxySaysWhoPresentedACertificate(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	value := ":" + base64.StdEncoding.EncodeToString(der) + ":"
	from := web.Certificates{Header: "Client-Cert", Host: "mtls.id.test", Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, c := range map[string]struct {
		from       web.Certificates
		peer, host string
		values     []string
		found      bool
	}{
		"the proxy":           {from, "10.1.1.1:1", "mtls.id.test", []string{value}, true},
		"host in capitals":    {from, "10.1.1.1:1", "MTLS.id.test", []string{value}, true},
		"somebody else":       {from, "203.0.113.1:1", "mtls.id.test", []string{value}, false},
		"at another host":     {from, "10.1.1.1:1", "id.test", []string{value}, false},
		"twice":               {from, "10.1.1.1:1", "mtls.id.test", []string{value, value}, false},
		"garbage":             {from, "10.1.1.1:1", "mtls.id.test", []string{"garbage"}, false},
		"none":                {from, "10.1.1.1:1", "mtls.id.test", nil, false},
		"no header is wanted": {web.Certificates{Trusted: from.Trusted}, "10.1.1.1:1", "mtls.id.test", []string{value}, false},
	} {
		r := httptest.NewRequest("POST", "/oauth2/token", nil)
		r.RemoteAddr, r.Host = c.peer, c.host
		for _, one := range c.values {
			r.Header.Add("Client-Cert", one)
		}
		if got := c.from.Of(r); (len(got) == 1) != c.found {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Through the proxy a certificate of the proxy's own connection is nobody's.
	r := httptest.NewRequest("POST", "/oauth2/token", nil)
	r.RemoteAddr, r.Host, r.TLS = "10.1.1.1:1", "mtls.id.test", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{template}}
	if got := from.Of(r); got != nil {
		t.Errorf("of the proxy: %v", got)
	}
}
