package outgoing

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

// NewClientWithResolver makes the client with the same dialer, but names are
// resolved by a server of the test.
func NewClientWithResolver(p Policy, resolver *net.Resolver) *http.Client {
	return newClient(p, func(control controlFunc) dialFunc {
		return (&net.Dialer{Timeout: connectTimeout, Control: control, Resolver: resolver}).DialContext
	})
}

// NewClientWithDial makes the client over connections of the test, for tests
// under a fake clock.
func NewClientWithDial(p Policy, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return newClient(p, func(controlFunc) dialFunc { return dial })
}

// CheckAddress is what the dialer asks before it connects.
func (p Policy) CheckAddress(network, address string, plain bool) error {
	return p.control(plain)(network, address, nil)
}

// Public is the judgement of an address alone.
func Public(address netip.Addr) bool { return public(address) }

const (
	ConnectTimeout = connectTimeout
	TotalTimeout   = totalTimeout
	MaxHeaderBytes = maxHeaderBytes
	MaxBodyBytes   = maxBodyBytes
)
