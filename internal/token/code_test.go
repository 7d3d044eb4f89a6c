package token_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// marketScopes is a sign-in for one API and userinfo.
var marketScopes = grant.Scopes{issuer: {"openid", "profile"}, market: {"items.read", "items.write"}}

func TestCodeGivesTokensOfOnePerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clock.Advance(7 * time.Second) // not at a whole minute
	tokens := b.appTokens(marketScopes)

	if tokens.TokenType != "Bearer" || tokens.ExpiresIn != 300 || !strings.HasPrefix(tokens.RefreshToken, "sek_rt_") {
		t.Errorf("answer %+v", tokens)
	}
	if got := tokens.Scope.String(); got != "items.read items.write openid profile" {
		t.Errorf("scope %q", got)
	}
	claims := b.claims(tokens.AccessToken)
	if claims.Subject != b.subject("market-app") || claims.ClientID != "market-app.web" || claims.Actor != nil {
		t.Errorf("claims %+v", claims)
	}
	if !claims.Audience.Has(market) || !claims.Audience.Has(issuer) || len(claims.Audience) != 2 {
		t.Errorf("aud %v", claims.Audience)
	}
	if claims.AuthTime%60 != 0 || claims.AuthTime > b.clock.Now().Unix() {
		t.Errorf("auth_time %d is not a whole minute", claims.AuthTime)
	}
	if claims.ACR != "aal1" || len(claims.AMR) != 1 || claims.SessionID == "" {
		t.Errorf("claims %+v", claims)
	}

	hint, err := b.mint.CheckIDTokenHint(t.Context(), tokens.IDToken)
	if err != nil {
		t.Fatal(err)
	}
	id := hint.Claims
	if id.Nonce != "n-1" || id.Subject != claims.Subject || id.SessionID != claims.SessionID || id.AccessTokenHash == "" || id.AuthTime != claims.AuthTime {
		t.Errorf("ID token %+v", id)
	}
	if hint.Who != b.person.Ref || hint.Session == nil || hint.Client.ID != "market-app.web" {
		t.Errorf("hint %+v", hint)
	}
}

func TestExactAuthTimeOnlyWhereAskedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clock.Advance(7 * time.Second)
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes, exact: true})
	tokens := b.tokens(public("market-app.web"), redemption(code, webRedirect)...)
	if got := b.claims(tokens.AccessToken).AuthTime; got != b.clock.Now().Unix() {
		t.Errorf("auth_time %d, want %d", got, b.clock.Now().Unix())
	}
}

func TestCodeRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh := func() string {
		return b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	}
	for _, c := range []struct {
		name  string
		who   as
		pairs []string
		code  oauth.Code
		words string
	}{
		{"C2 no verifier", public("market-app.web"), []string{"grant_type", "authorization_code", "code", fresh(), "redirect_uri", webRedirect}, oauth.InvalidGrant, "code_verifier"},
		{"C2 empty verifier", public("market-app.web"), []string{"grant_type", "authorization_code", "code", fresh(), "redirect_uri", webRedirect, "code_verifier", ""}, oauth.InvalidGrant, "code_verifier"},
		{"C2 short verifier", public("market-app.web"), []string{"grant_type", "authorization_code", "code", fresh(), "redirect_uri", webRedirect, "code_verifier", "short"}, oauth.InvalidGrant, "code_verifier"},
		{"C2 long verifier", public("market-app.web"), []string{"grant_type", "authorization_code", "code", fresh(), "redirect_uri", webRedirect, "code_verifier", strings.Repeat("a", 129)}, oauth.InvalidGrant, "code_verifier"},
		{"C2 wrong verifier", public("market-app.web"), []string{"grant_type", "authorization_code", "code", fresh(), "redirect_uri", webRedirect, "code_verifier", verifier + "x"}, oauth.InvalidGrant, "code_verifier"},
		{"C3 verifier without challenge", basic("market.pages"), redemption(b.code(signIn{
			client: "market.pages", redirectURI: "https://market.test/staff", scopes: grant.Scopes{issuer: {"openid"}}, noPKCE: true,
		}), "https://market.test/staff"), oauth.InvalidGrant, "code_verifier"},
		{"C4 another client", basic("market-app.site"), redemption(fresh(), webRedirect), oauth.InvalidGrant, "another client"},
		{"C5 other redirect URI", public("market-app.web"), redemption(fresh(), webRedirect+"/"), oauth.InvalidGrant, "redirect_uri"},
		{"C5 no redirect URI", public("market-app.web"), []string{"grant_type", "authorization_code", "code", fresh(), "code_verifier", verifier}, oauth.InvalidGrant, "redirect_uri"},
		{"no code", public("market-app.web"), []string{"grant_type", "authorization_code"}, oauth.InvalidRequest, "code"},
		{"unknown code", public("market-app.web"), redemption("sek_ac_nothing", webRedirect), oauth.InvalidGrant, "not known"},
		{"resource outside the grant", public("market-app.web"), redemption(fresh(), webRedirect, "resource", pay), oauth.InvalidTarget, pay},
		{"resource with unfit text", public("market-app.web"), redemption(fresh(), webRedirect, "resource", "\"<é>"), oauth.InvalidTarget, "not part of this grant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.wantRefusal(b.post(token.PathToken, c.who, c.pairs...), http.StatusBadRequest, c.code, c.words)
		})
	}
}

func TestCodeIsSpentOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	first := b.tokens(public("market-app.web"), redemption(code, webRedirect)...)
	if !b.introspect(basic("market.spare"), first.AccessToken).Active {
		t.Fatal("the access token is not active")
	}
	again := b.post(token.PathToken, public("market-app.web"), redemption(code, webRedirect)...)
	b.wantRefusal(again, http.StatusBadRequest, oauth.InvalidGrant, "used before")

	if b.introspect(basic("market.spare"), first.AccessToken).Active {
		t.Error("C6: the access token of the first use is still active")
	}
	refreshed := b.post(token.PathToken, public("market-app.web"), "grant_type", "refresh_token", "refresh_token", first.RefreshToken)
	b.wantRefusal(refreshed, http.StatusBadRequest, oauth.InvalidGrant, "revoked")
	userinfo := b.bearer(http.MethodGet, first.AccessToken)
	b.wantRefusal(userinfo, http.StatusUnauthorized, oauth.InvalidToken, "revoked")
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in59 := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	b.clock.Advance(59 * time.Second)
	b.tokens(public("market-app.web"), redemption(in59, webRedirect)...)

	in61 := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	b.clock.Advance(61 * time.Second)
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), redemption(in61, webRedirect)...),
		http.StatusBadRequest, oauth.InvalidGrant, "expired")
}

func TestCodeOfAPersonWhoIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	b.disable()
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), redemption(code, webRedirect)...),
		http.StatusBadRequest, oauth.InvalidGrant, "")
}

// TestCodeFollowsTheGroupOfToday: what the group file takes away between code
// and redemption is not in the token.
func TestCodeFollowsTheGroupOfToday(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fewer := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: marketScopes})
	none := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: grant.Scopes{market: {"items.write"}}})
	b.regroup("from: market-app, to: market, user: [items.read, items.write]", "from: market-app, to: market, user: [items.read]")
	if got := b.tokens(public("market-app.web"), redemption(fewer, webRedirect)...).Scope.String(); got != "items.read openid profile" {
		t.Errorf("scope %q", got)
	}
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), redemption(none, webRedirect)...),
		http.StatusBadRequest, oauth.InvalidGrant, "allowed by the group any more")
	// A scope that is for exchange only from now on is not for a sign-in.
	const staff = "https://market.test/staff"
	exchanged := b.code(signIn{client: "market.pages", redirectURI: staff, scopes: grant.Scopes{shop: {"orders.read"}}})
	b.regroup("from: market, to: shop, user: [orders.read]", "from: market, to: shop, user: [{ scope: orders.read, when: [items.read] }]")
	b.wantRefusal(b.post(token.PathToken, basic("market.pages"), redemption(exchanged, staff)...),
		http.StatusBadRequest, oauth.InvalidGrant, "allowed by the group any more")
}

// TestScopeIsFixedByTheCode: a scope parameter beside a code means nothing
// (RFC 6749 §4.1.3).
func TestScopeIsFixedByTheCode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, scope := range []string{"items.read", "charge", "nonsense"} {
		tokens := b.appTokens(marketScopes, "scope", scope)
		if got := tokens.Scope.String(); got != "items.read items.write openid profile" {
			t.Errorf("asked for %q, got %q", scope, got)
		}
	}
}

// disable disables the person, as an operator does.
func (b *bundle) disable() {
	b.t.Helper()
	ctx := b.t.Context()
	err := b.db.Update(ctx, func(tx *db.Tx) error {
		if err := b.grants.RevokeAccount(ctx, tx, b.person.ID, outbox.ByAdmin, "test"); err != nil {
			return err
		}
		return b.people.Disable(ctx, tx, b.person.ID, account.Origin{By: "test"})
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestSeveralResourcesNeedToBeNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	both := grant.Scopes{issuer: {"openid"}, market: {"items.read"}, pay: {"charge"}}
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: both})
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), redemption(code, webRedirect)...),
		http.StatusBadRequest, oauth.InvalidTarget, "resource parameter")

	// The code was not spent: the client names its resource and goes on.
	tokens := b.tokens(public("market-app.web"), redemption(code, webRedirect, "resource", pay)...)
	claims := b.claims(tokens.AccessToken)
	if len(claims.Audience) != 1 || claims.Audience[0] != pay || claims.Scope.String() != "charge" {
		t.Errorf("claims %+v", claims)
	}
	if tokens.IDToken == "" {
		t.Error("openid was granted, and there is no ID token")
	}
	if userinfo := b.bearer(http.MethodGet, tokens.AccessToken); userinfo.status != http.StatusUnauthorized {
		t.Errorf("a token for %s opened userinfo: %d %s", pay, userinfo.status, userinfo.body)
	}

	code = b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: both})
	tokens = b.tokens(public("market-app.web"), redemption(code, webRedirect, "resource", pay, "resource", market, "resource", pay)...)
	if claims := b.claims(tokens.AccessToken); len(claims.Audience) != 2 || claims.Scope.String() != "charge items.read" {
		t.Errorf("claims %+v", claims)
	}
}

func TestOneTokenSaysNoMoreThanWasGranted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// charge is a scope of pay and of ledger, granted for pay alone: a token for
	// both would let ledger believe it was granted there.
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: grant.Scopes{pay: {"charge"}, ledger: {"post"}}})
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), redemption(code, webRedirect, "resource", pay, "resource", ledger)...),
		http.StatusBadRequest, oauth.InvalidTarget, "charge")

	code = b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: grant.Scopes{pay: {"charge"}, shop: {"orders.read"}}})
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), redemption(code, webRedirect, "resource", pay, "resource", shop)...),
		http.StatusBadRequest, oauth.InvalidTarget, "opaque")
}

func TestOpenIDAloneOpensUserinfo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.appTokens(grant.Scopes{issuer: {"openid"}})
	if claims := b.claims(tokens.AccessToken); len(claims.Audience) != 1 || claims.Audience[0] != issuer {
		t.Errorf("aud %v", claims.Audience)
	}
}

func TestIDTokenAlgorithmIsTheClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rs := b.appTokens(grant.Scopes{issuer: {"openid"}}).IDToken
	code := b.code(signIn{client: "market-app.site", redirectURI: "https://market.test/site", scopes: grant.Scopes{issuer: {"openid"}}})
	es := b.tokens(basic("market-app.site"), redemption(code, "https://market.test/site")...).IDToken
	for token, alg := range map[string]string{rs: "RS256", es: "ES256"} {
		if header := headerOf(t, token); header["alg"] != alg || header["kid"] == "" || header["typ"] != "JWT" {
			t.Errorf("header %v, want alg %s", header, alg)
		}
	}
}
