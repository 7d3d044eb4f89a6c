package e2e_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// follow opens the address of a link.
func (p *person) follow(seen *page, id string) *page {
	p.t.Helper()
	link := seen.element(id)
	if link == nil {
		p.t.Fatalf("no link %s on %s (%d): %s", id, seen.url, seen.code, seen.text())
	}
	address, err := seen.url.Parse(attribute(link, "href"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.open(address.String())
}

// elsewhere goes to the provider of somebody else, and signs in there as who is named if
// it asks.
func (p *person) elsewhere(seen *page, login string) *page {
	p.t.Helper()
	if !seen.has("elsewhere") {
		seen = p.follow(seen, "provider-elsewhere")
	}
	if seen.has("elsewhere") {
		seen = p.submit(seen, "elsewhere", url.Values{"login": {login}}, "in")
	}
	return seen
}

func (s *page) wants(what string, ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		if !s.has(id) {
			s.t.Fatalf("%s: no %s on %s (%d): %s", what, id, s.url, s.code, s.text())
		}
	}
}

// atUpstream is a server whose group names node-oidc-provider as a provider.
func atUpstream(t *testing.T, trust string) (as *server, relyingParties *site) {
	t.Helper()
	clientsDir(t)
	const secret = "secret-with-the-provider-elsewhere-01"
	upstream := "http://" + freeAddress(t)
	relyingParties = newSite(t)
	as = newServer(t, relyingParties.group()+`
providers:
  elsewhere: { name: Elsewhere, issuer: "`+upstream+`", client_id: sekisho`+trust+` }
`)
	secrets := t.TempDir()
	if err := os.WriteFile(filepath.Join(secrets, "elsewhere"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	as.args = append(as.args, "--provider-secrets", secrets)
	as.start(t)
	startScript(t, "upstream.js", map[string]string{
		"issuer": upstream, "secret": secret, "redirect": as.Issuer + "/upstream/elsewhere",
	}).listening()
	return as, relyingParties
}

// TestUpstreamNodeOIDCProvider walks through all that a person may do with an account
// that they have at a provider of somebody else.
func TestUpstreamNodeOIDCProvider(t *testing.T) {
	t.Parallel()
	as, relyingParties := atUpstream(t, ", trust_email: true")

	t.Run("a newcomer gets an account, and finds it again", func(t *testing.T) {
		mei := newPerson(t)
		account := mei.elsewhere(mei.open(as.Issuer+"/account"), "mei")
		account.wants("after the provider", "logout-form")
		if !strings.Contains(account.text(), "mei@example.test") {
			t.Fatalf("the account is not mei's: %s", account.text())
		}
		mei.comply(mei.submit(account, "logout-form", nil, "logout"))
		again := mei.elsewhere(mei.open(as.Issuer+"/account"), "")
		again.wants("the second time", "logout-form")
		if !strings.Contains(again.text(), "mei@example.test") {
			t.Fatalf("this is not mei's account: %s", again.text())
		}
	})

	t.Run("who has an account proves it first, then both are connected", func(t *testing.T) {
		hanako := newPerson(t)
		hanako.comply(hanako.open(as.Issuer + "/account"))
		stranger := newPerson(t) // another browser of hers
		ask := stranger.elsewhere(stranger.open(as.Issuer+"/account"), "hanako")
		ask.wants("before the proof", "linking", "signin-form")
		account := stranger.signIn(ask)
		account.wants("after the proof", "logout-form")

		security := stranger.open(as.Issuer + "/account/security")
		security.wants("connected", "identities")
		third := newPerson(t)
		third.elsewhere(third.open(as.Issuer+"/account"), "hanako").wants("by the provider alone", "logout-form")

		// A provider that was signed in to before proves nothing fresh: it is asked again.
		third.open(as.Issuer+"/account/delete").wants("not fresh by the provider's session", "signin-form")

		gone := stranger.submit(security, "disconnect", nil, "")
		if gone.has("identities") {
			t.Fatalf("still connected: %s", gone.text())
		}
		confirm := stranger.follow(gone, "connect-elsewhere")
		confirm.wants("before it is connected", "connect")
		if !strings.Contains(confirm.text(), "hanako@example.test") {
			t.Errorf("the page does not say who: %s", confirm.text())
		}
		stranger.submit(confirm, "connect-form", nil, "connect").wants("connected again", "identities", "notice")
	})

	t.Run("an address that nobody vouches for opens no account", func(t *testing.T) {
		owner := newPerson(t)
		owner.email = "unsure@example.test"
		owner.comply(owner.open(as.Issuer + "/account"))
		thief := newPerson(t)
		refused := thief.elsewhere(thief.open(as.Issuer+"/account"), "unsure")
		refused.wants("an unverified address", "problem", "signin-form")
		if refused.has("linking") {
			t.Error("it may be connected with the account of the same address")
		}
	})

	t.Run("a client that wants it fresh gets it fresh", func(t *testing.T) {
		mei := newPerson(t)
		mei.elsewhere(mei.open(as.Issuer+"/account"), "mei")
		query := url.Values{
			"client_id": {"shops.web"}, "redirect_uri": {relyingParties.URL + "/shops"}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, "prompt": {"login"},
		}
		asked := mei.follow(mei.open(as.Issuer+"/oauth2/authorize?"+query.Encode()), "provider-elsewhere")
		asked.wants("signed in there already, and asked anew", "elsewhere")
		mei.elsewhere(asked, "mei")
		if got := <-relyingParties.answers; got.Get("code") == "" {
			t.Errorf("no code: %v", got)
		}
	})

	t.Run("who declines, or comes back twice, is told", func(t *testing.T) {
		ken := newPerson(t)
		seen := ken.follow(ken.open(as.Issuer+"/account"), "provider-elsewhere")
		ken.submit(seen, "elsewhere", nil, "no").wants("declined", "problem", "signin-form")
		other := newPerson(t).open(as.Issuer + "/upstream/elsewhere?state=stolen.AAAA&code=x")
		if other.code != 410 || other.has("signin-form") {
			t.Errorf("an answer without a request: %d %s", other.code, other.text())
		}
	})
}

// TestUpstreamWithoutTrust holds that a provider which is not trusted in addresses signs
// people in, and opens nobody's account.
func TestUpstreamWithoutTrust(t *testing.T) {
	t.Parallel()
	as, _ := atUpstream(t, "")
	owner := newPerson(t)
	owner.comply(owner.open(as.Issuer + "/account"))
	thief := newPerson(t)
	refused := thief.elsewhere(thief.open(as.Issuer+"/account"), "hanako")
	refused.wants("an address that is not trusted", "problem", "signin-form")
	if refused.has("linking") {
		t.Error("it may be connected with the account of the same address")
	}
	mei := newPerson(t)
	mei.elsewhere(mei.open(as.Issuer+"/account"), "mei").wants("a newcomer", "logout-form")
}

// TestUpstreamInChromium walks through the new pages in a browser, with axe-core on each.
func TestUpstreamInChromium(t *testing.T) {
	t.Parallel()
	as, _ := atUpstream(t, ", trust_email: true")
	script, err := os.ReadFile(filepath.Join(clientsDir(t), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	hanako := newPerson(t)
	hanako.comply(hanako.open(as.Issuer + "/account"))
	b := newTab(t)
	see := func(id string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(chromedp.ID(id)) }

	b.run("sign in", chromedp.Navigate(as.Issuer+"/account"), see("provider-elsewhere"))
	b.accessible(string(script), "upstream-signin")
	b.run("go elsewhere", press("provider-elsewhere"), see("elsewhere"),
		chromedp.SendKeys("input[name=login]", "hanako"), press("in"), see("linking"))
	b.accessible(string(script), "upstream-linking")
	b.run("prove it", chromedp.SendKeys(chromedp.ID("password"), password), press("submit"), see("logout-form"),
		chromedp.Navigate(as.Issuer+"/account/security"), see("identities"))
	b.accessible(string(script), "upstream-connected")
	b.run("disconnect", chromedp.Click("#disconnect button"), see("connect-elsewhere"))
	b.accessible(string(script), "upstream-disconnected")
	b.run("connect", press("connect-elsewhere"), see("connect-form"))
	b.accessible(string(script), "upstream-connect")
	b.run("confirm", press("connect"), see("identities"))
}
