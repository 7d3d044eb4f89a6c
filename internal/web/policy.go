package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// pageHeaders sets what every HTML page carries. The origins in formTargets are
// allowed as targets beside our own: Chromium applies form-action to the
// redirect that answers a form, too.
func pageHeaders(header http.Header, formTargets []string) {
	formAction := "'self'"
	for _, target := range formTargets {
		if source := formSource(target); source != "" {
			formAction += " " + source
		}
	}
	setPageHeaders(header, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"font-src 'self'; connect-src 'self'; form-action "+formAction+"; base-uri 'none'; frame-ancestors 'none'")
}

// formPostHeaders is for the page that carries an authorization response to the
// client (OAuth 2.0 Form Post Response Mode §2): one script, known by its hash,
// and one target.
func formPostHeaders(header http.Header, scriptHash, target string) {
	setPageHeaders(header, "default-src 'none'; script-src '"+scriptHash+"'; style-src 'self'; img-src 'self'; "+
		"form-action "+exactSource(target)+"; base-uri 'none'; frame-ancestors 'none'")
}

func setPageHeaders(header http.Header, policy string) {
	header.Set("Content-Security-Policy", policy)
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self)")
}

// formSource is the CSP source of the origin of a redirect URI. A native app's
// own scheme, and an IPv6 literal, which CSP cannot write, are named by scheme.
func formSource(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" {
		return ""
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return u.Scheme + ":"
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil && address.Is6() {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + plainSource(u.Host)
}

// exactSource is the CSP source of one URL, path included, without its query.
func exactSource(target string) string {
	origin := formSource(target)
	u, err := url.Parse(target)
	if err != nil || strings.HasSuffix(origin, ":") {
		return origin
	}
	return origin + plainSource(u.EscapedPath())
}

// plainSource escapes the two characters that would end a source in a policy.
func plainSource(s string) string {
	return strings.NewReplacer(";", "%3B", ",", "%2C").Replace(s)
}
