package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestExpressOpenIDConnect signs in at a site on Express, whose callback is a
// form posted from our page, and out again, in a real browser.
func TestExpressOpenIDConnect(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	visitor := newTab(t)
	home := "http://" + freeAddress(t)
	as := newServer(t, (&site{URL: home}).fill(expressGroup)).start(t)
	startScript(t, "express-openid-connect.js", map[string]string{
		"issuer": as.Issuer, "site": home, "secret": appSecret,
	}).listening()

	visitor.run("a page for those who are signed in", chromedp.Navigate(home+"/profile"), chromedp.WaitVisible(chromedp.ID("signin-form")))
	visitor.signUp()
	visitor.run("back at that page, with userinfo", shows("email", email), shows("name", "Hanako"), shows("same", "true"))
	visitor.run("refresh", chromedp.Navigate(home+"/refresh"), shows("refreshed", "Bearer"))
	visitor.run("sign-out, there and here", chromedp.Navigate(home+"/logout"), chromedp.WaitReady(chromedp.ID("signed-out")))
	visitor.run("nobody is signed in any more", chromedp.Navigate(home+"/login"), chromedp.WaitVisible(chromedp.ID("signin-form")))
}

// expressGroup is the group of the site on Express.
const expressGroup = `
issuer: $ISSUER
subsystems:
  market:
    scenario: service
    resource: { audience: https://api.market.test, scopes: { items.read: See your items } }
  shops:
    scenario: app
    identity: [profile, email]
    clients:
      web: { secret_sha256: [$HASH_APP], redirect_uris: ["$RP/callback"], post_logout_redirect_uris: ["$RP"] }
calls:
  - { from: shops, to: market, user: [items.read] }
`

// TestOIDCClientTS runs an app that lives in the browser alone: metadata, token,
// userinfo and revocation across origins, rotation, sign-in
// in a frame and in a window.
func TestOIDCClientTS(t *testing.T) {
	t.Parallel()
	dir := clientsDir(t)
	visitor := newTab(t, "401 (Unauthorized)") // for the token that was revoked
	var told npmTold
	files := map[string]string{
		"/spa.js":            filepath.Join(dir, "spa", "spa.js"),
		"/oidc-client-ts.js": filepath.Join(dir, "node_modules", "oidc-client-ts", "dist", "browser", "oidc-client-ts.min.js"),
		"/spa":               filepath.Join(dir, "spa", "index.html"),
	}
	pages := http.NewServeMux()
	for path, file := range files {
		pages.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	pages.HandleFunc("GET /told.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": told.Issuer})
	})
	app := httptest.NewServer(pages)
	t.Cleanup(app.Close)
	// The same site as the server's, so that our cookies go with the frame.
	home := strings.Replace(app.URL, "127.0.0.1", "localhost", 1)
	_, told = newNPMServer(t, home)

	visitor.run("nobody yet", chromedp.Navigate(home+"/spa"), shows("state", "nobody"))
	visitor.run("sign-in", press("signin"), chromedp.WaitVisible(chromedp.ID("signin-form")))
	visitor.signUp()
	visitor.run("code with PKCE, userinfo", shows("state", email+" has"), shows("state", "items.read"))
	visitor.run("refresh with rotation", press("refresh"), shows("did", "refresh: rotated"))
	visitor.run("silent sign-in in a frame", press("silently"), shows("did", "silently: the same person"))
	visitor.run("revocation", press("revoke"), shows("did", "revoke: 401"), shows("did", "invalid_token"))
	visitor.run("sign-out", press("signout"), shows("state", "nobody"))
	// Our pages stay apart from the page that opened them (their opener policy);
	// the window finds its way back all the same.
	window := visitor.opened(press("popup"))
	window.run("nobody is signed in any more", chromedp.WaitVisible(chromedp.ID("signin-form")))
	window.signIn()
	visitor.run("sign-in in a window", shows("did", "popup: "+email+" is here"))
}
