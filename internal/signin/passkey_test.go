package signin_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// device gives the browser a device that holds passkeys, and makes sure who uses it.
func (c *chromium) device() webauthn.AuthenticatorID {
	c.Helper()
	if _, err := chromedp.Call(c.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		c.Fatal(err)
	}
	made, err := chromedp.Call(c.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	if err != nil {
		c.Fatal(err)
	}
	return made.AuthenticatorID
}

// presence says whether somebody touches the device when it is asked for: the address
// field proposes passkeys all the time.
func (c *chromium) presence(device webauthn.AuthenticatorID, there bool) {
	c.Helper()
	_, err := chromedp.Call(c.ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: device, Enabled: there})
	if err != nil {
		c.Fatal(err)
	}
}

// TestPasskeysInChromium is a person's way to passkeys in a real browser: add one, sign in
// with it, by the field that proposes it and by the button, step up with it, and do without
// the password.
func TestPasskeysInChromium(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	device := c.device()
	c.run(chromedp.Navigate(c.issuer+"/account/security"), see("signin-form"))
	c.keep("signin")
	c.run(typed("email", "aiko@example.test"), typed("password", password), click("submit"), see("passkeys"))
	if text := c.text("#passkeys"); !strings.Contains(text, "no passkey") {
		t.Errorf("the page says %q", text)
	}
	c.run(see("passkey"), click("passkey"), see("notice"))
	if text := c.text("#passkeys"); !strings.Contains(text, "My device") || !strings.Contains(text, "On one device") {
		t.Errorf("the page lists %q", text)
	}
	c.keep("security")

	// The field proposes the passkey, and the device uses it at once.
	c.run(chromedp.Navigate(c.issuer+"/oauth2/logout"), see("logout-form"), click("logout-confirm"), see("signed-out"))
	c.run(c.ask("shop.web", "openid profile"))
	c.wantCode("GET /shop/cb")

	// By the button.
	c.presence(device, false)
	c.run(chromedp.Navigate(c.issuer+"/oauth2/logout"), see("logout-form"), click("logout-confirm"), see("signed-out"))
	c.run(c.ask("games.web", "openid"), see("passkey"))
	c.presence(device, true)
	c.run(click("passkey"))
	c.wantCode("GET /games/cb")

	// With the password, and then one step more where a client asks for it.
	c.presence(device, false)
	c.run(chromedp.Navigate(c.issuer+"/oauth2/logout"), see("logout-form"), click("logout-confirm"), see("signed-out"))
	c.run(c.ask("shop.web", "openid", "acr_values", "aal2"), see("signin-form"), typed("email", "aiko@example.test"), typed("password", password),
		click("submit"), see("restart"))
	c.keep("verify-passkey")
	c.presence(device, true)
	c.run(click("passkey"))
	c.wantCode("GET /shop/cb")

	// Without a password, and with a device that is not sure who uses it: refused.
	c.run(chromedp.Navigate(c.issuer+"/account/security"), see("remove-password"), click("remove-password"), see("no-password"))
	c.presence(device, false)
	c.run(chromedp.Navigate(c.issuer+"/oauth2/logout"), see("logout-form"), click("logout-confirm"), see("signed-out"))
	c.run(c.ask("shop.web", "openid"), see("signin-form"), typed("email", "aiko@example.test"), typed("password", password), click("submit"), see("problem"))
	if _, err := chromedp.Call(c.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: device, IsUserVerified: false}); err != nil {
		t.Fatal(err)
	}
	c.presence(device, true)
	c.run(click("passkey"))
	if _, err := chromedp.Call(c.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: device, IsUserVerified: true}); err != nil {
		t.Fatal(err)
	}
	c.run(c.ask("shop.web", "openid"))
	c.wantCode("GET /shop/cb")
	if refused := c.refused.all(); len(refused) > 0 {
		t.Errorf("the browser refused: %q", refused)
	}
}
