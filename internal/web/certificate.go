package web

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sekisho-id/sekisho/internal/clientcert"
)

// Certificates says where the certificates of clients are found (RFC 8705 §6.5). The
// zero value finds them on TLS connections of our own.
type Certificates struct {
	Header  string         // that a proxy sets at every request; empty for none
	Host    string         // the host whose requests the proxy sets it at
	Trusted []netip.Prefix // the proxies whose word counts
}

// Of are the certificates that the client of a request has presented, its own first;
// nil where it has presented none, or one that cannot be read. From a proxy comes the
// client's own alone, and at one host only: at others it may leave in place what a
// client has written itself.
func (c Certificates) Of(r *http.Request) []*x509.Certificate {
	if c.Header == "" {
		return clientcert.FromTLS(r)
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !within(peer.Addr().Unmap(), c.Trusted) || !strings.EqualFold(r.Host, c.Host) {
		return clientcert.FromTLS(r)
	}
	values := r.Header.Values(c.Header)
	if len(values) != 1 {
		return nil
	}
	certificate, err := clientcert.FromHeader(values[0])
	if err != nil {
		Event(r.Context()).Set("certificate", err.Error())
	}
	if err != nil || certificate == nil {
		return nil
	}
	return []*x509.Certificate{certificate}
}
