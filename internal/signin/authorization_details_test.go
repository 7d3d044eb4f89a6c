package signin_test

import (
	"strings"
	"testing"
)

// detailed changes the fixture group: pay takes payments under charge, and blog, a
// third party, may ask for them.
var detailed = []string{
	"scopes: { charge: Pay, items.read: See paid items }", `scopes: { charge: Pay, items.read: See paid items }
      authorization_details:
        payment:
          name: { en: Make a payment, ja: 支払い }
          scope: charge
          schema:
            required: [amount]
            properties:
              amount: { type: object, required: [value, currency], properties: { value: { type: string }, currency: { enum: [JPY, EUR] } } }
              once: { type: boolean }
              note: { type: string }
          members:
            - { path: amount.value, name: { en: Amount, ja: 金額 }, narrow: at_most }
            - { path: amount.currency, name: { en: Currency, ja: 通貨 } }
            - { path: once, name: { en: Only once, ja: 一回のみ } }`,
	"  - { from: blog, to: market, user: [items.read] }", "  - { from: blog, to: market, user: [items.read] }\n  - { from: blog, to: pay, user: [charge] }",
}

const payment = `[{"type":"payment","amount":{"value":"1200","currency":"JPY"},"once":true,"note":"<b>for Ben</b>"}]`

// TestDetailsAtConsent: the person is shown what exactly is asked for, each time, and
// the client gets just that (RFC 9396 §2, §7.1).
func TestDetailsAtConsent(t *testing.T) {
	t.Parallel()
	b := setup(t, detailed...)
	ask := append(asBlog, "scope", "", "authorization_details", payment)
	w := b.browser()
	page := w.signIn(w.authorize(ask...), "aiko")
	wantPage(t, page, "consent-form")
	words := []string{"Make a payment", "Amount", "1200", "Currency", "JPY", "Only once", "Yes", "note", "&lt;b&gt;for Ben&lt;/b&gt;"}
	rest := page.body
	for _, word := range words { // in this order: as declared, and after that what has no words
		_, after, found := strings.Cut(rest, word)
		if !found {
			t.Fatalf("the page does not say %q, or not in this place", word)
		}
		rest = after
	}
	if strings.Contains(page.body, "<li>Pay</li>") {
		t.Error("the page also speaks of the bare scope")
	}
	granted := b.redeem(wantCode(t, w.fill(page, "consent-form", "decision", "allow"), "https://blog.test/cb?"), "blog.web", "https://blog.test/cb")
	want := `[{"amount":{"currency":"JPY","value":"1200"},"note":"\u003cb\u003efor Ben\u003c/b\u003e","once":true,"type":"payment"}]`
	if got := string(granted.Details.JSON()); got != want {
		t.Errorf("the grant has %s", got)
	}
	if scopes := granted.Scopes["https://api.pay.test"]; len(scopes) != 1 || scopes[0] != "charge" {
		t.Errorf("the grant has the scopes %v", granted.Scopes)
	}

	// What was allowed once is not allowed for another time.
	page = w.authorize(ask...)
	wantPage(t, page, "consent-form")
	wantTold(t, w.authorize(append(ask, "prompt", "none")...), "https://blog.test/cb?", "consent_required", "")
	japanese := w.authorize(append(ask, "ui_locales", "ja")...)
	for _, word := range []string{"支払い", "金額", "一回のみ", "はい"} {
		if !strings.Contains(japanese.body, word) {
			t.Errorf("the page does not say %q", word)
		}
	}
	// A first-party client gets what it asks for; consent is not for it.
	w = b.browser()
	code := wantCode(t, w.signIn(w.authorize("scope", "openid", "authorization_details", payment), "ben"), "https://a.example/cb?")
	if granted := b.redeem(code, "shop.web", "https://a.example/cb"); len(granted.Details) != 1 {
		t.Errorf("the app was granted %v", granted.Details)
	}
}

func TestDetailsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, detailed...)
	w := b.browser()
	for name, c := range map[string]struct {
		client  []string
		details string
		code    string
		words   string
	}{
		"no list":                       {asBlog, `{}`, "invalid_authorization_details", "not a JSON list"},
		"a member twice":                {asBlog, `[{"type":"payment","type":"other"}]`, "invalid_authorization_details", "twice"},
		"a type nobody takes":           {asBlog, `[{"type":"other"}]`, "invalid_authorization_details", "no API of this group takes the type other"},
		"a member nobody knows":         {asBlog, `[{"type":"payment","amount":{"value":"1","currency":"JPY","more":1}}]`, "invalid_authorization_details", "additional properties"},
		"no amount":                     {asBlog, `[{"type":"payment"}]`, "invalid_authorization_details", "missing property"},
		"another currency":              {asBlog, `[{"type":"payment","amount":{"value":"1","currency":"USD"}}]`, "invalid_authorization_details", "amount.currency"},
		"at another API":                {asBlog, strings.Replace(payment, "}]", `,"locations":["https://api.market.test"]}]`, 1), "invalid_authorization_details", "locations"},
		"without an edge":               {[]string{"client_id", "evil.web", "redirect_uri", "https://evil.test/cb", "scope", "openid"}, payment, "invalid_authorization_details", "needs an edge"},
		"the scope alone":               {append(asBlog, "scope", "charge"), "", "invalid_scope", "together with authorization_details alone"},
		"with a resource that has none": {append(asBlog, "resource", "https://api.market.test", "scope", "items.read"), payment, "invalid_authorization_details", "resource parameter"},
	} {
		query := c.client
		if c.details != "" {
			query = append(query, "authorization_details", c.details)
		}
		answer := w.authorize(query...)
		if answer.location == nil {
			t.Errorf("%s: %d %s", name, answer.status, answer.body)
			continue
		}
		got := answer.location.Query()
		if got.Get("error") != c.code || !strings.Contains(got.Get("error_description"), c.words) {
			t.Errorf("%s: %s %s", name, got.Get("error"), got.Get("error_description"))
		}
	}
}
