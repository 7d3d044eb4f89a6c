package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// accessibleGroup has a third party that asks for all there is to be shown.
const accessibleGroup = `
name: { en: Market, ja: マーケット }
issuer: $ISSUER
subsystems:
  bank:
    scenario: service
    name: { en: Bank, ja: 銀行 }
    resource:
      audience: https://api.bank.test
      scopes: { balance.read: { en: See your balance, ja: 残高を見る }, transfer: { en: Send money, ja: 送金 } }
      authorization_details:
        transfer:
          name: { en: Send money, ja: 送金 }
          scope: transfer
          schema: { required: [amount], properties: { amount: { type: number }, once: { type: boolean } } }
          members: [{ path: amount, name: { en: Amount, ja: 金額 } }, { path: once, name: { en: Only once, ja: 一回のみ } }]
  blog:
    scenario: third_party
    name: { en: Blog, ja: ブログ }
    identity: [profile, email]
    clients:
      web: { type: spa, redirect_uris: ["$RP/cb"], policy_uri: https://blog.test/privacy, tos_uri: https://blog.test/terms }
calls:
  - { from: blog, to: bank, user: [balance.read, transfer] }
`

// axe runs the rules of axe-core on the page that is shown, and tells what breaks them.
const axe = `axe.run(document, { resultTypes: ["violations"] }).then(r => r.violations.map(v =>
	v.id + ": " + v.help + " " + v.nodes.map(n => n.html + " " + n.any.map(c => c.message).join("; ")).join(" | ")).join("\n"))`

// accessible checks the page in light and dark, on a desktop and a phone, in both
// languages.
func (b *tab) accessible(script, name string) {
	b.t.Helper()
	for _, look := range []struct {
		scheme        string
		width, height int64
	}{{"light", 1280, 800}, {"dark", 1280, 800}, {"light", 390, 844}, {"dark", 390, 844}} {
		colours := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, colours); err != nil {
			b.t.Fatal(err)
		}
		b.run(name, chromedp.EmulateViewport(look.width, look.height))
		if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[chromedp.Void](script+"; undefined", chromedp.EvalAsValue)); err != nil {
			b.t.Fatal(err)
		}
		broken, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise))
		if err != nil {
			b.t.Fatal(err)
		}
		if broken != "" {
			b.t.Errorf("%s, %s, %d wide:\n%s", name, look.scheme, look.width, broken)
		}
		b.picture(fmt.Sprintf("%s-%s-%d.png", strings.NewReplacer(" ", "-", ",", "", "&", "-").Replace(name), look.scheme, look.width))
	}
}

// picture keeps the page that is shown, where SEKISHO_PICTURES names a directory.
func (b *tab) picture(name string) {
	b.t.Helper()
	directory := os.Getenv("SEKISHO_PICTURES")
	if directory == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(directory, name), picture, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestPagesAreAccessible holds that axe-core finds nothing on any page, and that a
// keyboard alone gets a person through sign-in.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(filepath.Join(clientsDir(t), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `<p id="back">back</p>`) }))
	t.Cleanup(client.Close)
	as := newServer(t, (&site{URL: client.URL}).fill(accessibleGroup))
	as.env = append(os.Environ(), "SEKISHO_MAIL_SERVER=smtp+plain://localhost:9", "SEKISHO_MAIL_FROM=no-reply@market.test")
	started := as.start(t)
	b := newTab(t, "422", "404", "410") // pages that say what was wrong
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	_, err = chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	axe := string(script)
	see := func(id string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(chromedp.ID(id)) }
	open := func(path, id string) {
		t.Helper()
		b.run("open "+path, chromedp.Navigate(started.Issuer+path), see(id))
	}
	ask := "/oauth2/authorize?client_id=blog.web&response_type=code&redirect_uri=" + client.URL + "/cb&code_challenge=" + strings.Repeat("A", 43) +
		"&code_challenge_method=S256&scope=openid+profile+email+balance.read+offline_access&authorization_details=" +
		`%5B%7B%22type%22%3A%22transfer%22%2C%22amount%22%3A12%2C%22once%22%3Atrue%7D%5D`
	for _, language := range []string{"", "&ui_locales=ja"} {
		open(ask+language, "signin-form")
		b.accessible(axe, "sign in"+language)
	}
	b.run("a wrong password", chromedp.SendKeys(chromedp.ID("email"), email), chromedp.SendKeys(chromedp.ID("password"), "not the right one"), press("submit"), see("problem"))
	b.accessible(axe, "sign in, refused")
	b.run("sign up", press("signup-link"), see("signup-form"))
	b.accessible(axe, "sign up")
	b.run("sign up", chromedp.SendKeys(chromedp.ID("name"), "Hanako"), chromedp.SendKeys(chromedp.ID("email"), email),
		chromedp.SendKeys(chromedp.ID("password"), password), press("submit"), see("consent-form"))
	b.accessible(axe, "consent")
	b.run("allow", press("allow"), see("back"))
	open("/account", "sessions")
	b.accessible(axe, "account")
	open("/account/security", "passkeys")
	b.accessible(axe, "security, without a passkey")
	b.run("add a passkey", press("passkey"), see("notice"), chromedp.Click(chromedp.CSS("#app-setup summary")), see("app-form"))
	b.accessible(axe, "security, with a passkey")
	open("/account/delete", "delete-form")
	b.accessible(axe, "delete")
	open("/oauth2/logout", "logout-form")
	b.accessible(axe, "sign out")
	b.run("sign out", press("logout-confirm"), see("signed-out"))
	b.accessible(axe, "signed out")
	open("/recover", "recover-form")
	b.accessible(axe, "forgot")
	open("/recover/x", "gone")
	b.accessible(axe, "a link that is gone")
	open("/confirm-email/x", "confirm-form")
	b.accessible(axe, "confirm the address")
	open("/nowhere", "error-code")
	b.accessible(axe, "no such page")
}
