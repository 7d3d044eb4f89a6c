package token_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

func TestIntrospectionInTheAskersTerms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.appTokens(marketScopes)
	claims := b.claims(tokens.AccessToken)
	answer := b.introspect(basic("market.spare"), tokens.AccessToken)
	if !answer.Active || answer.Issuer != issuer || answer.ClientID != "market-app.web" || answer.ID != claims.ID ||
		answer.ExpiresAt != claims.ExpiresAt || answer.IssuedAt != claims.IssuedAt || answer.TokenType != "Bearer" ||
		answer.AuthTime != claims.AuthTime || answer.SessionID != claims.SessionID || !answer.Audience.Has(market) {
		t.Errorf("answer %+v, claims %+v", answer, claims)
	}
	// I6: the caller's PPID, and the same person in the asker's own sector.
	if answer.Subject != b.subject("market-app") || answer.ResourceSubject != b.subject("market") || answer.Subject == answer.ResourceSubject {
		t.Errorf("sub %s resource_sub %s", answer.Subject, answer.ResourceSubject)
	}
	if answer.Scope.String() != "items.read items.write" {
		t.Errorf("scope %q holds scopes of others", answer.Scope)
	}
}

func TestIntrospectionOfServiceAndOpaqueTokens(t *testing.T) {
	t.Parallel()
	b := setup(t)
	service := b.tokens(basic("pay.backend"), clientCredentials()...).AccessToken
	answer := b.introspect(basic("market.spare"), service)
	if !answer.Active || answer.Subject != "pay.backend" || answer.ClientID != "pay.backend" || answer.ResourceSubject != "" {
		t.Errorf("service context: %+v", answer)
	}

	opaque := b.appTokens(grant.Scopes{issuer: {"openid"}, shop: {"orders.read"}}).AccessToken
	if !strings.HasPrefix(opaque, "sek_at_") {
		t.Fatalf("token %.12s… is not opaque", opaque)
	}
	answer = b.introspect(basic("shop.backend"), opaque)
	if !answer.Active || answer.Scope.String() != "orders.read" || answer.ResourceSubject != b.subject("shop") {
		t.Errorf("opaque: %+v", answer)
	}
	if userinfo := b.bearer(http.MethodGet, opaque); userinfo.status != 200 {
		t.Errorf("userinfo with an opaque token: %d %s", userinfo.status, userinfo.body)
	}
	next := b.tokens(basic("shop.backend"), exchange(opaque, market)...).AccessToken
	if got := b.claims(next).Actor.Chain(); !slices.Equal(got, []string{"shop.backend", "market-app.web"}) {
		t.Errorf("chain %v", got)
	}
}

func TestInactiveTokensLookTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.appTokens(marketScopes).AccessToken
	b.clock.Advance(301 * time.Second)
	good := b.appTokens(marketScopes)
	revoked := b.appTokens(marketScopes).AccessToken
	b.post(token.PathRevocation, public("market-app.web"), "token", revoked)
	opaque := b.appTokens(grant.Scopes{shop: {"orders.read"}}).AccessToken
	for name, presented := range map[string]string{
		"I2 for another resource":   b.charged("charge"),
		"I2 opaque, for another":    opaque,
		"I4 expired":                old,
		"I4 revoked":                revoked,
		"I4 truncated":              good.AccessToken[:len(good.AccessToken)-3],
		"I4 alg none":               unsigned(good.AccessToken),
		"I4 other signature":        good.AccessToken[:strings.LastIndexByte(good.AccessToken, '.')] + "." + strings.Repeat("A", 86),
		"I4 an ID token":            good.IDToken,
		"I4 a refresh token":        good.RefreshToken,
		"I4 garbage":                "garbage",
		"I4 16 KiB of A":            strings.Repeat("A", 16<<10),
		"an opaque token, cut":      opaque[:len(opaque)-2],
		"an opaque token, a line":   opaque[:20] + "\n" + opaque[20:],
		"an opaque token, swollen":  "sek_at_" + strings.Repeat("A", 1000),
		"an opaque token, its name": "sek_at_",
	} {
		a := b.post(token.PathIntrospection, basic("market.spare"), "token", presented)
		if a.status != http.StatusOK || a.body != `{"active":false}` {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	// A client that has no API of its own learns nothing of any token.
	if a := b.post(token.PathIntrospection, basic("partner.web"), "token", good.AccessToken); a.body != `{"active":false}` {
		t.Errorf("a third party was told %s", a.body)
	}
}

func TestIntrospectionIsForConfidentialClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.appTokens(marketScopes).AccessToken
	b.wantRefusal(b.post(token.PathIntrospection, public("market-app.web"), "token", good), 401, oauth.InvalidClient, "confidential") // I1
	b.wantRefusal(b.post(token.PathIntrospection, nil, "token", good), 401, oauth.InvalidClient, "which client")
	b.wantRefusal(b.post(token.PathIntrospection, basic("market.spare")), 400, oauth.InvalidRequest, "token")
}

func TestIntrospectionFollowsTheGroup(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const iosRedirect = "https://market.test/ios/callback"
	code := b.code(signIn{client: "market-app.ios", redirectURI: iosRedirect, scopes: marketScopes})
	good := b.tokens(public("market-app.ios"), redemption(code, iosRedirect)...).AccessToken
	if !b.introspect(basic("market.spare"), good).Active {
		t.Fatal("the token is not active")
	}
	b.regroup("      ios: { type: native, redirect_uris: [https://market.test/ios/callback] }\n", "")
	if b.introspect(basic("market.spare"), good).Active {
		t.Error("a token of a client that is not declared any more is active")
	}
}

func TestIntrospectionOfAPersonWhoIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.appTokens(marketScopes).AccessToken
	b.disable()
	if b.introspect(basic("market.spare"), good).Active {
		t.Error("a token of a disabled person is active")
	}
}

func TestKindsOfTokensAreNotMistaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.appTokens(marketScopes)
	// K12, in both directions.
	if _, err := b.mint.CheckIDTokenHint(t.Context(), tokens.AccessToken); err == nil {
		t.Error("an access token passed as an ID token")
	}
	if _, err := b.mint.Check(t.Context(), tokens.IDToken); err == nil {
		t.Error("an ID token passed as an access token")
	}
	refused := b.bearer(http.MethodGet, tokens.IDToken)
	b.wantRefusal(refused, http.StatusUnauthorized, oauth.InvalidToken, "")
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.appTokens(marketScopes)
	revoke := func(who as, presented string) {
		t.Helper()
		if a := b.post(token.PathRevocation, who, "token", presented, "token_type_hint", "anything"); a.status != 200 || a.body != "" {
			t.Errorf("revocation: %d %s", a.status, a.body)
		}
	}
	active := func() bool { return b.introspect(basic("market.spare"), tokens.AccessToken).Active }

	revoke(basic("market-app.site"), tokens.AccessToken) // I7: another client's
	revoke(basic("market-app.site"), tokens.RefreshToken)
	revoke(public("market-app.web"), "nothing that anybody knows")
	revoke(public("market-app.web"), "sek_rt_nothing-that-anybody-knows-at-all-here")
	if !active() {
		t.Fatal("the token was revoked by another client")
	}
	revoke(public("market-app.web"), tokens.AccessToken)
	if active() {
		t.Error("the access token is active after its revocation")
	}
	again := b.tokens(public("market-app.web"), refreshWith(tokens.RefreshToken)...) // the grant lives on
	tokens.AccessToken = again.AccessToken
	revoke(public("market-app.web"), again.RefreshToken)
	if active() {
		t.Error("the access token is active after its refresh token was revoked")
	}
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), refreshWith(again.RefreshToken)...), 400, oauth.InvalidGrant, "revoked")

	b.wantRefusal(b.post(token.PathRevocation, public("market-app.web")), 400, oauth.InvalidRequest, "token")
	b.wantRefusal(b.post(token.PathRevocation, basic("nobody"), "token", "x"), 401, oauth.InvalidClient, "")
}

func TestRevokingAnExchangedTokenLeavesTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.charged("charge")
	one := b.tokens(basic("pay.backend"), exchange(root, market)...).AccessToken
	other := b.tokens(basic("pay.backend"), exchange(root, market)...).AccessToken
	b.post(token.PathRevocation, basic("pay.backend"), "token", one)
	for _, c := range []struct {
		client, token string
		active        bool
	}{{"market.spare", one, false}, {"market.spare", other, true}, {"pay.backend", root, true}} {
		if got := b.introspect(basic(c.client), c.token).Active; got != c.active {
			t.Errorf("token for %s: active %t, want %t", c.client, got, c.active)
		}
	}
}

func TestRevokingAServiceToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one := b.tokens(basic("pay.backend"), clientCredentials()...).AccessToken
	other := b.tokens(basic("pay.backend"), clientCredentials()...).AccessToken
	b.post(token.PathRevocation, basic("pay.backend"), "token", one)
	if b.introspect(basic("market.spare"), one).Active || !b.introspect(basic("market.spare"), other).Active {
		t.Error("not just the one token was revoked")
	}
}
