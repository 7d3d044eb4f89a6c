package app_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
)

// TestEveryRouteHasTheHeadersOfItsKind asks every public route, there is one
// list of them, by every method (check W1).
func TestEveryRouteHasTheHeadersOfItsKind(t *testing.T) {
	t.Parallel()
	w := setup(t)
	paths := []string{"/", "/nothing", "/oauth2/", "/assets/"}
	for _, pattern := range w.app.Patterns() {
		_, path, found := strings.Cut(pattern, " ")
		if !found {
			path = pattern
		}
		paths = append(paths, strings.NewReplacer("{request}", "x", "{stream}", "x", "{name}", "site.css", "{client}", "x").Replace(path))
	}
	for _, path := range paths {
		public := strings.HasPrefix(path, "/.well-known/") || path == "/oauth2/jwks"
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace} {
			b := w.browser()
			b.header.Set("X-Canary", "canary-of-the-request")
			a := b.send(method, path, nil)
			name := method + " " + path
			for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
				if got := a.header.Values(header); len(got) != 1 || got[0] != want {
					t.Errorf("%s: %s is %q", name, header, got)
				}
			}
			policy := a.header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: policy %q", name, policy)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" && !public && a.body != "" && a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
				t.Errorf("%s: %d with Cache-Control %q", name, a.status, got)
			}
			if id := a.header.Get("X-Request-Id"); len(id) != 32 || a.header.Get("Server") != "" || a.header.Get("X-Powered-By") != "" {
				t.Errorf("%s: headers %v", name, a.header)
			}
			if a.status >= 500 || strings.Contains(a.body, "canary-of-the-request") || a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %d %v\n%s", name, a.status, a.header, a.body)
			}
		}
	}
}

// TestOperatorsPagesAreNotPublic (check A11).
func TestOperatorsPagesAreNotPublic(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, path := range []string{
		"/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics", "/healthz", "/readyz", "/admin", "/.env", "/.git/config", "/server-status",
	} {
		if a := w.browser().send(http.MethodGet, path, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// TestOldTLSIsRefused: nothing before 1.2, and of 1.2 only what BCP 195
// recommends.
func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	certificate := selfSigned(t)
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	for name, c := range map[string]struct {
		lowest, highest uint16
		suites          []uint16
		fine            bool
	}{
		"1.0":               {tls.VersionTLS10, tls.VersionTLS10, nil, false},
		"1.1":               {tls.VersionTLS11, tls.VersionTLS11, nil, false},
		"1.2 with GCM":      {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true},
		"1.2 with CBC":      {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}, false},
		"1.2 without ECDHE": {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, false},
		"1.3":               {tls.VersionTLS13, tls.VersionTLS13, nil, true},
		"all":               {tls.VersionTLS10, tls.VersionTLS13, nil, true},
	} {
		server, client := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- tls.Server(server, app.TLSConfig(certificate)).HandshakeContext(t.Context()) }()
		connection := tls.Client(client, &tls.Config{
			RootCAs: roots, ServerName: "id.test", Time: time.Now,
			MinVersion: c.lowest, MaxVersion: c.highest, CipherSuites: c.suites, //nolint:gosec // the point of the test
		})
		err := connection.HandshakeContext(t.Context())
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
		if name == "all" && connection.ConnectionState().Version != tls.VersionTLS13 {
			t.Errorf("version %x is preferred", connection.ConnectionState().Version)
		}
		_ = client.Close()
		<-ended
		_ = server.Close()
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"id.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, foreignEC().Public(), foreignEC())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: foreignEC(), Leaf: leaf}
}

// TestLimitsOfARequest: what is larger than any honest request is refused
// before anything is done with it, and the server goes on (check Q1).
func TestLimitsOfARequest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b := w.suite(""), w.signedIn()
	form := func(body io.Reader) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth2/token", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return w.do(r).status
	}
	for name, got := range map[string][2]int{
		"10,000 fields":            {form(strings.NewReader(strings.Repeat("a=b&", 10_000))), http.StatusBadRequest},
		"8 MiB":                    {form(bytes.NewReader(make([]byte, 8<<20))), http.StatusRequestEntityTooLarge},
		"1,000 scopes":             {form(strings.NewReader("grant_type=client_credentials&scope=" + strings.Repeat("s+", 999) + "s")), http.StatusBadRequest},
		"a URL of 9 KiB":           {b.send(http.MethodGet, "/oauth2/authorize?"+rp.ask("ui_locales", strings.Repeat("se ", 3000)).Encode(), nil).status, http.StatusRequestURITooLong},
		"a scope of 5 KiB":         {form(strings.NewReader("grant_type=client_credentials&scope=" + strings.Repeat("s", 5<<10))), http.StatusBadRequest},
		"an assertion of 17 KiB":   {form(strings.NewReader("client_assertion=" + strings.Repeat("a", 17<<10))), http.StatusBadRequest},
		"a cookie of 5 KiB":        {w.withCookie(strings.Repeat("a", 5<<10)), http.StatusSeeOther},
		"a password of 5 KiB":      {b.fill(rp.open(b, "prompt", "login"), "signin-form", "email", email, "password", strings.Repeat("a", 5<<10)).status, http.StatusBadRequest},
		"a user name of 1,000,000": {b.fill(rp.open(b, "prompt", "login"), "signin-form", "email", strings.Repeat("a", 1_000_000), "password", password).status, http.StatusRequestEntityTooLarge},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, want %d", name, got[0], got[1])
		}
	}
	rp.finish(b, rp.open(b))
}

// withCookie asks for the account page with a session cookie.
func (w *world) withCookie(value string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, issuer+"/account", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: value})
	return w.do(r).status
}

// TestConnectionsHaveLimits: of time for each part of a request, of the header
// and of the streams of one connection (check Q1: dripped requests, HTTP/2
// resets).
func TestConnectionsHaveLimits(t *testing.T) {
	t.Parallel()
	server := setup(t).app.Server()
	for name, limit := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "request": server.ReadTimeout, "answer": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("time for the %s: %s", name, limit)
		}
	}
	if server.ReadHeaderTimeout > 5*time.Second || server.MaxHeaderBytes != 32<<10 || server.HTTP2 == nil || server.HTTP2.MaxConcurrentStreams != 100 {
		t.Errorf("header within %s and %d bytes, %+v", server.ReadHeaderTimeout, server.MaxHeaderBytes, server.HTTP2)
	}
}
