package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	apacheProgram = "/usr/sbin/apache2"
	apacheModules = "/usr/lib/apache2/modules/"
	openidcModule = apacheModules + "mod_auth_openidc.so"
)

// apacheMain is what Debian has around the site that the page describes.
const apacheMain = `
ServerRoot $DIR
PidFile $DIR/apache2.pid
DefaultRuntimeDir $DIR
Mutex file:$DIR default
Listen $ADDRESS
ServerName $ADDRESS
ErrorLog /dev/stderr
LogLevel notice auth_openidc:info
$USER
LoadModule mpm_event_module $MODULESmod_mpm_event.so
LoadModule authn_core_module $MODULESmod_authn_core.so
LoadModule authz_core_module $MODULESmod_authz_core.so
LoadModule authz_user_module $MODULESmod_authz_user.so
LoadModule proxy_module $MODULESmod_proxy.so
LoadModule proxy_http_module $MODULESmod_proxy_http.so
LoadModule auth_openidc_module $MODULESmod_auth_openidc.so
StartServers 1
`

// startApache runs an Apache at the address with a site from
// docs/foreign-clients.md before an application.
func startApache(t *testing.T, address, site string, under ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data"
	}
	main := strings.NewReplacer("$DIR", dir, "$ADDRESS", address, "$USER", user, "$MODULES", apacheModules).Replace(apacheMain)
	file := filepath.Join(dir, "apache2.conf")
	if err := os.WriteFile(file, []byte(main+site), 0o600); err != nil {
		t.Fatal(err)
	}
	return startDaemon(t, address, "resuming normal operations", append(under, apacheProgram, "-D", "FOREGROUND", "-f", file)...)
}

// freeIPv4 is a free address whose cookies are not those of the server, which
// is at localhost.
func freeIPv4(t *testing.T) string {
	t.Helper()
	return strings.Replace(freeAddress(t), "localhost", "127.0.0.1", 1)
}

// TestApacheSignsPeopleIn: a person comes to a site behind mod_auth_openidc,
// signs up, is known to the application, and signs out of everything.
func TestApacheSignsPeopleIn(t *testing.T) {
	t.Parallel()
	needs(t, apacheProgram, openidcModule)
	const withPKCE = "OIDCPKCEMethod                S256\n"
	toOld := strings.NewReplacer("shop.web", "shop.old", withPKCE, "")
	for name, c := range map[string]struct {
		edit *strings.Replacer
	}{
		"with PKCE":    {strings.NewReplacer()},
		"without PKCE": {toOld},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := freeIPv4(t)
			as := docServer(t, "http://"+address)
			site := strings.NewReplacer(docIssuer, as.Issuer, docSite, "http://"+address, docApplication, newApplication(t))
			apache := startApache(t, address, site.Replace(c.edit.Replace(example(t, "relying-party.conf"))))
			visitProtectedSite(t, as, apache)
		})
	}

	t.Run("PKCE left out by a client that must send it", func(t *testing.T) {
		t.Parallel()
		address := freeIPv4(t)
		as := docServer(t, "http://"+address)
		site := strings.NewReplacer(docIssuer, as.Issuer, docSite, "http://"+address, docApplication, newApplication(t), withPKCE, "")
		apache := startApache(t, address, site.Replace(example(t, "relying-party.conf")))
		seen := newPerson(t).open(apache.URL + "/protected/")
		if seen.has("signin-form") || seen.has("headers") || !strings.Contains(seen.text(), "code_challenge") {
			t.Errorf("at %s: %d %s", seen.url, seen.code, seen.text())
		}
	})
}

func visitProtectedSite(t *testing.T, as *server, apache *daemon) {
	t.Helper()
	someone := newPerson(t)
	if headers := someone.open(apache.URL + "/").headers(); headers.Get("X-Remote-User") != "" {
		t.Errorf("somebody is known without having signed in: %v", headers)
	}
	seen := someone.signUp(someone.open(apache.URL + "/protected/page?n=1"))
	if seen.url.String() != apache.URL+"/protected/page?n=1" {
		t.Errorf("signed up and came to %s", seen.url)
	}
	headers := seen.headers()
	token := headers.Get("OIDC_access_token")
	introspection := as.Issuer + "/oauth2/introspect"
	asked, _ := send(t, t.Context(), introspection, "market.gateway", docSecret("market.gateway"), url.Values{"token": {token}})
	_ = asked
	if ppid := headers.Get("X-Remote-User"); len(ppid) != 26 || headers.Get("OIDC_CLAIM_sub") != ppid {
		t.Errorf("X-Remote-User = %q, OIDC_CLAIM_sub = %q", ppid, headers.Get("OIDC_CLAIM_sub"))
	}
	if headers.Get("OIDC_CLAIM_email") != email || headers.Get("OIDC_CLAIM_name") != "Hanako" || headers.Get("OIDC_CLAIM_iss") != as.Issuer {
		t.Errorf("claims: %v", headers)
	}
	if known := someone.open(apache.URL + "/").headers(); known.Get("X-Remote-User") != headers.Get("X-Remote-User") {
		t.Error("the person is not known on a public page")
	}
	forgery := call(t, apache.URL+"/", http.Header{"X-Remote-User": {"a"}, "Oidc_claim_sub": {"a"}}).headers()
	if forgery.Get("X-Remote-User") != "" || forgery.Get("OIDC_CLAIM_sub") != "" {
		t.Errorf("the application believes what a browser says: %v", forgery)
	}

	bye := apache.URL + "/bye"
	if seen := someone.open(apache.URL + "/protected/callback?logout=" + url.QueryEscape(bye)); seen.url.String() != bye || !seen.has("headers") {
		t.Errorf("after sign-out at %s: %d %s", seen.url, seen.code, seen.text())
	}
	if seen := someone.open(apache.URL + "/protected/page"); !seen.has("signin-form") {
		t.Errorf("after sign-out, %s does not ask to sign in: %s", seen.url, seen.text())
	}
}

var _ = fmt.Sprint
