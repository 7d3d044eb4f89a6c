package outgoing_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

var quiet = log.New(io.Discard, "", 0)

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

// S1: whatever a name resolves to is judged at the connection.
func TestResolvedAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for _, text := range deniedAddresses {
		address := netip.MustParseAddr(text)
		client := outgoing.NewClientWithResolver(outgoing.Policy{}, resolver(t, address))
		_, _, err := get(t, client, "https://receiver.example/")
		if !errors.Is(err, outgoing.ErrAddress) {
			t.Errorf("a name for %s: got %v", text, outgoing.Detail(err))
		}
	}
}

// A name with several addresses, some of them closed: those are never
// connected to, in whatever order they come.
func TestMixedAnswersReachTheOpenAddressAlone(t *testing.T) {
	t.Parallel()
	open, policy := receiver(t, ok)
	port := open.Listener.Addr().(*net.TCPAddr).Port
	var reached atomic.Int32
	closed := listenTLS(t, open, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), uint16(port)).String(), ok)
	closed.Config.ConnState = func(net.Conn, http.ConnState) { reached.Add(1) }
	policy.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

	private, public := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	for _, order := range [][]netip.Addr{{private, public}, {public, private}, {netip.MustParseAddr("::1"), private, public}} {
		client := outgoing.NewClientWithResolver(policy, resolver(t, order...))
		_, body, err := get(t, client, "https://example.com:"+strconv.Itoa(port)+"/")
		client.CloseIdleConnections()
		if err != nil || string(body) != "ok" {
			t.Errorf("%v: got %q, %v", order, body, outgoing.Detail(err))
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the closed address had %d connections", n)
	}
	client := outgoing.NewClientWithResolver(policy, resolver(t, private))
	if _, _, err := get(t, client, "https://example.com:"+strconv.Itoa(port)+"/"); !errors.Is(err, outgoing.ErrAddress) {
		t.Errorf("the closed address alone: got %v", err)
	}
}

// S1 again: a URL that never saw CheckURL is refused by the client too.
func TestTheClientChecksURLs(t *testing.T) {
	t.Parallel()
	client := newClient(t, outgoing.Policy{})
	for _, raw := range []string{
		"http://1.1.1.1/", "https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://2130706433/", "https://localhost/",
		"https://user@receiver.example/", "https://receiver.example:8443/", "https://receiver.example./",
		"file:///etc/passwd", "gopher://127.0.0.1:70/", "unix:///run/docker.sock", "http+unix:///run/docker.sock",
	} {
		_, _, err := get(t, client, raw)
		if !errors.Is(err, outgoing.ErrURL) && !errors.Is(err, outgoing.ErrAddress) {
			t.Errorf("%s: got %v", raw, err)
		}
	}
}

// S3
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	t.Cleanup(target.Close)
	server, policy := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.URL.Query().Get("status"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(status)
	})
	policy.InsecureHTTP = true
	client := newClient(t, policy)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{target.URL, "/again?status=302", "http://169.254.169.254/", "%zz", "file:///etc/passwd"} {
			query := url.Values{"status": {strconv.Itoa(status)}, "to": {to}}
			response, _, err := get(t, client, server.URL+"/?"+query.Encode())
			if err != nil || response.StatusCode != status {
				t.Errorf("%d to %s: got %v, %v", status, to, response, err)
			}
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects followed", n)
	}
}

// S5: a policy, a closed port, a receiver that is no TLS server and one that
// hangs up look the same; timeouts do too, below.
func TestAllFailuresReadTheSame(t *testing.T) {
	t.Parallel()
	hangsUp, policy := receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	noTLS := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(noTLS.Close)
	gone := httptest.NewTLSServer(http.HandlerFunc(ok))
	gone.Close()
	client := newClient(t, policy)
	for name, raw := range map[string]string{
		"refused by policy":  "https://10.0.0.1/",
		"refused as a URL":   "https://user@receiver.example/",
		"connection refused": gone.URL,
		"no TLS":             strings.Replace(noTLS.URL, "http:", "https:", 1),
		"hangs up":           hangsUp.URL,
	} {
		_, _, err := get(t, client, raw)
		wantNoAnswer(t, name, err)
		if detail := outgoing.Detail(err); detail == "no answer" || detail == "" {
			t.Errorf("%s: the log learns %q", name, detail)
		}
	}
	if got := outgoing.Detail(io.ErrUnexpectedEOF); got != "unexpected EOF" {
		t.Errorf("the detail of another error: %q", got)
	}
}

func wantNoAnswer(t *testing.T, name string, err error) {
	t.Helper()
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if err == nil || err.Error() != "no answer" {
		t.Errorf("%s: the caller learns %v", name, err)
	}
}

// S6: not parallel, since the environment is everybody's. net/http never uses
// a proxy for loopback, so the receiver has a name.
func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	var proxied atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	t.Cleanup(proxy.Close)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	server, policy := receiver(t, ok)
	client := outgoing.NewClientWithResolver(policy, resolver(t, netip.MustParseAddr("127.0.0.1")))
	t.Cleanup(client.CloseIdleConnections)
	_, body, err := get(t, client, "https://example.com:"+strconv.Itoa(server.Listener.Addr().(*net.TCPAddr).Port)+"/")
	if err != nil || string(body) != "ok" || proxied.Load() != 0 {
		t.Errorf("got %q, %v, with %d requests to the proxy", body, outgoing.Detail(err), proxied.Load())
	}
}

func TestAnswersAreLimited(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	zipped := gzip.NewWriter(&bomb)
	if _, err := zipped.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	var encodings atomic.Int32
	server, policy := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			encodings.Add(1)
		}
		switch r.URL.Path {
		case "/full":
			w.Write(make([]byte, outgoing.MaxBodyBytes))
		case "/over":
			w.Write(make([]byte, outgoing.MaxBodyBytes+1))
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("a", outgoing.MaxHeaderBytes))
		case "/headers":
			for n := range 2000 {
				w.Header().Set("X-"+strconv.Itoa(n), "many")
			}
		}
	})
	client := newClient(t, policy)
	if _, body, err := get(t, client, server.URL+"/full"); err != nil || len(body) != outgoing.MaxBodyBytes {
		t.Errorf("64 KiB: got %d bytes, %v", len(body), err)
	}
	for _, path := range []string{"/over", "/endless"} {
		if _, body, err := get(t, client, server.URL+path); !errors.Is(err, outgoing.ErrTooLarge) || body != nil {
			t.Errorf("%s: got %d bytes, %v", path, len(body), err)
		}
	}
	if _, body, err := get(t, client, server.URL+"/bomb"); err != nil || !bytes.Equal(body, bomb.Bytes()) {
		t.Errorf("the bomb went off: %d bytes of %d, %v", len(body), bomb.Len(), err)
	}
	for _, path := range []string{"/header", "/headers"} {
		_, _, err := get(t, client, server.URL+path)
		wantNoAnswer(t, path, err)
	}
	if n := encodings.Load(); n != 0 {
		t.Errorf("compression was offered %d times", n)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	for version, accepted := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		server, policy := receiver(t, ok, func(s *httptest.Server) {
			s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		})
		if _, _, err := get(t, newClient(t, policy), server.URL); (err == nil) != accepted {
			t.Errorf("%s: got %v", tls.VersionName(version), err)
		}
	}
	server, policy := receiver(t, ok)
	policy.RootCAs = nil
	_, _, err := get(t, newClient(t, policy), server.URL)
	wantNoAnswer(t, "a certificate of nobody", err)
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		var connections atomic.Int32
		server, policy := receiver(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }, func(s *httptest.Server) {
			s.EnableHTTP2 = http2
			s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
		})
		client := newClient(t, policy)
		for range 5 {
			if _, body, err := get(t, client, server.URL); err != nil || string(body) != name {
				t.Errorf("%s: got %q, %v", name, body, err)
			}
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%s: %d connections for five requests", name, n)
		}
	}
}

func TestPlainHTTPOnThisMachine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(server.Close)
	client := newClient(t, outgoing.Policy{InsecureHTTP: true})
	if _, body, err := get(t, client, server.URL); err != nil || string(body) != "ok" {
		t.Errorf("got %q, %v", body, outgoing.Detail(err))
	}
	port := strconv.Itoa(server.Listener.Addr().(*net.TCPAddr).Port)
	elsewhere := outgoing.NewClientWithResolver(outgoing.Policy{InsecureHTTP: true}, resolver(t, netip.MustParseAddr("10.0.0.1")))
	if _, _, err := get(t, elsewhere, "http://receiver.example:"+port+"/"); !errors.Is(err, outgoing.ErrAddress) {
		t.Errorf("elsewhere: got %v", err)
	}
	if _, _, err := get(t, newClient(t, outgoing.Policy{Networks: loopback}), server.URL); !errors.Is(err, outgoing.ErrURL) {
		t.Errorf("without leave: got %v", err)
	}
}

// A caller that gives up is told so.
func TestTheCallersContextCounts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server, policy := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t, policy).Do(request); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
