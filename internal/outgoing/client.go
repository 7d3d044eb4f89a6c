package outgoing

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	connectTimeout = 2 * time.Second
	totalTimeout   = 10 * time.Second // from the first byte of the request to the last of the answer
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 64 << 10

	idleTimeout    = 60 * time.Second
	maxIdle        = 512
	maxIdlePerHost = 16
	// A connection whose other end is gone without a word is found out by a
	// ping, so that it does not cost every request the whole timeout (HTTP/2).
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// NewClient makes a client that sends requests where p allows and nowhere
// else. It follows no redirect (the answer with its status is returned, without
// the Location), knows no proxy, and answers one error text for a refused
// address, a refused connection and a timeout alike; Detail has the rest, for
// logs. Share it: connections are kept and used again.
func NewClient(p Policy) *http.Client {
	return newClient(p, func(control controlFunc) dialFunc {
		dialer := &net.Dialer{Timeout: connectTimeout, Control: control}
		return dialer.DialContext
	})
}

type (
	controlFunc func(network, address string, _ syscall.RawConn) error
	dialFunc    func(ctx context.Context, network, address string) (net.Conn, error)
)

func newClient(p Policy, dialer func(controlFunc) dialFunc) *http.Client {
	transport := &guarded{
		policy: p,
		secure: newTransport(p, dialer(p.control(false))),
	}
	if p.InsecureHTTP {
		transport.plain = newTransport(p, dialer(p.control(true)))
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport(p Policy, dial dialFunc) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // also not the one of the environment
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.RootCAs},
		TLSHandshakeTimeout:    totalTimeout / 2,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true, // a limit on bytes received is a limit on bytes held
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
	}
}

// control is the dialer's last question before it connects, asked with the
// resolved address: whatever a name, an odd spelling or a second DNS answer
// came to, it is judged here.
func (p Policy) control(plain bool) controlFunc {
	return func(network, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || (network != "tcp4" && network != "tcp6") {
			return fmt.Errorf("%w: %s %s", ErrAddress, network, address)
		}
		if err := p.checkAddress(to, plain); err != nil {
			return fmt.Errorf("%w: %s", err, address)
		}
		return nil
	}
}

// guarded checks each URL, limits each exchange in time, and makes all
// failures look alike.
type guarded struct {
	policy        Policy
	secure, plain *http.Transport // plain is nil where http is not allowed
}

func (g *guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := g.policy.CheckURL(request.URL.String()); err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, &failure{err}
	}
	transport := g.secure
	if request.URL.Scheme == "http" {
		transport = g.plain
	}
	// The client's own Timeout would put its name into the error text.
	ctx, cancel := context.WithTimeout(request.Context(), totalTimeout)
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, &failure{err}
	}
	response.Header.Del("Location") // net/http reports one that it cannot parse
	response.Body = &body{response.Body, cancel}
	return response, nil
}

// CloseIdleConnections is found by http.Client.
func (g *guarded) CloseIdleConnections() {
	g.secure.CloseIdleConnections()
	if g.plain != nil {
		g.plain.CloseIdleConnections()
	}
}

// body ends the time of an exchange when it was read or closed.
type body struct {
	io.ReadCloser
	cancel func()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.cancel()
		if err != io.EOF {
			err = &failure{err}
		}
	}
	return n, err
}

func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// failure is what a caller learns of anything that went wrong on the way. A
// text that told a refused connection from a timeout would turn whoever may
// name an address into a port scanner.
type failure struct{ cause error }

func (f *failure) Error() string { return "no answer" }
func (f *failure) Unwrap() error { return f.cause }

// Detail is the cause of a failed request in words for the log. It is not for
// whoever named the address.
func Detail(err error) string {
	var failed *failure
	if errors.As(err, &failed) {
		return failed.cause.Error()
	}
	return err.Error()
}

// ErrTooLarge means that an answer is larger than it may be.
var ErrTooLarge = errors.New("the answer has more than 64 KiB")

// ReadBody reads an answer of at most 64 KiB and closes it.
func ReadBody(response *http.Response) ([]byte, error) {
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes+1))
	if err != nil {
		return nil, err
	}
	if len(read) > maxBodyBytes {
		return nil, ErrTooLarge
	}
	return read, nil
}
