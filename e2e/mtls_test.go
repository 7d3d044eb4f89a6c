package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// authority issues certificates to clients.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	made := a.sign(template)
	a.key, a.cert = made.PrivateKey.(*ecdsa.PrivateKey), made.Leaf
	return a
}

// issue makes a certificate for a client known by a URI.
func (a *authority) issue(uri string, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	name, err := url.Parse(uri)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "a client", Organization: []string{"Market, Inc."}}, URIs: []*url.URL{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	return a.sign(template)
}

// sign makes a key and signs for it; by itself while the authority has no key.
func (a *authority) sign(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, by := a.cert, a.key
	if by == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// presenting is an HTTP client that presents certificates, or none.
func presenting(t *testing.T, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone() // trusts localhost
	transport.TLSClientConfig.Certificates = certificates
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

const (
	shopURI   = "spiffe://market.test/crypto"
	bankURI   = "spiffe://market.test/bank"
	certified = "crypto.certified"
	pinned    = "crypto.pinned"
)

// withCertified adds clients to crypto: one known by a name in a certificate of the
// authority, one by its own certificate.
func withCertified(group string, own tls.Certificate) string {
	sum := sha256.Sum256(own.Leaf.Raw)
	lines := strings.SplitAfter(group, "\n")
	for i, line := range lines {
		if strings.Contains(line, `/crypto"]`) {
			lines[i] += "      certified: { profile: fapi2, auth: tls_client_auth, tls_client_auth_san_uri: " + shopURI + " }\n" +
				"      keys: { profile: fapi2, sender_constraint: mtls, jwks: " + publicKeys(mixedKey(), "mixed") + " }\n" +
				"      proving: { profile: fapi2, sender_constraint: dpop_with_nonce, auth: tls_client_auth, tls_client_auth_san_uri: " + shopURI + " }\n" +
				"      pinned: { profile: fapi2, auth: self_signed_tls_client_auth, certificate_sha256: [" + hex.EncodeToString(sum[:]) + "] }\n"
		}
	}
	return strings.Join(lines, "")
}

// mtls is a server, or two behind a proxy, and the certificates of its clients.
type mtls struct {
	t         *testing.T
	issuer    string
	root      *authority
	shop, own tls.Certificate
}

// mixedKey is the key of the clients that prove themselves in one way and hold their
// tokens in the other.
var mixedKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// mixes is private_key_jwt with certificate-bound tokens, and tls_client_auth with DPoP.
func (m *mtls) mixes() {
	m.t.Helper()
	t := m.t
	for name, c := range map[string]struct {
		config rp.Config
		with   []tls.Certificate
		want   func(*oauth.Confirmation) bool
	}{
		"keys, and tokens bound to a certificate": {
			rp.Config{ClientID: "crypto.keys", Key: mixedKey(), KeyID: "mixed"},
			[]tls.Certificate{m.own},
			func(c *oauth.Confirmation) bool { return c != nil && c.X5T != "" && c.JKT == "" },
		},
		"keys, and no certificate": {rp.Config{ClientID: "crypto.keys", Key: mixedKey(), KeyID: "mixed"}, nil, nil},
		"a certificate, and tokens bound to a key": {
			rp.Config{ClientID: "crypto.proving", DPoPKey: mixedKey()},
			[]tls.Certificate{m.shop},
			func(c *oauth.Confirmation) bool { return c != nil && c.JKT != "" && c.X5T == "" },
		},
		"a certificate, and no proof": {rp.Config{ClientID: "crypto.proving"}, []tls.Certificate{m.shop}, nil},
	} {
		c.config.Issuer, c.config.MTLS, c.config.HTTPClient = m.issuer, true, presenting(t, c.with...)
		client, err := rp.Discover(t.Context(), c.config)
		if err != nil {
			t.Fatal(err)
		}
		token, err := client.ServiceToken(marketAPI, "settle").Token()
		if c.want == nil {
			if err == nil {
				t.Errorf("%s: a token", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var claims oauth.AccessTokenClaims
		decodePart(t, token.AccessToken, 1, &claims)
		if !c.want(claims.Confirmation) {
			t.Errorf("%s: %+v", name, claims.Confirmation)
		}
	}
}

// boundTo is the certificate that a token is bound to.
func boundTo(t *testing.T, token string) string {
	t.Helper()
	var claims oauth.AccessTokenClaims
	decodePart(t, token, 1, &claims)
	if claims.Confirmation == nil {
		return ""
	}
	return claims.Confirmation.X5T
}

// asks asks for a service token with a certificate.
func (m *mtls) asks(clientID string, certificates ...tls.Certificate) (*rp.Client, string, error) {
	m.t.Helper()
	client, err := rp.Discover(m.t.Context(), rp.Config{Issuer: m.issuer, ClientID: clientID, MTLS: true, HTTPClient: presenting(m.t, certificates...)})
	if err != nil {
		m.t.Fatal(err)
	}
	token, err := client.ServiceToken(marketAPI, "settle").Token()
	if err != nil {
		return client, "", err
	}
	return client, token.AccessToken, nil
}

// works plays all that must and must not be.
func (m *mtls) works() {
	m.t.Helper()
	t := m.t
	stranger := newAuthority(t, "stranger")
	for name, c := range map[string]struct {
		client string
		with   []tls.Certificate
		good   bool
	}{
		"the name in a certificate of the authority": {certified, []tls.Certificate{m.shop}, true},
		"its own certificate":                        {pinned, []tls.Certificate{m.own}, true},
		"no certificate":                             {certified, nil, false},
		"no certificate, pinned":                     {pinned, nil, false},
		"another name":                               {certified, []tls.Certificate{m.root.issue(bankURI, nil)}, false},
		"the name by another authority":              {certified, []tls.Certificate{stranger.issue(shopURI, nil)}, false},
		"an expired one": {certified, []tls.Certificate{m.root.issue(shopURI, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		})}, false},
		"one for servers": {certified, []tls.Certificate{m.root.issue(shopURI, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})}, false},
		"another pinned one": {pinned, []tls.Certificate{m.shop}, false},
	} {
		_, token, err := m.asks(c.client, c.with...)
		var refused *oauth.Error
		switch {
		case c.good && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.good && boundTo(t, token) == "":
			t.Errorf("%s: a token that is bound to nothing", name)
		case !c.good && (err == nil || errors.As(err, &refused) && refused.Code != oauth.InvalidClient): // or by the proxy, which says 400
			t.Errorf("%s: %v", name, err)
		}
	}
	m.mixes()
	m.boundAt()
}

// publicKeys is a key set as a group file holds it.
func publicKeys(key *ecdsa.PrivateKey, kid string) string {
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: kid, Use: "sig"}}})
	if err != nil {
		panic(err)
	}
	return string(set)
}

// boundAt calls an API with a bound token: with its certificate, without, and with
// another's.
func (m *mtls) boundAt() {
	m.t.Helper()
	t := m.t
	guard, err := rs.New(t.Context(), rs.Config{Issuer: m.issuer, Audience: marketAPI, HTTPClient: presenting(t)})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewUnstartedServer(guard.Service("settle", func(http.ResponseWriter, *http.Request, *rs.Service) {}))
	api.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	api.StartTLS()
	t.Cleanup(api.Close)
	_, token, err := m.asks(certified, m.shop)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		with []tls.Certificate
		want int
	}{
		"its certificate": {[]tls.Certificate{m.shop}, http.StatusOK},
		"none":            {nil, http.StatusUnauthorized},
		"another":         {[]tls.Certificate{m.own}, http.StatusUnauthorized},
	} {
		client := presenting(t, c.with...)
		client.Transport.(*http.Transport).TLSClientConfig.RootCAs = api.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("called with %s: %d %v", name, answer.StatusCode, answer.Header)
		}
	}
}

// TestMTLSOnOurOwnListener: the server ends TLS itself, at one address for browsers
// and at another that asks for certificates.
func TestMTLSOnOurOwnListener(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "the group")
	m := &mtls{t: t, root: root, shop: root.issue(shopURI, nil), own: (&authority{t: t}).issue(shopURI, nil)}
	as := newSecureServer(t, withCertified(newSite(t).group(), m.own))
	asking := freeAddress(t)
	as.args = append(as.args, "--mtls-url", "https://"+asking, "--mtls-listen", asking, "--client-ca", write(t, t.TempDir(), "root.pem", root.pem()))
	as.start(t)
	m.issuer = as.Issuer
	m.works()
	// Whoever says that a proxy has seen a certificate is no proxy.
	m.spoofs(as.Issuer)
}

// spoofs sends a certificate in the header of a proxy.
func (m *mtls) spoofs(base string) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, base+"/oauth2/token",
		strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "client_id": {pinned}, "scope": {"settle"}}.Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Client-Cert", url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.own.Leaf.Raw}))))
	answer, err := presenting(m.t).Do(request)
	if err != nil {
		m.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		m.t.Errorf("a certificate that the client wrote into the header itself: %d", answer.StatusCode)
	}
}

// mtlsProxy is an nginx that ends TLS before two replicas, as docs/profiles.md has it.
const mtlsProxy = `
daemon off;
pid $DIR/nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
` + nginxPaths + `    upstream sekisho { server $ONE; server $OTHER; }
    ssl_certificate     $CERT;
    ssl_certificate_key $KEY;
    server {
        listen $PLAIN ssl;
        location / {
            proxy_pass http://sekisho;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header Client-Cert "";
        }
    }
    server {
        listen $ASKING ssl;
        ssl_verify_client optional_no_ca;
        location / {
            proxy_pass http://sekisho;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header Client-Cert $ssl_client_escaped_cert;
        }
    }
}
`

// TestMTLSBehindNginx: nginx ends TLS in front of two replicas and hands the
// certificates on.
func TestMTLSBehindNginx(t *testing.T) {
	t.Parallel()
	needs(t, nginxProgram)
	root := newAuthority(t, "the group")
	m := &mtls{t: t, root: root, shop: root.issue(shopURI, nil), own: (&authority{t: t}).issue(shopURI, nil)}
	plain, asking := freeAddress(t), freeAddress(t)
	r := replicasOf(t, "https://"+plain, func(group string) string { return withCertified(group, m.own) },
		"--mtls-url", "https://"+asking, "--mtls-header", "Client-Cert", "--trust-proxy", "127.0.0.0/8,::1/128",
		"--client-ca", write(t, t.TempDir(), "root.pem", root.pem()))
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	dir := daemonDir(t, map[string]string{"nginx.conf": strings.NewReplacer(
		"$ONE", strings.TrimPrefix(r.both[0].Issuer, "http://"), "$OTHER", strings.TrimPrefix(r.both[1].Issuer, "http://"),
		"$CERT", localhost.Cert, "$KEY", localhost.Key, "$PLAIN", port(plain), "$ASKING", port(asking),
	).Replace(mtlsProxy)})
	command := exec.CommandContext(t.Context(), nginxProgram, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	startDaemon(t, plain, "start worker process ", command)
	m.issuer = "https://" + plain
	m.works()
	m.spoofs("https://" + plain)
	for _, replica := range r.both {
		m.spoofs(replica.Issuer) // past the proxy, at the host that is not for certificates
	}
}

// TestFAPIWithMTLSByForeignClients: oauth4webapi and openid-client run the code flow
// of FAPI 2.0 with tls_client_auth and certificate-bound tokens.
func TestFAPIWithMTLSByForeignClients(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	root := newAuthority(t, "the group")
	shop := root.issue(shopURI, nil)
	site := newSite(t)
	group := strings.Replace(site.group(), "      spa: {", "      certified: { profile: fapi2, auth: tls_client_auth, tls_client_auth_san_uri: "+shopURI+", redirect_uris: [\"$RP/certified\"] }\n      spa: {", 1)
	as := newSecureServer(t, site.fill(group))
	asking := freeAddress(t)
	as.args = append(as.args, "--mtls-url", "https://"+asking, "--mtls-listen", asking, "--client-ca", write(t, t.TempDir(), "root.pem", root.pem()))
	as.start(t)
	key, err := x509.MarshalPKCS8PrivateKey(shop.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := os.ReadFile(localhost.Cert)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{
		"issuer": as.Issuer, "client": "market-app.certified", "redirect": site.URL + "/certified", "email": email, "ca": string(trusted),
		"cert": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shop.Leaf.Raw})),
		"key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
	startScript(t, "mtls.js", told).play(newPerson(t), []string{
		"aliases in the metadata", "code flow with a certificate", "userinfo with the certificate and without",
		"refresh with the certificate and without", "the same by openid-client",
	})
}
