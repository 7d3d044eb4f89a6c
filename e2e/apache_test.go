package e2e_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
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
LoadModule rewrite_module $MODULESmod_rewrite.so
LoadModule auth_openidc_module $MODULESmod_auth_openidc.so
StartServers 1
OIDCCABundlePath $DIR/localhost.pem
`

// startApache runs an Apache at the address with a site from
// docs/foreign-clients.md before an application.
func startApache(t *testing.T, address, site string, env ...string) *daemon {
	t.Helper()
	user := ""
	if os.Getuid() == 0 {
		user = "User www-data\nGroup www-data"
	}
	main := strings.NewReplacer("$ADDRESS", address, "$USER", user, "$MODULES", apacheModules).Replace(apacheMain)
	file := filepath.Join(daemonDir(t, map[string]string{"apache2.conf": main + site}), "apache2.conf")
	command := exec.CommandContext(t.Context(), apacheProgram, "-D", "FOREGROUND", "-f", file)
	command.Env = append(os.Environ(), env...)
	return startDaemon(t, address, "resuming normal operations", command)
}

// freeIPv4 is a free address whose cookies are not those of the server, which
// is at localhost.
func freeIPv4(t *testing.T) string {
	t.Helper()
	return strings.Replace(freeAddress(t), "localhost", "127.0.0.1", 1)
}

const withPKCE = "OIDCPKCEMethod                S256\n"

// TestApacheSignsPeopleIn: a person comes to a site behind mod_auth_openidc,
// signs up, is known to the application, and signs out of everything.
func TestApacheSignsPeopleIn(t *testing.T) {
	t.Parallel()
	needs(t, apacheProgram, openidcModule)
	for name, edit := range map[string]*strings.Replacer{
		"as on the page": strings.NewReplacer(),
		"without PKCE":   strings.NewReplacer("shop.web", "shop.old", withPKCE, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			as, apache := startSite(t, edit)
			someone := newPerson(t)
			if known := remoteUser(someone.open(apache.URL + "/")); known != "" {
				t.Errorf("%s is known without having signed in", known)
			}
			token := comeIn(t, as, apache, someone)
			leave(t, apache, someone)
			if active(t, as, token) {
				t.Error("the access token is good after sign-out")
			}
		})
	}
}

// startSite runs a server and the site of docs/foreign-clients.md, edited.
func startSite(t *testing.T, edit *strings.Replacer) (*server, *daemon) {
	t.Helper()
	address := freeIPv4(t)
	as := docServer(t, "http://"+address)
	here := strings.NewReplacer(docIssuer, as.Issuer, docSite, "http://"+address, docApplication, newApplication(t),
		url.QueryEscape(docIssuer), url.QueryEscape(as.Issuer))
	return as, startApache(t, address, here.Replace(edit.Replace(example(t, "relying-party.conf"))))
}

// remoteUser is who the application takes the person for.
func remoteUser(seen *page) string { return seen.headers().Get("X-Remote-User") }

// comeIn lets somebody sign up at the site; the answer is the access token
// that the application is given.
func comeIn(t *testing.T, as *server, apache *daemon, someone *person) string {
	t.Helper()
	wanted := apache.URL + "/protected/page?n=1"
	seen := someone.signUp(someone.open(wanted))
	if seen.url.String() != wanted {
		t.Errorf("signed up and came to %s", seen.url)
	}
	ppid, claims := remoteUser(seen), seen.headers()
	if len(ppid) != 26 || claims.Get("OIDC_CLAIM_sub") != ppid {
		t.Errorf("X-Remote-User = %q, OIDC_CLAIM_sub = %q", ppid, claims.Get("OIDC_CLAIM_sub"))
	}
	if claims.Get("OIDC_CLAIM_email") != email || claims.Get("OIDC_CLAIM_name") != "Hanako" || claims.Get("OIDC_CLAIM_iss") != as.Issuer {
		t.Errorf("claims: %v", claims)
	}
	if remoteUser(someone.open(apache.URL+"/")) != ppid {
		t.Error("the person is not known on a page that everybody may see")
	}
	lies := call(t, apache.URL+"/", http.Header{"X-Remote-User": {ppid}, "Oidc_claim_sub": {ppid}}).headers()
	if lies.Get("X-Remote-User") != "" || lies.Get("OIDC_CLAIM_sub") != "" {
		t.Errorf("the application was told what a browser says: %v", lies)
	}
	token := claims.Get("OIDC_access_token")
	if !active(t, as, token) {
		t.Error("the access token is not good at the API of the market")
	}
	return token
}

// leave signs out, of the site and of the server.
func leave(t *testing.T, apache *daemon, someone *person) {
	t.Helper()
	bye := apache.URL + "/bye"
	seen := someone.open(apache.URL + "/protected/callback?logout=" + url.QueryEscape(bye))
	if seen.url.String() != bye || remoteUser(seen) != "" {
		t.Errorf("after sign-out at %s: %d %s", seen.url, seen.code, seen.text())
	}
	if seen := someone.open(apache.URL + "/protected/page"); !seen.has("signin-form") {
		t.Errorf("after sign-out, %s does not ask to sign in: %s", seen.url, seen.text())
	}
}

// TestApacheRefreshes: with more time before expiry than a token has, the
// module gets the application a new one at each request; so does a site that
// calls several APIs and says for which it wants the token.
func TestApacheRefreshes(t *testing.T) {
	t.Parallel()
	needs(t, apacheProgram, openidcModule)
	const early, scope = "BeforeExpiry 600", `OIDCScope                     "openid profile email items.read"`
	for name, edit := range map[string]*strings.Replacer{
		"one API":      strings.NewReplacer("BeforeExpiry 60", early),
		"several APIs": strings.NewReplacer("BeforeExpiry 60", early, scope, example(t, "several-apis.conf")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			as, apache := startSite(t, edit)
			someone := newPerson(t)
			first := comeIn(t, as, apache, someone)
			second := someone.open(apache.URL + "/protected/").headers().Get("OIDC_access_token")
			if second == first || !active(t, as, second) {
				t.Errorf("the next token is the same: %t, is good: %t", second == first, active(t, as, second))
			}
			leave(t, apache, someone)
		})
	}
}

// TestApacheShowsErrors: the module tells a person why they are sent back, here
// since it does not send PKCE and must.
func TestApacheShowsErrors(t *testing.T) {
	t.Parallel()
	needs(t, apacheProgram, openidcModule)
	_, apache := startSite(t, strings.NewReplacer(withPKCE, "OIDCDefaultURL https://shop.market.example/\n"))
	seen := newPerson(t).open(apache.URL + "/protected/")
	if seen.has("headers") || !strings.Contains(seen.text(), "invalid_request") || !strings.Contains(seen.text(), "code_challenge is required") {
		t.Errorf("at %s: %d %s", seen.url, seen.code, seen.text())
	}
}

// TestApacheChecksTokens: both ways in which mod_auth_openidc protects an API
// let a good token through and refuse every other.
func TestApacheChecksTokens(t *testing.T) {
	t.Parallel()
	needs(t, apacheProgram, openidcModule)
	site := newSite(t)
	as := docServer(t, site.URL)
	tokens := newDocTokens(t, as, site)
	start := func(site string, env ...string) *daemon {
		here := strings.NewReplacer(docIssuer, as.Issuer, docApplication, newApplication(t))
		return startApache(t, freeIPv4(t), here.Replace(site), env...)
	}
	asks, checks := example(t, "resource-server-introspection.conf"), example(t, "resource-server-jwt.conf")
	asking, checking := start(asks), start(checks)
	// Without the line on scope, nothing but the token itself is looked at.
	anyScope := strings.NewReplacer(`Require claim "scope~(^| )items\.read( |$)"`, "Require valid-user")
	for _, c := range []struct {
		name     string
		apache   *daemon
		anyScope bool
	}{
		{"asking", asking, false},
		{"asking, any scope", start(anyScope.Replace(asks)), true},
		{"checking itself", checking, false},
		{"checking itself, any scope", start(anyScope.Replace(checks)), true},
	} {
		seen := call(t, c.apache.URL+"/items", bearer(tokens.User))
		if seen.code != http.StatusOK {
			t.Fatalf("%s: a good token: %d %s", c.name, seen.code, seen.text())
		}
		if got := seen.headers(); remoteUser(seen) != tokens.Subject || got.Get("OIDC_CLAIM_client_id") != "shop.web" {
			t.Errorf("%s: the application was told %v", c.name, got)
		}
		for what, header := range tokens.refused() {
			seen := call(t, c.apache.URL+"/items", header)
			if c.anyScope && what == withoutScope {
				if remoteUser(seen) != "pay.backend" {
					t.Errorf("%s: a service is %q", c.name, remoteUser(seen))
				}
				continue
			}
			if seen.code != http.StatusUnauthorized {
				t.Errorf("%s: a request with %s: %d %s", c.name, what, seen.code, seen.text())
			}
		}
	}
	own := call(t, asking.URL+"/items", bearer(tokens.User)).headers().Get("OIDC_CLAIM_resource_sub")
	if len(own) != 26 || own == tokens.Subject {
		t.Errorf("the market's own id of the person is %q, the shop's %s", own, tokens.Subject)
	}

	t.Run("revoked", func(t *testing.T) {
		revoke(t, as, tokens.User)
		if seen := call(t, asking.URL+"/items", bearer(tokens.User)); seen.code != http.StatusUnauthorized {
			t.Errorf("asking: %d %s", seen.code, seen.text())
		}
		if seen := call(t, checking.URL+"/items", bearer(tokens.User)); seen.code != http.StatusOK {
			t.Errorf("checking itself, before expiry: %d %s", seen.code, seen.text())
		}
	})

	t.Run("expired", func(t *testing.T) {
		library := fakeTime(t)
		late := start(checks, "LD_PRELOAD="+library, "FAKETIME=+6m")
		if seen := call(t, late.URL+"/items", bearer(tokens.User)); seen.code != http.StatusUnauthorized {
			t.Errorf("after six minutes: %d %s", seen.code, seen.text())
		}
		early := start(checks, "LD_PRELOAD="+library, "FAKETIME=+4m")
		if seen := call(t, early.URL+"/items", bearer(tokens.User)); seen.code != http.StatusOK {
			t.Errorf("after four minutes: %d %s", seen.code, seen.text())
		}
	})
}

// fakeTime is the library that moves the clock of a program.
func fakeTime(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("libfaketime is missing: run make prerequisites on Debian")
	}
	return found[0]
}
