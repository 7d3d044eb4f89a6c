package outgoing_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// receiver starts an https server on loopback and a policy that reaches it.
func receiver(t *testing.T, handle http.HandlerFunc, change ...func(*httptest.Server)) (*httptest.Server, outgoing.Policy) {
	t.Helper()
	server := httptest.NewUnstartedServer(handle)
	for _, change := range change {
		change(server)
	}
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, outgoing.Policy{Networks: loopback, RootCAs: rootsOf(server)}
}

func rootsOf(server *httptest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return roots
}

func newClient(t *testing.T, policy outgoing.Policy) *http.Client {
	t.Helper()
	client := outgoing.NewClient(policy)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// get sends a request and answers what came, with its body read.
func get(t *testing.T, client *http.Client, url string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	body, err := outgoing.ReadBody(response)
	return response, body, err
}

// resolver is a DNS server that answers every name with the given addresses,
// and the hook that makes a dialer ask it.
func resolver(t *testing.T, addresses ...netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveNames(server, addresses)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func serveNames(server net.PacketConn, addresses []netip.Addr) {
	packet := make([]byte, 4096)
	for {
		n, from, err := server.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer, err := answerName(packet[:n], addresses); err == nil {
			if _, err := server.WriteTo(answer, from); err != nil {
				return
			}
		}
	}
}

func answerName(packet []byte, addresses []netip.Addr) ([]byte, error) {
	var asked dnsmessage.Message
	if err := asked.Unpack(packet); err != nil {
		return nil, err
	}
	question := asked.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: asked.ID, Response: true, RecursionAvailable: true},
		Questions: asked.Questions,
	}
	for _, address := range addresses {
		resource := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 60}}
		switch {
		case address.Is4() && question.Type == dnsmessage.TypeA:
			resource.Body = &dnsmessage.AResource{A: address.As4()}
		case address.Is6() && question.Type == dnsmessage.TypeAAAA:
			resource.Body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		default:
			continue
		}
		answer.Answers = append(answer.Answers, resource)
	}
	return answer.Pack()
}

// listenTLS starts a server like like, with its certificate, on an address.
func listenTLS(t *testing.T, like *httptest.Server, address string, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handle, ErrorLog: quiet}}
	server.TLS = &tls.Config{Certificates: like.TLS.Certificates}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}
