package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/oauth2"
)

// What docs/foreign-clients.md calls the parts of its example.
const (
	docIssuer      = "https://id.market.example"
	docSite        = "https://shop.market.example"
	docApplication = "http://127.0.0.1:3000"
	docMarketAPI   = "https://api.market.example"
	docPayAPI      = "https://api.pay.example"
)

// docSecret is the secret that the page gives a client.
func docSecret(clientID string) string { return "here-goes-the-secret-of-" + clientID }

// example is the block of docs/foreign-clients.md that stands for the file of
// that name: what is written there is what is tested here.
func example(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/foreign-clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(page), "\n```") {
		info, text, _ := strings.Cut(block, "\n")
		if _, file, ok := strings.Cut(info, " "); ok && file == name {
			return text + "\n"
		}
	}
	t.Fatalf("docs/foreign-clients.md has no block %s", name)
	return ""
}

// docServer runs a server with the group of docs/foreign-clients.md, whose
// site is at the given URL.
func docServer(t *testing.T, siteURL string) *server {
	t.Helper()
	dir := t.TempDir()
	for file, client := range map[string]string{
		"gateway": "market.gateway", "pay": "pay.backend", "shop": "shop.web", "old-shop": "shop.old",
	} {
		if err := os.WriteFile(filepath.Join(dir, file+".secret"), []byte(docSecret(client)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	group := strings.NewReplacer(docIssuer, "$ISSUER", docSite, siteURL, "secret_file: ", "secret_file: "+dir+"/")
	return newSecureServer(t, group.Replace(example(t, "group.yaml"))).start(t)
}

// daemonDir is a directory for the files of a daemon, with those given and the
// certificate to trust. A daemon that was started by root reads it as another
// user.
func daemonDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sekisho-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	trusted, err := os.ReadFile(localhost.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "localhost.pem"), trusted, 0o644); err != nil { //nolint:gosec // public
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // holds no secret that the files' own modes do not keep
		t.Fatal(err)
	}
	return dir
}

// daemon is a running server that is not ours.
type daemon struct {
	URL string
	log *logBuffer
	cmd *exec.Cmd
}

// startDaemon runs a program in the foreground and returns when its log says
// that it serves. The program ends with the test.
func startDaemon(t *testing.T, address, sign string, command *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{URL: "http://" + address, log: newLogBuffer(sign), cmd: command}
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go d.log.follow(stderr)
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
		<-d.log.ended
		if err := d.cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("%s did not end well: %v", command.Path, err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", command.Path, d.log)
		}
	})
	select {
	case <-d.log.serving:
	case <-d.log.ended:
		t.Fatalf("%s ended before it served:\n%s", command, d.log)
	}
	return d
}

// needs skips a test where a file of a Debian package is absent.
func needs(t *testing.T, files ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs web servers from Debian")
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("%s is missing: run make prerequisites on Debian", file)
		}
	}
}

// newApplication stands for the application behind a web server. It shows the
// headers that it got, and the body under the name Body.
func newApplication(t *testing.T) string {
	t.Helper()
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if len(body) > 0 {
			r.Header.Set("Body", string(body))
		}
		headers, err := json.Marshal(r.Header)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, "<!doctype html><title>application</title><script id=headers type=application/json>%s</script>", headers)
	}))
	t.Cleanup(application.Close)
	return application.URL
}

// headers are what the application got with the request for this page.
func (s *page) headers() http.Header {
	s.t.Helper()
	element := s.element("headers")
	if element == nil {
		s.t.Fatalf("%s does not come from the application: %d %s %s", s.url, s.code, s.title, s.text())
	}
	var got http.Header
	if err := json.Unmarshal([]byte(element.FirstChild.Data), &got); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// call sends a request to an API as a client that is no browser does.
func call(t *testing.T, address string, header http.Header) *page {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	return newPerson(t).do(request)
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// docTokens are tokens of the group of docs/foreign-clients.md.
type docTokens struct {
	User    string // the shop's, for a person at the API of the market
	Foreign string // the shop's, for the same person at the API of pay
	ID      string // the shop's ID token
	Service string // pay's own at the API of the market, without the scope items.read
	Subject string // the person's id in the sector of the shop
}

// newDocTokens lets a person sign in to the shop, which is at site.
func newDocTokens(t *testing.T, as *server, site *site) docTokens {
	t.Helper()
	tokenURL := as.Issuer + "/oauth2/token"
	secret := docSecret("shop.web")
	config := &oauth2.Config{
		ClientID: "shop.web", ClientSecret: secret, RedirectURL: site.URL + "/protected/callback",
		Endpoint: oauth2.Endpoint{AuthURL: as.Issuer + "/oauth2/authorize", TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInHeader},
		Scopes:   []string{"openid", "items.read", "charge"},
	}
	verifier := oauth2.GenerateVerifier()
	someone := newPerson(t)
	someone.signUp(someone.open(config.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier))))
	token, err := config.Exchange(t.Context(), (<-site.answers).Get("code"),
		oauth2.VerifierOption(verifier), oauth2.SetAuthURLParam("resource", docMarketAPI))
	if err != nil {
		t.Fatal(err)
	}
	id, _ := token.Extra("id_token").(string)
	var claims accessClaims
	_, body, _ := strings.Cut(token.AccessToken, ".")
	body, _, _ = strings.Cut(body, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return docTokens{
		User:    token.AccessToken,
		ID:      id,
		Subject: claims.Subject,
		Foreign: post(t, tokenURL, "shop.web", secret, url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "resource": {docPayAPI},
		}).AccessToken,
		Service: post(t, tokenURL, "pay.backend", docSecret("pay.backend"), url.Values{
			"grant_type": {"client_credentials"}, "scope": {"settle"}, "resource": {docMarketAPI},
		}).AccessToken,
	}
}

// withoutScope is the one of the refused requests whose token is good.
const withoutScope = "the token of a service, without the scope"

// refused are requests that the API of the market does not serve.
func (d docTokens) refused() map[string]http.Header {
	signature := strings.LastIndexByte(d.User, '.') + 1
	return map[string]http.Header{
		"no token":                    {},
		"no bearer token":             {"Authorization": {"Basic bWFya2V0LmdhdGV3YXk6"}},
		"an empty token":              {"Authorization": {"Bearer "}},
		"garbage":                     bearer("garbage"),
		"garbage that is a parameter": bearer("a&active=true"),
		"another signature":           bearer(d.User[:signature] + strings.Repeat("A", 86)),
		"no signature":                bearer(d.User[:signature]),
		"cut":                         bearer(d.User[:len(d.User)-2]),
		"for another API":             bearer(d.Foreign),
		"an ID token":                 bearer(d.ID),
		withoutScope:                  bearer(d.Service),
	}
}

// active tells whether the API of the market may take the token.
func active(t *testing.T, as *server, token string) bool {
	t.Helper()
	var answer struct {
		Active bool `json:"active"`
	}
	if err := json.Unmarshal(ask(t, as.Issuer+"/oauth2/introspect", "market.gateway", token), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Active
}

// revoke takes one of the shop's tokens back.
func revoke(t *testing.T, as *server, token string) {
	t.Helper()
	ask(t, as.Issuer+"/oauth2/revoke", "shop.web", token)
}

// ask sends a token to an endpoint as a client of docs/foreign-clients.md.
func ask(t *testing.T, address, clientID, token string) []byte {
	t.Helper()
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(clientID, docSecret(clientID))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", address, response.Status, answer, err)
	}
	return answer
}
