package registry

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxURI = 2048

// uriUse is what a URI in the file is for; it decides which schemes there are.
type uriUse struct {
	what    string // as in "a redirect URI"
	private bool   // private-use schemes are good (RFC 8252 §7.1)
}

var (
	redirectUse       = uriUse{what: "a redirect URI"}
	nativeRedirectUse = uriUse{what: "a redirect URI", private: true}
	pageUse           = uriUse{what: "the address of a page"}
	issuerUse         = uriUse{what: "an issuer"}
	originUse         = uriUse{what: "an origin"}
	providerUse       = uriUse{what: "an issuer"}
)

// uriFault says what is wrong with a URI that people are sent to, and what to
// write instead; empty where nothing is. What browsers and servers read
// differently is refused, so that byte equality is enough later (RFC 9700
// §4.1).
func uriFault(uri string, use uriUse) (what, hint string) {
	if what, hint := spellingFault(uri); what != "" {
		return what, hint
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "is no URI: " + reason(err), "write it as in https://shop.example/callback"
	}
	scheme, _, _ := strings.Cut(uri, ":")
	switch {
	case u.Scheme == "":
		return "is not absolute", "begin with https://"
	case slices.Contains(runningSchemes, u.Scheme):
		return "has the scheme " + u.Scheme + ":, which runs or reads something in the browser", "write an https URI"
	case scheme != u.Scheme:
		return "has its scheme in capitals", "write " + u.Scheme + ":"
	case u.Scheme != "https" && u.Scheme != "http":
		return privateFault(uri, u.Scheme, use)
	}
	if what, hint := originFault(u); what != "" {
		return what, hint
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if plain := strings.ReplaceAll(strings.ToLower(segment), "%2e", "."); plain == "." || plain == ".." {
			return "has the path segment " + segment, "write the path it stands for"
		}
	}
	return "", ""
}

// spellingFault checks the bytes of a URI (RFC 3986 §2).
func spellingFault(uri string) (what, hint string) {
	switch {
	case uri == "":
		return "is empty", "write a URI"
	case len(uri) > maxURI:
		return fmt.Sprintf("has %d bytes, more than %d", len(uri), maxURI), "write a shorter one"
	case strings.Contains(uri, "*"):
		return "has a wildcard, and URIs are compared byte for byte", "list each URI"
	case strings.Contains(uri, "#"):
		return "has a fragment", "remove # and what follows" // RFC 6749 §3.1.2
	}
	for _, c := range uri {
		switch {
		case c > 0x7e:
			return fmt.Sprintf("has the character %q, and a URI is ASCII", c), "write a host in punycode (xn--), anything else percent-encoded"
		case c <= 0x20 || c == 0x7f || strings.ContainsRune("\"<>\\^`{|}", c):
			return fmt.Sprintf("has the character %q, which no URI has", c), "remove it, or percent-encode it"
		}
	}
	return "", ""
}

// runningSchemes make a browser do something else than go to a place.
var runningSchemes = []string{"javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source"}

// privateFault checks a URI with a scheme that is not of the web.
func privateFault(uri, scheme string, use uriUse) (what, hint string) {
	if !use.private {
		hint = "write an https URI"
		if use.what == redirectUse.what && strings.Contains(scheme, ".") {
			hint = "write an https URI, or make the client `type: native`"
		}
		return "has the scheme " + scheme + ":, and " + use.what + " has https:", hint
	}
	if !strings.Contains(scheme, ".") {
		return "has the private-use scheme " + scheme + " without a dot, which any app may claim (RFC 8252 §7.1)",
			"write the reverse of a domain name that is yours, as in com.example.app:/callback"
	}
	if rest := uri[len(scheme)+1:]; !strings.HasPrefix(rest, "/") || rest == "//" {
		return "has no path", "write it as in " + scheme + ":/callback"
	}
	return "", ""
}

// originFault checks scheme, host and port of a web address.
func originFault(u *url.URL) (what, hint string) {
	host := u.Hostname()
	switch {
	case u.Opaque != "" || host == "":
		return "has no host", "write it as in https://shop.example/"
	case u.User != nil:
		return "has a user name before the host", "remove what stands before @"
	case host != strings.ToLower(host):
		return "has its host in capitals", "write " + strings.ToLower(host)
	case !validHost(u.Host, host):
		return "has a host that is no host name", "write a name of letters, digits, hyphens and dots"
	case u.Scheme == "http" && !isLoopback(host):
		return "is plain http off loopback, so anyone on the way can read it", "write https://"
	}
	if strings.HasSuffix(u.Host, ":") {
		return "has a colon without a port", "remove the colon"
	}
	if port := u.Port(); port != "" && !validPort(port) {
		return "has the port " + port, "write a port from 1 to 65535"
	}
	return "", ""
}

// validHost reports whether a host is a name or an address as it is usually
// written. Percent-encoding and empty labels make two spellings of one host.
func validHost(hostport, host string) bool {
	if strings.HasPrefix(hostport, "[") {
		address, err := netip.ParseAddr(host)
		return err == nil && address.Is6() && address.Zone() == "" && address.String() == host
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(c rune) bool { return c != '-' && c != '_' && !isLower(c) && !isDigit(c) }) {
			return false
		}
	}
	// What ends in a number is an address to a browser, in one spelling only.
	if last := labels[len(labels)-1]; isDigit(rune(last[0])) {
		address, err := netip.ParseAddr(host)
		return err == nil && address.Is4()
	}
	return len(host) <= 253
}

func isLower(c rune) bool { return c >= 'a' && c <= 'z' }
func isDigit(c rune) bool { return c >= '0' && c <= '9' }

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host)
}

// issuerFault says what is wrong with an issuer (RFC 8414 §2, and narrower: an
// origin, so that its metadata stands at one place only).
func issuerFault(issuer string) (what, hint string) {
	return originOnlyFault(issuer, issuerUse)
}

// corsOriginFault says what is wrong with an origin, as browsers send it
// (RFC 6454 §6.2).
func corsOriginFault(origin string) (what, hint string) { return originOnlyFault(origin, originUse) }

// originOnlyFault says what is wrong with a URI that is scheme, host and port
// and no more.
func originOnlyFault(uri string, use uriUse) (what, hint string) {
	if what, hint := uriFault(uri, use); what != "" {
		return what, hint
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "is no URI: " + reason(err), ""
	}
	origin := u.Scheme + "://" + u.Host
	switch {
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return "has the port that goes without saying", "write " + strings.TrimSuffix(origin, ":"+u.Port())
	case uri != origin:
		return "is more than an origin", "write " + origin + ", without path, query or slash at the end"
	}
	return "", ""
}

// audienceFault says what is wrong with an audience (RFC 8707 §2).
func audienceFault(audience string) (what, hint string) {
	if what, hint := spellingFault(audience); what != "" {
		return what, hint
	}
	u, err := url.Parse(audience)
	switch {
	case err != nil:
		return "is no URI: " + reason(err), "write it as in https://api.shop.example"
	case u.Scheme == "" || u.Opaque == "" && u.Host == "" && u.Path == "":
		return "is not absolute", "write it as in https://api.shop.example"
	case u.User != nil:
		return "has a user name before the host", "remove what stands before @"
	}
	return "", ""
}

// reason is the innermost error of the URL parser.
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, `": `); i >= 0 {
		text = text[i+3:]
	}
	return strconv.QuoteToASCII(text)
}
