package packaging_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const nginx = "/usr/sbin/nginx"

// seen is what a replica saw of a request.
type seen struct{ Replica, Host, For, Proto, Traceparent, Path string }

// replica plays a replica that tells what it was sent.
func replica(t *testing.T, name string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(seen{
			name, r.Host, strings.Join(r.Header.Values("X-Forwarded-For"), ","), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Traceparent"), r.URL.Path,
		})
	}))
	t.Cleanup(server.Close)
	return server
}

// startNginx runs nginx with the packaged configuration; only places are others.
func startNginx(t *testing.T, first, second string) (url string, client *http.Client) {
	t.Helper()
	if _, err := os.Stat(nginx); err != nil {
		t.Skip("nginx is not installed")
	}
	dir := t.TempDir()
	roots := writeCertificate(t, dir)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(
		"sekisho-1:8080", first, "sekisho-2:8080", second, "listen 8443", "listen "+address, "/etc/nginx/tls", dir,
		"/run/nginx.pid", dir+"/nginx.pid", "/dev/stderr", "stderr",
		"http {\n", fmt.Sprintf("http {\nclient_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;\n", dir),
	).Replace(read(t, "compose/nginx.conf"))
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte("daemon off;\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nginx, "-t", "-q", "-p", dir, "-e", "stderr", "-c", path)
	command := exec.CommandContext(t.Context(), nginx, "-p", dir, "-e", "stderr", "-c", path)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() })
	client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "id.example.com"}, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-again.C {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return "https://" + address, client
		}
		if time.Now().After(end) {
			t.Fatalf("nginx does not listen: %v", err)
		}
	}
}

func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"id.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return roots
}

func ask(t *testing.T, client *http.Client, method, url string) (got seen) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "id.example.com"
	request.Header.Set("X-Forwarded-For", "203.0.113.9") // a lie
	request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(body, &got) != nil {
		t.Fatalf("%d %s %v", response.StatusCode, body, err)
	}
	if response.ProtoMajor != 2 {
		t.Errorf("nginx speaks %s", response.Proto)
	}
	return got
}

func TestNginxSharesRequestsOut(t *testing.T) {
	t.Parallel()
	first, second := replica(t, "first"), replica(t, "second")
	url, client := startNginx(t, first.Listener.Addr().String(), second.Listener.Addr().String())
	met := map[string]bool{}
	for range 8 {
		got := ask(t, client, http.MethodPost, url+"/oauth2/token")
		met[got.Replica] = true
		got.Replica = ""
		if want := (seen{"", "id.example.com", "127.0.0.1", "https", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "/oauth2/token"}); got != want {
			t.Errorf("a replica saw %+v", got)
		}
	}
	if len(met) != 2 {
		t.Errorf("of two replicas these were asked: %v", met)
	}
	second.Close()
	for range 4 {
		if got := ask(t, client, http.MethodPost, url+"/oauth2/token"); got.Replica != "first" {
			t.Errorf("a replica that is gone answered: %+v", got)
		}
	}
}
