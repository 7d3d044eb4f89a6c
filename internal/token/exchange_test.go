package token_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// charged is the app's token for pay.
func (b *bundle) charged(scopes ...string) string {
	b.t.Helper()
	return b.appTokens(grant.Scopes{pay: scopes}).AccessToken
}

func TestExchangeCarriesThePersonOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subject := b.charged("charge")
	b.clock.Advance(100 * time.Second)
	tokens := b.tokens(basic("pay.backend"), exchange(subject, market)...)
	if tokens.IssuedTokenType != oauth.TokenTypeAccess || tokens.TokenType != "Bearer" || tokens.ExpiresIn != 200 || tokens.RefreshToken != "" {
		t.Errorf("answer %+v", tokens)
	}
	before, claims := b.claims(subject), b.claims(tokens.AccessToken)
	if claims.Subject != b.subject("pay") || claims.Subject == before.Subject || claims.ClientID != "pay.backend" {
		t.Errorf("sub %s client_id %s", claims.Subject, claims.ClientID)
	}
	if claims.ExpiresAt != before.ExpiresAt || claims.AuthTime != before.AuthTime || claims.ACR != before.ACR {
		t.Errorf("claims %+v, subject token %+v", claims, before)
	}
	if claims.SessionID == "" || claims.SessionID == before.SessionID || claims.ID == before.ID {
		t.Error("sid or jti would let two sectors match the person")
	}
	if got := claims.Actor.Chain(); !slices.Equal(got, []string{"pay.backend", "market-app.web"}) {
		t.Errorf("chain %v", got)
	}
	// All scopes whose condition holds: items.read has none, items.write needs
	// charge, gifts.send needs refund too.
	if claims.Scope.String() != "items.read items.write" {
		t.Errorf("scope %q", claims.Scope)
	}

	answer := b.introspect(basic("market.spare"), tokens.AccessToken)
	if !answer.Active || answer.Subject != b.subject("pay") || answer.ResourceSubject != b.subject("market") ||
		!slices.Equal(answer.Actor.Chain(), []string{"pay.backend", "market-app.web"}) { // I6
		t.Errorf("introspection %+v", answer)
	}
}

func TestExchangeChainGrowsToFour(t *testing.T) {
	t.Parallel()
	b := setup(t)
	toPay := b.charged("charge")
	toShop := b.tokens(basic("pay.backend"), exchange(toPay, shop)...).AccessToken
	if !strings.HasPrefix(toShop, "sek_at_") {
		t.Fatalf("the token for an opaque resource is %.12s…", toShop)
	}
	toMarket := b.tokens(basic("shop.backend"), exchange(toShop, market)...).AccessToken
	want := []string{"shop.backend", "pay.backend", "market-app.web"}
	if got := b.claims(toMarket).Actor.Chain(); !slices.Equal(got, want) {
		t.Errorf("chain %v, want %v", got, want)
	}
	toLedger := b.tokens(basic("market.spare"), exchange(toMarket, ledger)...).AccessToken
	if got := len(b.claims(toLedger).Actor.Chain()); got != 4 {
		t.Errorf("chain of %d", got)
	}
	deeper := b.post(token.PathToken, basic("ledger.backend"), exchange(toLedger, archive)...)
	b.wantRefusal(deeper, http.StatusBadRequest, oauth.InvalidRequest, "too long") // X6
}

func TestExchangeScopes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		name  string
		held  []string
		asked string
		got   string // empty: refused
		words string
	}{
		{"no condition", []string{"refund"}, "items.read", "items.read", ""},
		{"condition met", []string{"charge"}, "items.write", "items.write", ""},
		{"every condition met", []string{"charge", "refund"}, "", "gifts.send items.read items.write", ""},
		{"no condition met", []string{"refund"}, "", "items.read", ""},
		{"X5 condition not met", []string{"refund"}, "items.write", "", "a token that holds charge"},
		{"X5 half of a condition", []string{"charge"}, "gifts.send", "", "a token that holds charge refund"},
		{"X5 scope for services only", []string{"charge"}, "settle", "", "settle"},
		{"X5 scope of no edge", []string{"charge"}, "items.read nonsense", "", "nonsense"},
		{"X5 openid", []string{"charge"}, "openid", "", "openid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			pairs := exchange(b.charged(c.held...), market)
			if c.asked != "" {
				pairs = append(pairs, "scope", c.asked)
			}
			if c.got == "" {
				b.wantRefusal(b.post(token.PathToken, basic("pay.backend"), pairs...), http.StatusBadRequest, oauth.InvalidScope, c.words)
				return
			}
			if got := b.tokens(basic("pay.backend"), pairs...).Scope.String(); got != c.got {
				t.Errorf("scope %q, want %q", got, c.got)
			}
		})
	}
}

func TestExchangeRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.charged("charge")
	app := b.appTokens(marketScopes)
	service := b.tokens(basic("batch.nightly"), clientCredentials("resource", pay)...).AccessToken
	asker := basic("pay.backend")
	for _, c := range []struct {
		name   string
		who    as
		pairs  []string
		status int
		code   oauth.Code
		words  string
	}{
		{"X1 addressed to another service", asker, exchange(app.AccessToken, market), 400, oauth.InvalidRequest, "not addressed to pay"},
		{"X2 no edge to the resource", asker, exchange(good, archive), 400, oauth.InvalidTarget, "No edge lets pay call " + archive},
		{"X2 unknown resource", asker, exchange(good, "https://nobody.test"), 400, oauth.InvalidTarget, "No edge"},
		{"X2 unknown audience", asker, exchange(good, "", "audience", "nobody"), 400, oauth.InvalidTarget, "nobody"},
		{"X2 the server itself", asker, exchange(good, issuer), 400, oauth.InvalidTarget, issuer},
		{"no target", asker, exchange(good, ""), 400, oauth.InvalidTarget, "resource parameter"},
		{"X9 one of two without an edge", asker, exchange(good, market, "resource", archive), 400, oauth.InvalidTarget, archive},
		{"X3 garbage", asker, exchange("garbage", market), 400, oauth.InvalidRequest, "not valid"},
		{"X3 alg none", asker, exchange(unsigned(good), market), 400, oauth.InvalidRequest, "not valid"},
		{"X3 a refresh token", asker, exchange(app.RefreshToken, market), 400, oauth.InvalidRequest, "not valid"},
		{"X3 an ID token", asker, exchange(app.IDToken, market), 400, oauth.InvalidRequest, "not valid"},
		{"X3 subject_token_type of an ID token", asker, []string{
			"grant_type", string(oauth.GrantTokenExchange), "subject_token", app.IDToken, "subject_token_type", string(oauth.TokenTypeID), "resource", market,
		}, 400, oauth.InvalidRequest, "access_token"},
		{"no subject_token_type", asker, []string{
			"grant_type", string(oauth.GrantTokenExchange), "subject_token", good, "resource", market,
		}, 400, oauth.InvalidRequest, "subject_token_type"},
		{"a token in service context", asker, exchange(service, market), 400, oauth.InvalidRequest, "service context"},
		{"an actor token", asker, exchange(good, market, "actor_token", service, "actor_token_type", string(oauth.TokenTypeAccess)), 400, oauth.InvalidRequest, "actor_token"},
		{"a refresh token asked for", asker, exchange(good, market, "requested_token_type", string(oauth.TokenTypeRefresh)), 400, oauth.InvalidRequest, "requested_token_type"},
		{"an ID token for somebody else", asker, exchange(good, market, "requested_token_type", string(oauth.TokenTypeID)), 400, oauth.InvalidTarget, "client that asks"},
		{"X11 a public client", public("market-app.web"), exchange(app.AccessToken, market), 400, oauth.UnauthorizedClient, "market-app is an app"},
		{"X11 a backend", basic("batch.nightly"), exchange(good, market), 400, oauth.UnauthorizedClient, "batch is a backend"},
		{"X11 a third party", basic("partner.web"), exchange(good, market), 400, oauth.UnauthorizedClient, "partner is a third_party"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.wantRefusal(b.post(token.PathToken, c.who, c.pairs...), c.status, c.code, c.words)
		})
	}
}

// unsigned is a token with its header replaced by alg none and no signature.
func unsigned(jwt string) string {
	parts := strings.Split(jwt, ".")
	return "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + "."
}

func TestExchangeOfATokenThatEnded(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *bundle, subject string){
		"X3 expired": func(b *bundle, _ string) { b.clock.Advance(301 * time.Second) },
		"X3 revoked": func(b *bundle, subject string) {
			b.post(token.PathRevocation, public("market-app.web"), "token", subject)
		},
		"X3 signed out": func(b *bundle, subject string) {
			checked, err := b.mint.Check(b.t.Context(), subject)
			if err != nil {
				b.t.Fatal(err)
			}
			b.update(func(tx *db.Tx) error { return b.grants.EndSession(b.t.Context(), tx, *checked.User.Session) })
		},
		"X3 user disabled": func(b *bundle, _ string) { b.disable() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			subject := b.charged("charge")
			end(b, subject)
			b.wantRefusal(b.post(token.PathToken, basic("pay.backend"), exchange(subject, market)...),
				http.StatusBadRequest, oauth.InvalidRequest, "not valid")
		})
	}
}

func TestExchangeNeedsTheEdgeItCameBy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subject := b.charged("charge")
	b.regroup("  - { from: market-app, to: pay, user: [charge, refund] }\n", "")
	b.wantRefusal(b.post(token.PathToken, basic("pay.backend"), exchange(subject, market)...),
		http.StatusBadRequest, oauth.InvalidRequest, "no edge lets call pay")
}

func TestExchangeForSeveralResources(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.tokens(basic("pay.backend"), exchange(b.charged("charge"), market, "audience", "ledger", "scope", "items.read post")...)
	claims := b.claims(tokens.AccessToken)
	if !slices.Equal(claims.Audience, []string{market, ledger}) || claims.Scope.String() != "items.read post" {
		t.Errorf("claims %+v", claims)
	}
}

func TestExchangeOfThirdPartyChains(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.code(signIn{client: "partner.web", redirectURI: partnerRedirect, scopes: grant.Scopes{pay: {"charge"}}})
	subject := b.tokens(basic("partner.web"), redemption(code, partnerRedirect)...).AccessToken

	passed := b.tokens(basic("pay.backend"), exchange(subject, market)...).AccessToken
	refused := b.post(token.PathToken, basic("pay.backend"), exchange(subject, shop)...)
	b.wantRefusal(refused, http.StatusBadRequest, oauth.InvalidTarget, "third party") // X12

	// It is the beginning of the chain that counts, not the last caller.
	further := b.post(token.PathToken, basic("market.spare"), exchange(passed, shop)...)
	b.wantRefusal(further, http.StatusBadRequest, oauth.InvalidTarget, "third party")
}

func TestExchangeForAnIDToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	subject := b.charged("charge")
	b.clock.Advance(4 * time.Minute)
	tokens := b.tokens(basic("pay.backend"), exchange(subject, "", "requested_token_type", string(oauth.TokenTypeID))...)
	if tokens.IssuedTokenType != oauth.TokenTypeID || tokens.TokenType != "N_A" || tokens.ExpiresIn != 60 {
		t.Errorf("answer %+v", tokens)
	}
	hint, err := b.mint.CheckIDTokenHint(t.Context(), tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if hint.Claims.Subject != b.subject("pay") || !hint.Claims.Audience.Has("pay.backend") || hint.Claims.ExpiresAt != b.claims(subject).ExpiresAt {
		t.Errorf("ID token %+v", hint.Claims)
	}
	if got := hint.Claims.Actor.Chain(); !slices.Equal(got, []string{"pay.backend", "market-app.web"}) {
		t.Errorf("chain %v", got)
	}
}

func TestRevokingTheRootEndsTheChain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	root := b.charged("charge")
	middle := b.tokens(basic("pay.backend"), exchange(root, shop)...).AccessToken
	last := b.tokens(basic("shop.backend"), exchange(middle, market)...).AccessToken
	if a := b.post(token.PathRevocation, public("market-app.web"), "token", root); a.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", a.status, a.body)
	}
	for client, token := range map[string]string{"pay.backend": root, "shop.backend": middle, "market.spare": last} {
		if b.introspect(basic(client), token).Active {
			t.Errorf("the token for %s is active after its root was revoked", client)
		}
	}
}

func TestExactAuthTimeEndsAtTheFirstClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.clock.Advance(7 * time.Second)
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: grant.Scopes{pay: {"charge"}}, exact: true})
	subject := b.tokens(public("market-app.web"), redemption(code, webRedirect)...).AccessToken
	next := b.tokens(basic("pay.backend"), exchange(subject, market)...).AccessToken
	if got := b.claims(next).AuthTime; got%60 != 0 {
		t.Errorf("auth_time %d went on exactly", got)
	}
}
