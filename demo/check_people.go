package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// signUpAtApp makes an account on the way into the app.
func (c *check) signUpAtApp(ctx context.Context) error {
	mark := c.mark()
	if err := c.browser.open(ctx, c.group.urls[partyApp]+"/signin"); err != nil {
		return err
	}
	c.verify(c.browser.has("signin-form"), "the app sent the browser to the sign-in page of the authorization server")
	if err := c.browser.signUp(ctx, c.person); err != nil {
		return err
	}
	c.verify(!c.browser.has("consent-form") && c.browser.passed(c.group.urls[partyApp], "/callback"),
		"the new person came straight back to the app: no consent page for a first party")
	c.verify(c.cameBackNamed(), "the answer named its issuer (iss) beside the code")
	if err := c.signedInHere(ctx, partyApp); err != nil {
		return err
	}
	redeemed := c.step(mark, partyApp, partyServer, "redeems the code")
	subject := c.ids[partyApp].Subject
	c.verify(redeemed.token("ID token").Subject == subject && redeemed.token("access token").Subject == subject,
		"ID token and access token name the person as the app knows them: %s, behind it %s", short(subject), c.ids[partyApp].Internal)

	mark = c.mark()
	if err := c.browser.open(ctx, c.group.urls[partyApp]+"/signin?prompt=none"); err != nil {
		return err
	}
	if err := c.signedInHere(ctx, partyApp); err != nil {
		return err
	}
	c.verify(c.ids[partyApp].Subject == subject, "with prompt=none the app got the same subject again, without a page")

	if err := c.browser.click(ctx, "offer-form", map[string]string{"title": "Teapot", "price": "3200"}); err != nil {
		return err
	}
	offered := c.step(mark, partyApp, partyMarket, "POST /items")
	member := offered.behind(partyMarket, "the person")
	c.verify(len(member) == 1 && offered.last().Subject == subject,
		"the app offered a teapot at market with a token for the person; behind %s market knows %s", short(subject), strings.Join(member, " "))
	return nil
}

// cameBackNamed reports whether the callback carried the issuer (RFC 9207).
func (c *check) cameBackNamed() bool {
	for _, address := range c.browser.visited {
		if query := address.Query(); query.Has("code") && query.Get("iss") == c.group.Issuer() {
			return true
		}
	}
	return false
}

// linkCrypto signs in to crypto with crypto's own password and links the
// market account, for which the browser's session is enough.
func (c *check) linkCrypto(ctx context.Context) error {
	if err := c.browser.open(ctx, c.group.urls[partyCrypto]+"/"); err != nil {
		return err
	}
	if err := c.browser.click(ctx, "signin-form", map[string]string{"name": mikaName, "password": mikaPassword}); err != nil {
		return err
	}
	if err := c.browser.open(ctx, c.group.urls[partyCrypto]+"/"); err != nil {
		return err
	}
	c.verify(c.browser.has("link-form") && !c.browser.has("subject"), "crypto signed its customer in by itself and knows no subject yet")

	mark := c.mark()
	if err := c.browser.click(ctx, "link-form", nil); err != nil {
		return err
	}
	c.verify(c.browser.passed(c.group.urls[partyCrypto], "/linked") && !c.browser.passed(c.group.Issuer(), "/signin") && !c.browser.has("consent-form"),
		"single sign-on: crypto linked the market account without a password and without a consent page")
	if err := c.signedInHere(ctx, partyCrypto); err != nil {
		return err
	}
	redeemed := c.step(mark, partyCrypto, partyServer, "redeems the code")
	c.verify(redeemed.token("access token").Subject == c.ids[partyCrypto].Subject && c.ids[partyCrypto].Subject != c.ids[partyApp].Subject,
		"crypto is told another subject than the app: %s, behind it %s", short(c.ids[partyCrypto].Subject), c.ids[partyCrypto].Internal)
	return c.callFromCrypto(ctx)
}

// callFromCrypto reads the person's items in user context, and settles in
// service context.
func (c *check) callFromCrypto(ctx context.Context) error {
	mark := c.mark()
	if err := c.browser.click(ctx, "items-form", nil); err != nil {
		return err
	}
	read := c.step(mark, partyCrypto, partyMarket, "GET /items/mine")
	c.verify(c.browser.text("notice") == "You offer 1 items at market." && read.last().Subject == c.ids[partyCrypto].Subject,
		"crypto read the person's teapot from market with a token for the person")
	member := read.behind(partyMarket, "the person")

	if err := c.browser.open(ctx, c.group.urls[partyCrypto]+"/"); err != nil {
		return err
	}
	mark = c.mark()
	if err := c.browser.click(ctx, "settle-form", nil); err != nil {
		return err
	}
	settled := c.step(mark, partyCrypto, partyMarket, "POST /settlements")
	token := settled.last()
	c.verify(token.Service && token.Subject == clientCrypto && settled.Refusal == nil,
		"crypto settled for itself: sub is the client %s, a name no person can have", token.Subject)
	c.verify(len(member) == 1 && fmt.Sprint(settled.behind(partyMarket, "the seller")) == fmt.Sprint(member),
		"the person whom crypto named %s is %s to market", short(c.ids[partyCrypto].Subject), strings.Join(member, " "))
	return nil
}

// signInAtPartner refuses consent once, gives it, is not asked again, and
// takes it back.
func (c *check) signInAtPartner(ctx context.Context) error {
	start := c.group.urls[partyPartner] + "/signin"
	if err := c.browser.open(ctx, start); err != nil {
		return err
	}
	c.verify(c.browser.has("consent-form") && !c.browser.has("signin-form"), "the partner needs consent, and no password: the session is known")
	if err := c.browser.click(ctx, "deny", nil); err != nil {
		return err
	}
	c.verify(strings.Contains(c.browser.text("notice"), string(oauth.AccessDenied)) && c.browser.status == http.StatusForbidden,
		"who says no is not signed in at the partner: access_denied")
	if err := c.browser.open(ctx, start); err != nil {
		return err
	}
	if err := c.browser.click(ctx, "allow", nil); err != nil {
		return err
	}
	if err := c.signedInHere(ctx, partyPartner); err != nil {
		return err
	}
	c.verify(c.ids[partyPartner].Subject != c.ids[partyApp].Subject && c.ids[partyPartner].Subject != c.ids[partyCrypto].Subject,
		"the partner is told a subject of its own: %s, behind it %s", short(c.ids[partyPartner].Subject), c.ids[partyPartner].Internal)
	mark := c.mark()
	if err := c.browser.click(ctx, "shelf-form", nil); err != nil {
		return err
	}
	read := c.step(mark, partyPartner, partyMarket, "GET /items/mine")
	c.verify(read.Refusal == nil && read.last().Subject == c.ids[partyPartner].Subject, "the partner read the person's items from market")

	if err := c.browser.open(ctx, start); err != nil {
		return err
	}
	c.verify(c.browser.passed(c.group.urls[partyPartner], "/callback") && !c.browser.has("consent-form"), "the second time nobody is asked: consent is remembered")
	return nil
}

// signOut ends the session of the group, and with it what hung on it.
func (c *check) signOut(ctx context.Context) error {
	held, ok := c.group.systems.app.sessions.find(func(s *session) bool { return s.subject == c.ids[partyApp].Subject })
	if !ok {
		return errors.New("the app holds no session of the person")
	}
	if err := c.withdraw(ctx); err != nil {
		return err
	}
	charge, err := held.token(ctx, c.group.systems.app.client, c.group.urls[partyPay], "charge")
	if err != nil {
		return err
	}
	browsing, err := held.api(ctx, c.group.systems.app.client, c.group.urls[partyMarket])
	if err != nil {
		return err
	}
	if err := c.leave(ctx); err != nil {
		return err
	}
	if err := c.refusedAtOnce(ctx, browsing); err != nil {
		return err
	}
	c.verify(c.browser.at.String() == c.group.urls[partyApp]+"/", "after signing out the browser is back at the app")
	if err := c.browser.open(ctx, c.group.urls[partyApp]+"/signin?prompt=none"); err != nil {
		return err
	}
	c.verify(strings.Contains(c.browser.text("notice"), string(oauth.LoginRequired)), "prompt=none now answers login_required")
	_, err = c.group.systems.app.client.Refresh(ctx, held.refresh, c.group.urls[partyMarket])
	c.verify(codeOf(err) == oauth.InvalidGrant, "the app's refresh token has ended: %s", codeOf(err))
	_, err = c.group.systems.pay.client.Exchange(ctx, charge.AccessToken, c.group.urls[partyMarket])
	c.verify(codeOf(err) == oauth.InvalidRequest, "a token the app still held can be exchanged no more: %s", codeOf(err))

	if err := c.browser.open(ctx, c.group.urls[partyCrypto]+"/"); err != nil {
		return err
	}
	mark := c.mark()
	if err := c.browser.click(ctx, "items-form", nil); err != nil {
		return err
	}
	read := c.step(mark, partyCrypto, partyMarket, "GET /items/mine")
	c.verify(read.Number > 0 && read.Refusal == nil, "crypto's link lives on: it was given offline access")
	return nil
}

// withdraw takes the partner's consent back on the account page.
func (c *check) withdraw(ctx context.Context) error {
	partner := c.group.systems.partner
	held, ok := partner.sessions.find(func(s *session) bool { return s.subject == c.ids[partyPartner].Subject })
	if !ok {
		return errors.New("the partner holds no session of the person")
	}
	if err := c.browser.open(ctx, c.group.Issuer()+"/account"); err != nil {
		return err
	}
	if err := c.browser.click(ctx, "withdraw-"+clientPartner, nil); err != nil {
		return err
	}
	_, err := partner.client.Refresh(ctx, held.refresh, c.group.urls[partyMarket])
	c.verify(codeOf(err) == oauth.InvalidGrant, "consent taken back, the partner's refresh token has ended: %s", codeOf(err))
	if err := c.browser.open(ctx, c.group.urls[partyPartner]+"/signin"); err != nil {
		return err
	}
	c.verify(c.browser.has("consent-form"), "and the partner has to ask again")
	return nil
}

// leave signs out from the example's page, confirming where it is asked.
func (c *check) leave(ctx context.Context) error {
	if err := c.press(ctx, partyApp, "signout"); err != nil {
		return err
	}
	if c.browser.has("logout-confirm") {
		return c.browser.click(ctx, "logout-confirm", nil)
	}
	return nil
}

// press presses a button of the example's page.
func (c *check) press(ctx context.Context, party, path string) error {
	if err := c.browser.open(ctx, c.group.PageURL()+"/"); err != nil {
		return err
	}
	return c.browser.click(ctx, "do-"+party+"-"+strings.ReplaceAll(path, "/", "-"), nil)
}
