package token_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// refreshWith are the parameters of a refresh.
func refreshWith(refreshToken string, more ...string) []string {
	return append([]string{"grant_type", "refresh_token", "refresh_token", refreshToken}, more...)
}

func TestRefreshRotatesForPublicClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.appTokens(marketScopes)
	b.clock.Advance(2 * time.Minute)
	second := b.tokens(public("market-app.web"), refreshWith(first.RefreshToken)...)
	if second.RefreshToken == first.RefreshToken || second.RefreshToken == "" {
		t.Error("the refresh token was not replaced")
	}
	if second.Scope.String() != first.Scope.String() {
		t.Errorf("scope %q, want %q", second.Scope, first.Scope)
	}
	before, after := b.claims(first.AccessToken), b.claims(second.AccessToken)
	if before.AuthTime != after.AuthTime || before.ID == after.ID || before.SessionID != after.SessionID {
		t.Errorf("claims %+v, before %+v", after, before)
	}
	idBefore, _ := b.mint.CheckIDTokenHint(t.Context(), first.IDToken)
	idAfter, err := b.mint.CheckIDTokenHint(t.Context(), second.IDToken)
	if err != nil {
		t.Fatal(err)
	}
	// OIDC Core §12.2.
	if idAfter.Claims.AuthTime != idBefore.Claims.AuthTime || idAfter.Claims.Subject != idBefore.Claims.Subject ||
		idAfter.Claims.IssuedAt == idBefore.Claims.IssuedAt || idAfter.Claims.Nonce != "" {
		t.Errorf("ID token %+v, before %+v", idAfter.Claims, idBefore.Claims)
	}
}

func TestRefreshKeepsForConfidentialClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.code(signIn{client: "market-app.site", redirectURI: "https://market.test/site", scopes: marketScopes})
	first := b.tokens(basic("market-app.site"), redemption(code, "https://market.test/site")...)
	second := b.tokens(basic("market-app.site"), refreshWith(first.RefreshToken)...)
	if second.RefreshToken != first.RefreshToken {
		t.Error("the refresh token of a confidential client was replaced")
	}
	without := b.post(token.PathToken, public("market-app.site"), refreshWith(first.RefreshToken)...)
	b.wantRefusal(without, http.StatusUnauthorized, oauth.InvalidClient, "") // T10: worth nothing without the client's own proof
}

func TestRefreshLostAnswerAndReuse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.appTokens(marketScopes)
	second := b.tokens(public("market-app.web"), refreshWith(first.RefreshToken)...)
	for range 2 { // T6
		again := b.tokens(public("market-app.web"), refreshWith(first.RefreshToken)...)
		if again.RefreshToken != second.RefreshToken {
			t.Fatal("a repeated answer carries another successor")
		}
	}
	third := b.post(token.PathToken, public("market-app.web"), refreshWith(first.RefreshToken)...)
	b.wantRefusal(third, http.StatusBadRequest, oauth.InvalidGrant, "family")
	dead := b.post(token.PathToken, public("market-app.web"), refreshWith(second.RefreshToken)...)
	b.wantRefusal(dead, http.StatusBadRequest, oauth.InvalidGrant, "revoked")
	if b.introspect(basic("market.spare"), second.AccessToken).Active {
		t.Error("T5: an access token of the dead family is active")
	}
}

func TestRefreshRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		name  string
		who   as
		pairs []string
		code  oauth.Code
		words string
	}{
		{"no token", public("market-app.web"), []string{"grant_type", "refresh_token"}, oauth.InvalidRequest, "refresh_token"},
		{"unknown token", public("market-app.web"), refreshWith("sek_rt_of-nobody"), oauth.InvalidGrant, "not known"},
		{"an access token", public("market-app.web"), refreshWith(b.appTokens(marketScopes).AccessToken), oauth.InvalidGrant, "not known"},
		{"T4 another client", public("market-app.ios"), refreshWith(b.appTokens(marketScopes).RefreshToken), oauth.InvalidGrant, "another client"},
		{"T8 wider scope", public("market-app.web"), refreshWith(b.appTokens(marketScopes).RefreshToken, "scope", "items.read charge"), oauth.InvalidScope, "charge"},
		{"T8 wider resource", public("market-app.web"), refreshWith(b.appTokens(marketScopes).RefreshToken, "resource", pay), oauth.InvalidTarget, pay},
		{"scope of another resource than the named one", public("market-app.web"), refreshWith(b.appTokens(marketScopes).RefreshToken, "resource", issuer, "scope", "items.read"), oauth.InvalidScope, issuer},
		{"not a scope", public("market-app.web"), refreshWith(b.appTokens(marketScopes).RefreshToken, "scope", "a  b"), oauth.InvalidScope, "one space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.wantRefusal(b.post(token.PathToken, c.who, c.pairs...), http.StatusBadRequest, c.code, c.words)
		})
	}
}

func TestRefreshNarrows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.appTokens(marketScopes)
	narrow := b.tokens(public("market-app.web"), refreshWith(first.RefreshToken, "scope", "items.read")...)
	if narrow.Scope.String() != "items.read" || narrow.IDToken != "" {
		t.Errorf("scope %q, ID token %t", narrow.Scope, narrow.IDToken != "")
	}
	whole := b.tokens(public("market-app.web"), refreshWith(narrow.RefreshToken)...)
	if whole.Scope.String() != first.Scope.String() {
		t.Errorf("T8: the grant was narrowed too: %q", whole.Scope)
	}
}

func TestRefreshOfRefusedRequestStaysGood(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.appTokens(grant.Scopes{market: {"items.read"}, pay: {"charge"}, issuer: {"openid"}}, "resource", pay)
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), refreshWith(first.RefreshToken)...),
		http.StatusBadRequest, oauth.InvalidTarget, "resource parameter")
	named := b.tokens(public("market-app.web"), refreshWith(first.RefreshToken, "resource", market)...)
	if named.Scope.String() != "items.read" {
		t.Errorf("scope %q", named.Scope)
	}
}

func TestRefreshFollowsTheGroupOfToday(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.appTokens(marketScopes)
	b.regroup("from: market-app, to: market, user: [items.read, items.write]", "from: market-app, to: market, user: [items.read]")
	second := b.tokens(public("market-app.web"), refreshWith(first.RefreshToken)...)
	if second.Scope.String() != "items.read openid profile" {
		t.Errorf("T13: scope %q after the edge lost items.write", second.Scope)
	}
	b.regroup(
		"from: market-app, to: market, user: [items.read, items.write]", "from: market-app, to: market, user: [items.read]",
		"identity: [profile, email, phone, address]", "identity: [email]",
	)
	third := b.tokens(public("market-app.web"), refreshWith(second.RefreshToken)...)
	if third.Scope.String() != "items.read openid" {
		t.Errorf("T13: scope %q after the client lost profile", third.Scope)
	}
	b.regroup("  - { from: market-app, to: market, user: [items.read, items.write] }\n", "")
	fourth := b.tokens(public("market-app.web"), refreshWith(third.RefreshToken)...)
	if fourth.Scope.String() != "openid profile" {
		t.Errorf("T13: scope %q after the edge is gone", fourth.Scope)
	}
	gone := b.post(token.PathToken, public("market-app.web"), refreshWith(fourth.RefreshToken, "resource", market)...)
	b.wantRefusal(gone, http.StatusBadRequest, oauth.InvalidTarget, "no edge")
}

func TestRefreshEndsWithWhatItRestsOn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*bundle){
		"T13 account disabled": (*bundle).disable,
		"T13 consent withdrawn": func(b *bundle) {
			b.update(func(tx *db.Tx) error {
				return b.grants.Withdraw(b.t.Context(), tx, b.person.ID, "partner.web")
			})
		},
		"T12 idle": func(b *bundle) { b.clock.Advance(14*24*time.Hour + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			code := b.code(signIn{client: "partner.web", redirectURI: partnerRedirect, scopes: grant.Scopes{issuer: {"openid"}, pay: {"charge"}}})
			first := b.tokens(basic("partner.web"), redemption(code, partnerRedirect)...)
			end(b)
			b.wantRefusal(b.post(token.PathToken, basic("partner.web"), refreshWith(first.RefreshToken)...),
				http.StatusBadRequest, oauth.InvalidGrant, "refused")
		})
	}
}

func TestRefreshAbsoluteLimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.appTokens(marketScopes)
	for range 9 {
		b.clock.Advance(10 * 24 * time.Hour)
		if b.clock.Now().Sub(time.Unix(1_800_000_042, 0)) >= 90*24*time.Hour {
			break
		}
		tokens = b.tokens(public("market-app.web"), refreshWith(tokens.RefreshToken)...)
	}
	b.wantRefusal(b.post(token.PathToken, public("market-app.web"), refreshWith(tokens.RefreshToken)...),
		http.StatusBadRequest, oauth.InvalidGrant, "expired")
}

// update runs fn in a transaction.
func (b *bundle) update(fn func(*db.Tx) error) {
	b.t.Helper()
	if err := b.db.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// An access token names the session that it ends with. One that lives on
// without its session names none, or a resource server that hears of the
// session's end would refuse it.
func TestOfflineAccessTokenNamesNoSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, offline := range []bool{false, true} {
		code := b.code(signIn{client: "market-app.site", redirectURI: "https://market.test/site", scopes: marketScopes, offline: offline})
		answer := b.tokens(basic("market-app.site"), redemption(code, "https://market.test/site")...)
		id, err := b.mint.CheckIDTokenHint(t.Context(), answer.IDToken)
		if err != nil || id.Session == nil {
			t.Errorf("offline %t: the ID token names no session, %v", offline, err)
		}
		if sid := b.claims(answer.AccessToken).SessionID; (sid == "") != offline {
			t.Errorf("offline %t: sid %q", offline, sid)
		}
	}
}
