package registry_test

import (
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// TestRedirectURIOfSite sends what looks like https://a.example/cb and is not
// it, and some of what other servers took for it.
func TestRedirectURIOfSite(t *testing.T) {
	t.Parallel()
	const registered = "https://a.example/cb"
	client := &registry.Client{
		Type:                   registry.TypeWeb,
		RedirectURIs:           []string{"https://a.example/other", registered},
		PostLogoutRedirectURIs: []string{registered},
	}
	if !client.MatchRedirectURI(registered) || !client.MatchPostLogoutRedirectURI(registered) {
		t.Fatal("the registered URI itself is refused")
	}
	variants := []string{
		"",
		"https://a.example/CB", "https://a.example/Cb", "https://a.example/cb/", "https://a.example/cb//",
		"https://a.example//cb", "https://a.example/cb?", "https://a.example/cb?x=1", "https://a.example/cb?code=1",
		"https://a.example/cb#", "https://a.example/cb#x", "https://a.example/cb;x", "https://a.example/cb/../cb",
		"https://a.example/cb/..;/x", "https://a.example/./cb", "https://a.example/cb/.", "https://a.example/x/../cb",
		"https://a.example/%2e%2e/cb", "https://a.example/%2e/cb", "https://a.example/%63b", "https://a.example/c%62",
		"https://a.example/cb%00", "https://a.example/cb%20", "https://a.example/cb%2f", "https://a.example%2fcb",
		"https://a.example/cb/..", "https://a.example/cbx", "https://a.example/c", "https://a.example/", "https://a.example",
		"https://a.example@evil.test/cb", "https://a.example:pw@evil.test/cb", `https://a.example\@evil.test/cb`,
		`https://evil.test\@a.example/cb`, "https://x@a.example/cb", "https://x@@a.example/cb", "https://@a.example/cb",
		"https://aXexample/cb", "https://a-example/cb", "https://aexample/cb", "https://a..example/cb", "https://a.example./cb",
		"https://b.a.example/cb", "https://a.example.evil.test/cb", "https://evil.test/a.example/cb", "https://evil.test/?https://a.example/cb",
		"https://evil.test#https://a.example/cb", "https://a.example:443/cb", "https://a.example:0443/cb", "https://a.example:/cb",
		"https://a.example:80/cb", "https://a.example:8443/cb", "http://a.example/cb", "HTTPS://a.example/cb", "Https://a.example/cb",
		"https://A.example/cb", "https://a.EXAMPLE/cb", "https:a.example/cb", "https:/a.example/cb", "https:///a.example/cb",
		"//a.example/cb", "/cb", "a.example/cb", `https:\\a.example\cb`, `https://a.example\cb`, "https://a。example/cb",
		"https://а.example/cb", "https://a.еxample/cb", "https://xn--80a.example/cb", "https://ａ.example/cb",
		"https://a.example/\u212Ab", "http\u017F://a.example/cb", "https://a.ex\u00ADample/cb", "https://a.example/cb\u200b",
		"https://a.example/cb\x00", "https://a.example/\x00cb", "https://a.example/cb\t", "https://a.example/c\tb", "\thttps://a.example/cb",
		" https://a.example/cb", "https://a.example/cb ", "https://a.example/cb\r", "https://a.example/cb\n", "https://a.example/cb\r\n",
		"https://a.example\n/cb", "ht\ntps://a.example/cb", "javascript://a.example/cb", "javascript:https://a.example/cb",
		"https://a.example/cb,https://a.example/other", "https://a.example/cb https://a.example/other", "https://a.example/cb&x=y",
	}
	if len(variants) < 60 {
		t.Errorf("%d variants, fewer than 60", len(variants))
	}
	for _, uri := range variants {
		if client.MatchRedirectURI(uri) {
			t.Errorf("MatchRedirectURI(%q) = true", uri)
		}
		if client.MatchPostLogoutRedirectURI(uri) {
			t.Errorf("MatchPostLogoutRedirectURI(%q) = true", uri)
		}
	}
}

func TestRedirectURIOfApp(t *testing.T) {
	t.Parallel()
	client := &registry.Client{Type: registry.TypeNative, RedirectURIs: []string{
		"http://127.0.0.1/cb", "http://[::1]:4000/six?q=1", "http://localhost:5123/named", "com.example.app:/cb", "https://app.example/cb",
	}}
	tests := map[string]bool{
		"http://127.0.0.1/cb":               true,
		"http://127.0.0.1:1/cb":             true,
		"http://127.0.0.1:5123/cb":          true,
		"http://127.0.0.1:65535/cb":         true,
		"http://[::1]/six?q=1":              true,
		"http://[::1]:4000/six?q=1":         true,
		"http://[::1]:4001/six?q=1":         true,
		"http://localhost:5123/named":       true,
		"com.example.app:/cb":               true,
		"https://app.example/cb":            true,
		"http://localhost:5123/cb":          false,
		"http://localhost/cb":               false,
		"http://localhost:5124/named":       false, // the name may stand for anything (RFC 8252 §8.3)
		"http://127.0.0.1.evil.test/cb":     false,
		"http://127.0.0.1:80.evil.test/cb":  false,
		"http://localhost.evil.test/cb":     false,
		"http://127.0.0.1:5123/cb2":         false,
		"http://127.0.0.1:5123/cb/":         false,
		"http://127.0.0.1:5123/cb?x":        false,
		"http://127.0.0.1:5123/cb#x":        false,
		"http://127.0.0.1:5123":             false,
		"http://127.0.0.1:5123@evil.test/":  false,
		"http://127.0.0.1:5123@evil/cb":     false,
		"http://127.0.0.1@evil.test/cb":     false,
		"http://127.0.0.1:@evil.test/cb":    false,
		"http://127.0.0.1:/cb":              false,
		"http://127.0.0.1:0/cb":             false,
		"http://127.0.0.1:05123/cb":         false,
		"http://127.0.0.1:65536/cb":         false,
		"http://127.0.0.1:655360/cb":        false,
		"http://127.0.0.1:-1/cb":            false,
		"http://127.0.0.1:+80/cb":           false,
		"http://127.0.0.1: 80/cb":           false,
		"http://127.0.0.1:５123/cb":          false,
		"http://127.0.0.1:80:80/cb":         false,
		"http://127.0.0.1\\@evil.test/cb":   false,
		"http://127.0.0.2:5123/cb":          false,
		"http://127.1:5123/cb":              false,
		"http://2130706433:5123/cb":         false,
		"http://0x7f.0.0.1:5123/cb":         false,
		"http://[::1]:5123/cb":              false,
		"http://[::ffff:127.0.0.1]:5123/cb": false,
		"http://[0:0:0:0:0:0:0:1]:1/six":    false,
		"http://[::1].evil.test/six?q=1":    false,
		"https://127.0.0.1:5123/cb":         false,
		"HTTP://127.0.0.1:5123/cb":          false,
		"com.example.app:/CB":               false,
		"com.example.app://cb":              false,
		"com.example.app:1/cb":              false,
		"https://app.example:8443/cb":       false,
	}
	for uri, want := range tests {
		if got := client.MatchRedirectURI(uri); got != want {
			t.Errorf("MatchRedirectURI(%q) = %t, want %t", uri, got, want)
		}
	}
}

// TestLoopbackPortIsFixedOnSites holds that the free port is for devices alone.
func TestLoopbackPortIsFixedOnSites(t *testing.T) {
	t.Parallel()
	for _, kind := range []registry.ClientType{registry.TypeWeb, registry.TypeSPA} {
		client := &registry.Client{Type: kind, RedirectURIs: []string{"http://127.0.0.1:8080/cb"}}
		if !client.MatchRedirectURI("http://127.0.0.1:8080/cb") {
			t.Errorf("%s: the registered URI is refused", kind)
		}
		if client.MatchRedirectURI("http://127.0.0.1:8081/cb") {
			t.Errorf("%s: another port is accepted", kind)
		}
	}
}

// FuzzRedirectURI holds that a site's URI is accepted if and only if it is
// equal byte for byte, and a device's if it is equal without the digits of a
// loopback port.
func FuzzRedirectURI(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://a.example/cb", "https://a.example/cb"},
		{"https://a.example/cb", "https://a.example/CB"},
		{"http://127.0.0.1/cb", "http://127.0.0.1:5123/cb"},
		{"http://[::1]:1/cb", "http://[::1]/cb"},
		{"http://127.0.0.1", "http://127.0.0.1.evil.test"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, uri string) {
		site := &registry.Client{Type: registry.TypeWeb, RedirectURIs: []string{registered}}
		if got, want := site.MatchRedirectURI(uri), registered == uri; got != want {
			t.Errorf("site: %q registered, %q sent: %t, want %t", registered, uri, got, want)
		}
		device := &registry.Client{Type: registry.TypeNative, RedirectURIs: []string{registered}}
		if device.MatchRedirectURI(uri) && registered != uri && portless(registered) != portless(uri) {
			t.Errorf("device: %q registered, %q accepted", registered, uri)
		}
	})
}

// portless drops a loopback port in the plainest way there is.
func portless(uri string) string {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host+":")
		if !ok {
			continue
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if strings.Trim(rest[:end], "0123456789") == "" {
			return host + rest[end:]
		}
	}
	return uri
}
