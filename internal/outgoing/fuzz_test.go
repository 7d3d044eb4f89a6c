package outgoing_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

// FuzzCheckURL holds the policy against an oracle that reads a host the way
// the most lenient resolver would: no URL that is let through leads to an
// address of the denied set.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range []string{
		"https://pay.example/hook", "https://127.0.0.1/", "https://[::ffff:7f00:1]/", "https://2130706433/", "https://0x7f.1/",
		"https://0177.1/", "https://localhost./", "https://user@pay.example/", "https://pay.example:8443/", "https://[64:ff9b::7f00:1]/",
		"https://1.1.1.1/", "https://%31/", "https://a\\b/", "https://[fe80::1%25lo]/", "gopher://pay.example/",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if (outgoing.Policy{}).CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || (u.Port() != "" && u.Port() != "443") {
			t.Fatalf("let through %q: %v", raw, err)
		}
		if host := u.Hostname(); strings.HasSuffix(host, ".") || strings.EqualFold(host, "localhost") {
			t.Fatalf("let through %q", raw)
		}
		if ip := leniently(u.Hostname()); ip != nil && denied(ip) {
			t.Fatalf("let through %q, which is %s", raw, ip)
		}
	})
}

// FuzzAddress does the same for what the dialer asks: any address and port.
func FuzzAddress(f *testing.F) {
	for _, text := range append(deniedAddresses, publicAddresses...) {
		f.Add(netip.MustParseAddr(text).AsSlice(), uint16(443))
	}
	f.Add([]byte{1, 1, 1, 1}, uint16(80))
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) {
		address, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		network := "tcp6"
		if address.Is4() {
			network = "tcp4"
		}
		err := (outgoing.Policy{}).CheckAddress(network, netip.AddrPortFrom(address, port).String(), false)
		if err == nil && (port != 443 || denied(net.IP(raw))) {
			t.Fatalf("let through %s port %d", address, port)
		}
	})
}

// denied is the denied set by the standard library's own older judgement and
// the blocks it has no name for. It is weaker than the policy on purpose:
// what it denies, the policy must deny.
func denied(ip net.IP) bool {
	if ip4 := ip.To4(); ip4 != nil {
		n := binary.BigEndian.Uint32(ip4)
		return ip4[0] == 0 || ip4[0] >= 224 || n>>22 == 100<<2|1 || // this network, reserved, carrier-grade NAT
			ip4.IsLoopback() || ip4.IsPrivate() || ip4.IsLinkLocalUnicast()
	}
	nat64 := net.IPNet{IP: net.ParseIP("64:ff9b::"), Mask: net.CIDRMask(96, 128)}
	return !ip.IsGlobalUnicast() || ip.IsPrivate() || nat64.Contains(ip) || allZero(ip[:12])
}

func allZero(bytes []byte) bool { return strings.Trim(string(bytes), "\x00") == "" }

// leniently reads a host as inet_aton and browsers do: one to four numbers,
// each decimal, octal or hexadecimal, the last filling what is left.
func leniently(host string) net.IP {
	if ip := net.ParseIP(host); ip != nil {
		return ip
	}
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return nil
	}
	var value uint64
	for i, part := range parts {
		n, err := number(part)
		last := i == len(parts)-1
		switch {
		case err != nil, !last && n > 255, last && n >= 1<<(8*(5-len(parts))):
			return nil
		case last:
			value |= n
		default:
			value |= n << (8 * (3 - i))
		}
	}
	return net.IPv4(byte(value>>24), byte(value>>16), byte(value>>8), byte(value))
}

func number(part string) (uint64, error) {
	lower := strings.ToLower(part)
	switch {
	case lower == "0x":
		return 0, nil
	case strings.HasPrefix(lower, "0x"):
		return strconv.ParseUint(lower[2:], 16, 32)
	case strings.HasPrefix(lower, "0"):
		return strconv.ParseUint(lower, 8, 32)
	default:
		return strconv.ParseUint(lower, 10, 32)
	}
}
