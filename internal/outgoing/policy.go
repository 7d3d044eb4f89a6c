package outgoing

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Policy says where requests may go. The zero value: to public addresses, by
// https, on port 443.
type Policy struct {
	// Networks are private networks that requests may go to as well, on any
	// port. Link-local, multicast and unspecified addresses stay closed: no
	// receiver of messages lives there, but the metadata services of clouds do.
	Networks []netip.Prefix
	// InsecureHTTP allows plain http to loopback addresses, for development.
	InsecureHTTP bool
	RootCAs      *x509.CertPool // nil: the system's
}

// PolicyFor is the policy of a server with this issuer: private networks as they are
// named, and where it is on this machine alone, for development, this machine too.
func PolicyFor(issuer string, networks []netip.Prefix, roots *x509.CertPool) Policy {
	policy := Policy{Networks: slices.Clone(networks), RootCAs: roots}
	if onLoopback(issuer) {
		policy.InsecureHTTP = true
		policy.Networks = append(policy.Networks, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	}
	return policy
}

// onLoopback reports whether a URL names this machine and no other.
func onLoopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.IsLoopback()
}

const maxURLBytes = 2048

// Refusals of CheckURL. One sentence for all addresses and names, so that it
// does not tell which of them mean something here.
var (
	ErrURL     = errors.New("the URL must be an absolute https URL of at most 2048 characters, without user name and fragment")
	ErrAddress = errors.New("requests are not sent to the host or port of this URL")
)

// CheckURL refuses a URL that requests could never be sent to. It is an early
// answer for whoever registers it; what a name resolves to is checked at each
// connection.
func (p Policy) CheckURL(raw string) error {
	u, err := p.parse(raw)
	if err != nil {
		return err
	}
	return p.checkHost(u)
}

func (p Policy) parse(raw string) (*url.URL, error) {
	if len(raw) > maxURLBytes || strings.ContainsAny(raw, "#\\") {
		return nil, ErrURL
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] > '~' {
			return nil, ErrURL // names in other scripts are registered as xn--…
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Opaque != "", u.User != nil, u.Hostname() == "":
		return nil, ErrURL
	case u.Scheme == "https", u.Scheme == "http" && p.InsecureHTTP:
		return u, nil
	}
	return nil, ErrURL
}

func (p Policy) checkHost(u *url.URL) error {
	plain := u.Scheme == "http"
	port, err := portOf(u)
	if err != nil {
		return err
	}
	host := strings.ToLower(u.Hostname())
	if address, err := netip.ParseAddr(host); err == nil {
		return p.checkAddress(netip.AddrPortFrom(address, port), plain)
	}
	switch {
	case !hostname(host), numeric(host):
		return ErrAddress
	case port != 443 && len(p.Networks) == 0 && !plain:
		return ErrAddress
	case host == "localhost" || strings.HasSuffix(host, ".localhost"):
		// RFC 6761 §6.3: never anything but loopback.
		return p.checkAddress(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), plain)
	}
	return nil
}

// checkAddress judges where a connection is about to go.
func (p Policy) checkAddress(to netip.AddrPort, plain bool) error {
	address := to.Addr().Unmap()
	switch {
	case address.Zone() != "", to.Port() == 0:
		return ErrAddress
	case address.IsLinkLocalUnicast(), address.IsMulticast(), address.IsUnspecified():
		return ErrAddress
	case plain && !(p.InsecureHTTP && address.IsLoopback()):
		return ErrAddress
	case plain, within(p.Networks, address):
		return nil
	case public(address) && to.Port() == 443:
		return nil
	}
	return ErrAddress
}

// portOf reads the port in its one canonical spelling.
func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	switch {
	case text == "" && strings.HasSuffix(u.Host, ":"):
		return 0, ErrAddress
	case text == "" && u.Scheme == "http":
		return 80, nil
	case text == "":
		return 443, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || strconv.FormatUint(port, 10) != text {
		return 0, ErrAddress
	}
	return uint16(port), nil
}

// hostname reports whether a host is a name as DNS has them (RFC 1123 §2.1),
// with the underscore that some have. A name that ends in a dot would pass
// comparisons that the name without it does not.
func hostname(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

// numeric reports whether some resolvers read a host as an IPv4 address in one
// of its old spellings: 2130706433, 0177.0.0.1, 0x7f.1 (WHATWG URL, "ends in a
// number"). No top-level domain is a number.
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
