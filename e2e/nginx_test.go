package e2e_test

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	nginxProgram = "/usr/sbin/nginx"
	njsModule    = "/usr/lib/nginx/modules/ngx_http_js_module.so"
)

// nginxPaths keep what an nginx writes in its own directory.
const nginxPaths = `    client_body_temp_path $DIR/body;
    proxy_temp_path       $DIR/proxy;
    fastcgi_temp_path     $DIR/fastcgi;
    uwsgi_temp_path       $DIR/uwsgi;
    scgi_temp_path        $DIR/scgi;
`

// nginxMain is what Debian has around the locations that the page describes.
const nginxMain = `
load_module $NJS;
daemon off;
pid $DIR/nginx.pid;
error_log stderr notice;
events {}
http {
    access_log off;
` + nginxPaths + `    server {
        listen $ADDRESS;
        include $DIR/introspection.conf;
    }
}
`

// startNginx runs an nginx with the site from docs/foreign-clients.md.
func startNginx(t *testing.T, as *server) *daemon {
	t.Helper()
	address := freeIPv4(t)
	here := strings.NewReplacer(docIssuer, as.Issuer, docApplication, newApplication(t),
		"/etc/ssl/certs/ca-certificates.crt", "$DIR/localhost.pem")
	main := strings.NewReplacer("$NJS", njsModule, "$ADDRESS", address)
	dir := daemonDir(t, map[string]string{
		"nginx.conf":         main.Replace(nginxMain),
		"introspection.conf": here.Replace(example(t, "introspection.conf")),
		"introspection.js":   example(t, "introspection.js"),
	})
	command := exec.CommandContext(t.Context(), nginxProgram, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	return startDaemon(t, address, "start worker process ", command)
}

// TestNginxAsksAboutTokens: nginx lets a token through that introspection calls
// active, with the scope, and tells the application whose it is; every other
// it refuses with the status and challenge of RFC 6750 §3.
func TestNginxAsksAboutTokens(t *testing.T) {
	t.Parallel()
	needs(t, nginxProgram, njsModule)
	site := newSite(t)
	as := docServer(t, site.URL)
	tokens := newDocTokens(t, as, site)
	nginx := startNginx(t, as)

	seen := call(t, nginx.URL+"/items?n=1", bearer(tokens.User))
	if seen.code != http.StatusOK {
		t.Fatalf("a good token: %d %s", seen.code, seen.text())
	}
	got := seen.headers()
	own := got.Get("X-Resource-Subject")
	if remoteUser(seen) != tokens.Subject || got.Get("X-Client") != "shop.web" || len(own) != 26 || own == tokens.Subject {
		t.Errorf("the application was told %v", got)
	}
	lies := bearer(tokens.User)
	lies.Set("X-Remote-User", "a")
	if user := remoteUser(call(t, nginx.URL+"/items", lies)); user != tokens.Subject {
		t.Errorf("the application was told by the caller that it is %s", user)
	}

	posted, err := http.NewRequestWithContext(t.Context(), http.MethodPost, nginx.URL+"/items", strings.NewReader("token=of+the+application"))
	if err != nil {
		t.Fatal(err)
	}
	posted.Header = bearer(tokens.User)
	if body := newPerson(t).do(posted).headers().Get("Body"); body != "token=of+the+application" {
		t.Errorf("the application was posted %q", body)
	}

	for what, header := range tokens.refused() {
		code, challenge := http.StatusUnauthorized, `Bearer error="invalid_token"`
		switch {
		case what == withoutScope:
			code, challenge = http.StatusForbidden, `Bearer error="insufficient_scope"`
		case what == "garbage that is a parameter" || !strings.HasPrefix(header.Get("Authorization"), "Bearer ") || header.Get("Authorization") == "Bearer ":
			challenge = "Bearer"
		}
		seen := call(t, nginx.URL+"/items", header)
		if seen.code != code || seen.head.Get("WWW-Authenticate") != challenge {
			t.Errorf("a request with %s: %d, challenge %q; %s", what, seen.code, seen.head.Get("WWW-Authenticate"), seen.text())
		}
	}

	for _, inside := range []string{"/introspection", "/authorized"} {
		if seen := call(t, nginx.URL+inside, bearer(tokens.User)); seen.code != http.StatusNotFound {
			t.Errorf("%s is open to the world: %d", inside, seen.code)
		}
	}

	revoke(t, as, tokens.User)
	if seen := call(t, nginx.URL+"/items", bearer(tokens.User)); seen.code != http.StatusUnauthorized {
		t.Errorf("revoked: %d %s", seen.code, seen.text())
	}
	as.stop(t)
	if seen := call(t, nginx.URL+"/items", bearer(tokens.User)); seen.code != http.StatusInternalServerError {
		t.Errorf("nobody to ask: %d %s", seen.code, seen.text())
	}
}
