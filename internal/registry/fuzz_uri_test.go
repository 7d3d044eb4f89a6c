package registry

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzURIs holds that a URI without a fault has one spelling: no parser and no
// browser makes another of it, nobody's name stands before the host, and it is
// of the web or of an app.
func FuzzURIs(f *testing.F) {
	for _, seed := range []string{
		"https://shop.example/callback?a=b", "http://127.0.0.1:8080/cb", "http://[::1]/", "com.example.app:/cb", "https://a.example/%2e%2e/x", "https://a@b.example/",
		"https://b.example\\@a.example/", "HTTPS://a.example", "https://1.2.3/", "https://0x7f.1/", "https://a.example:443/", "https://a..b/", "//a.example", "https:///x",
		"javascript:alert(1)", "com.example.app://x", "https://a.example/\t", "https://xn--n3h.example", "https://a.example:/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if what, _ := uriFault(uri, redirectUse); what == "" {
			checkWebURI(t, uri)
		}
		if what, _ := issuerFault(uri); what == "" {
			checkWebURI(t, uri)
			if u, err := url.Parse(uri); err != nil || u.Scheme+"://"+u.Host != uri {
				t.Errorf("%q is an issuer", uri)
			}
		}
		if what, _ := uriFault(uri, nativeRedirectUse); what == "" {
			u, err := url.Parse(uri)
			if err != nil || strings.Contains(uri, "#") || u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(u.Scheme, ".") {
				t.Errorf("%q is a native app's", uri)
			}
		}
		if what, hint := audienceFault(uri); what == "" {
			if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.Fragment != "" || u.User != nil || hint != "" {
				t.Errorf("%q is an audience", uri)
			}
		}
	})
}

func checkWebURI(t *testing.T, uri string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatalf("%q: %v", uri, err)
	}
	if u.String() != uri && u.String() != strings.TrimSuffix(uri, "?") && u.Path != "" {
		t.Errorf("%q is written as %q", uri, u)
	}
	base := &url.URL{Scheme: "https", Host: "other.example", Path: "/"}
	if whole := base.ResolveReference(u); whole.Host != u.Host || whole.EscapedPath() != u.EscapedPath() && u.Path != "" {
		t.Errorf("%q is resolved to %q", uri, whole)
	}
	if u.User != nil || u.Fragment != "" || u.Host != strings.ToLower(u.Host) || strings.ContainsAny(uri, "\\\"<> \t\r\n@#*") && u.User != nil {
		t.Errorf("%q was taken", uri)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		t.Errorf("%q is not safe on its way", uri)
	}
}
