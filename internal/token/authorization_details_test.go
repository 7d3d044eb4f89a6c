package token_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// detailed changes the fixture group: pay takes payments under charge, and market
// under gifts.send, for which pay needs no more than charge then.
var detailed = []string{
	"scopes: { charge: Pay, refund: Take money back, payout: Pay out }", `scopes: { charge: Pay, refund: Take money back, payout: Pay out }
      authorization_details:
        payment:
          name: Make a payment
          scope: charge
          schema: { required: [amount, currency], properties: { amount: { type: number, exclusiveMinimum: 0 }, currency: { enum: [JPY, EUR] }, shops: { type: array, items: { type: string } } } }
          members: [{ path: amount, name: Amount, narrow: at_most }, { path: shops, name: Shops, narrow: subset }]`,
	"settle: Settle sales }", `settle: Settle sales }
      authorization_details:
        payment:
          name: Send a gift
          scope: gifts.send
          schema: { required: [amount, currency], properties: { amount: { type: number, maximum: 5000 }, currency: { enum: [JPY, EUR] }, shops: { type: array } } }
          members: [{ path: amount, name: Amount, narrow: at_most }]`,
	"when: [charge, refund]", "when: [charge]",
}

const (
	payment  = `[{"amount":1000,"currency":"JPY","shops":["a","b"],"type":"payment"}]`
	half     = `[{"amount":500,"currency":"JPY","shops":["a"],"type":"payment"}]`
	halfAtB  = `[{"amount":500,"currency":"JPY","shops":["a","b"],"type":"payment"}]`
	more     = `[{"amount":1000.01,"currency":"JPY","shops":["a"],"type":"payment"}]`
	euros    = `[{"amount":10,"currency":"EUR","shops":["a"],"type":"payment"}]`
	noShops  = `[{"amount":10,"currency":"JPY","type":"payment"}]`
	toLedger = `[{"amount":10,"currency":"JPY","shops":["a"],"type":"payment","locations":["https://api.ledger.test"]}]`
)

func (b *bundle) paying(details string) string {
	b.t.Helper()
	return b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: grant.Scopes{pay: {"charge"}}, details: details})
}

// TestDetailsAreInTheToken: what a person allowed stands in the token, in the answer
// and in what introspection says (RFC 9396 §7, §9).
func TestDetailsAreInTheToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.regroup(detailed...)
	tokens := b.tokens(public("market-app.web"), redemption(b.paying(payment), webRedirect)...)
	if string(tokens.AuthorizationDetails) != payment || tokens.Scope.String() != "charge" {
		t.Errorf("the answer has %s, %s", tokens.AuthorizationDetails, tokens.Scope)
	}
	if claims := b.claims(tokens.AccessToken); string(claims.AuthorizationDetails) != payment {
		t.Errorf("the token has %s", claims.AuthorizationDetails)
	}
	if answer := b.introspect(basic("pay.backend"), tokens.AccessToken); string(answer.AuthorizationDetails) != payment {
		t.Errorf("introspection says %s", answer.AuthorizationDetails)
	}
}

// TestDetailsAreNarrowed at the token endpoint, and never widened (RFC 9396 §6).
func TestDetailsAreNarrowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.regroup(detailed...)
	tokens := b.tokens(public("market-app.web"), redemption(b.paying(payment), webRedirect, "authorization_details", half)...)
	if string(tokens.AuthorizationDetails) != half {
		t.Errorf("a code gave %s", tokens.AuthorizationDetails)
	}
	refresh := func(details string) []string {
		return []string{"grant_type", "refresh_token", "refresh_token", tokens.RefreshToken, "authorization_details", details}
	}
	for name, details := range map[string]string{
		"more than was allowed":      more,
		"in another currency":        euros,
		"without a limit":            noShops,
		"at another API":             toLedger,
		"of a type that nobody has":  `[{"type":"other"}]`,
		"one right and one too much": strings.TrimSuffix(half, "]") + "," + strings.TrimPrefix(more, "["),
		"not JSON":                   `[`,
		"none":                       `[]`,
		"twice":                      `[{"type":"payment","amount":1,"amount":2,"currency":"JPY","shops":["a"]}]`,
	} {
		a := b.post(token.PathToken, public("market-app.web"), refresh(details)...)
		if b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidAuthorizationDetails, ""); t.Failed() {
			t.Fatalf("%s: %s", name, a.body)
		}
	}
	// A refusal has used nothing up, and the next token may do all of it again.
	again := b.tokens(public("market-app.web"), "grant_type", "refresh_token", "refresh_token", tokens.RefreshToken)
	if string(again.AuthorizationDetails) != payment {
		t.Errorf("a refresh gave %s", again.AuthorizationDetails)
	}
}

// TestDetailsGoOnByExchange to the APIs that take their type, as they are or less.
func TestDetailsGoOnByExchange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.regroup(detailed...)
	subject := b.tokens(public("market-app.web"), redemption(b.paying(payment), webRedirect)...).AccessToken
	whole := b.tokens(basic("pay.backend"), exchange(subject, market)...)
	if string(whole.AuthorizationDetails) != payment || !whole.Scope.Has("gifts.send") || !whole.Scope.Has("items.read") {
		t.Errorf("an exchange gave %s, %s", whole.AuthorizationDetails, whole.Scope)
	}
	narrow := b.tokens(basic("pay.backend"), exchange(subject, market, "authorization_details", halfAtB)...)
	if got := b.claims(narrow.AccessToken); string(got.AuthorizationDetails) != halfAtB {
		t.Errorf("a narrowed exchange gave %s", got.AuthorizationDetails)
	}
	for name, details := range map[string]string{"more": more, "fewer shops, which market does not know to be less": half} {
		a := b.post(token.PathToken, basic("pay.backend"), exchange(subject, market, "authorization_details", details)...)
		if b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidAuthorizationDetails, "more than was allowed"); t.Failed() {
			t.Fatalf("%s: %s", name, a.body)
		}
	}
	// A token for an API that takes no such details has none.
	if plain := b.tokens(basic("pay.backend"), exchange(subject, ledger)...); plain.AuthorizationDetails != nil {
		t.Errorf("ledger got %s", plain.AuthorizationDetails)
	}
	// Without details, what is given with details alone is not given.
	spare := b.tokens(basic("pay.backend"), exchange(b.undetailed(), market)...)
	if spare.Scope.Has("gifts.send") || !spare.Scope.Has("items.read") {
		t.Errorf("without details the exchange gave %s", spare.Scope)
	}
	a := b.post(token.PathToken, basic("pay.backend"), exchange(b.undetailed(), market, "scope", "gifts.send")...)
	b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidAuthorizationDetails, "together with authorization_details alone, of the type payment")
	// An ID token has none, and a client of its own accord none either.
	a = b.post(token.PathToken, basic("pay.backend"), exchange(subject, "", "requested_token_type", string(oauth.TokenTypeID), "authorization_details", payment)...)
	b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidRequest, "An ID token carries no authorization_details")
	a = b.post(token.PathToken, basic("batch.nightly"), "grant_type", "client_credentials", "resource", market, "authorization_details", payment)
	b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidRequest, "client credentials speak for the client alone")
}

// undetailed is a token for pay from before the group had authorization details.
func (b *bundle) undetailed() string {
	b.t.Helper()
	b.regroup()
	defer b.regroup(detailed...)
	return b.charged("charge")
}

// TestDetailsThatAreNotTakenAnyMore: a grant gives no more than the group lets it on
// the day of the token.
func TestDetailsThatAreNotTakenAnyMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change []string
		words  string
	}{
		"the type is gone":       {[]string{"        payment:\n          name: Make a payment", "        other:\n          name: Make a payment"}, "of the type other"},
		"the schema is stricter": {[]string{"{ type: number, exclusiveMinimum: 0 }", "{ type: number, maximum: 10 }"}, "maximum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.regroup(detailed...)
			tokens := b.tokens(public("market-app.web"), redemption(b.paying(payment), webRedirect)...)
			changed := slices.Clone(detailed)
			changed[1] = strings.Replace(changed[1], c.change[0], c.change[1], 1)
			b.regroup(changed...)
			a := b.post(token.PathToken, public("market-app.web"), "grant_type", "refresh_token", "refresh_token", tokens.RefreshToken)
			b.wantRefusal(a, http.StatusBadRequest, oauth.InvalidAuthorizationDetails, c.words)
		})
	}
}
