package token_test

import (
	"net/http"
	"testing"

	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// clientCredentials are the parameters of a token request in service context.
func clientCredentials(more ...string) []string {
	return append([]string{"grant_type", "client_credentials"}, more...)
}

func TestServiceContext(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		name     string
		client   string
		pairs    []string
		audience string
		scope    string
	}{
		{"the only edge, all its scopes", "pay.backend", clientCredentials(), market, "settle"},
		{"by resource", "batch.nightly", clientCredentials("resource", market), market, "items.read settle"},
		{"by scope", "batch.nightly", clientCredentials("scope", "payout"), pay, "payout"},
		{"by both", "batch.nightly", clientCredentials("resource", market, "scope", "settle"), market, "settle"},
		{"conversion by scope", "pay.backend", clientCredentials("scope", "subjects:convert"), issuer, "subjects:convert"},
		{"conversion by resource", "pay.backend", clientCredentials("resource", issuer), issuer, "subjects:convert"},
		{"conversion where there is no edge", "archive.backend", clientCredentials(), issuer, "subjects:convert"},
		{"publishing by scope", "market.spare", clientCredentials("scope", "events:publish"), issuer, "events:publish"},
		{"publisher, receiver and service", "market.spare", clientCredentials("resource", issuer), issuer, "subjects:convert events:publish ssf.read ssf.manage"},
		{"streams of a third party", "agency.web", clientCredentials("scope", "ssf.manage ssf.read"), issuer, "ssf.manage ssf.read"},
		{"streams where there is no edge", "agency.web", clientCredentials(), issuer, "ssf.read ssf.manage"},
		{"a third party", "partner.web", clientCredentials(), market, "items.read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			tokens := b.tokens(basic(c.client), c.pairs...)
			claims := b.claims(tokens.AccessToken)
			if len(claims.Audience) != 1 || claims.Audience[0] != c.audience || claims.Scope.String() != c.scope || tokens.Scope.String() != c.scope {
				t.Errorf("aud %v scope %q, want %s %q", claims.Audience, claims.Scope, c.audience, c.scope)
			}
			// T14: the client speaks for itself, and of no person.
			if claims.Subject != c.client || claims.ClientID != c.client || !claims.ServiceContext() ||
				claims.AuthTime != 0 || claims.SessionID != "" || claims.ACR != "" {
				t.Errorf("claims %+v", claims)
			}
			if tokens.RefreshToken != "" || tokens.IDToken != "" || tokens.ExpiresIn != 600 {
				t.Errorf("answer %+v", tokens)
			}
		})
	}
}

func TestServiceContextForSeveralResources(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.tokens(basic("batch.nightly"), clientCredentials("resource", market, "resource", pay, "scope", "payout settle")...)
	if claims := b.claims(tokens.AccessToken); len(claims.Audience) != 2 || claims.Scope.String() != "settle payout" {
		t.Errorf("claims %+v", claims)
	}
}

func TestServiceContextRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		name   string
		who    as
		pairs  []string
		status int
		code   oauth.Code
		words  string
	}{
		{"T14 openid", basic("pay.backend"), clientCredentials("scope", "openid"), 400, oauth.InvalidScope, "about a person"},
		{"offline_access", basic("pay.backend"), clientCredentials("scope", "settle offline_access"), 400, oauth.InvalidScope, "about a person"},
		{"several resources and none named", basic("batch.nightly"), clientCredentials(), 400, oauth.InvalidTarget, "resource parameter"},
		{"no edge to the resource", basic("pay.backend"), clientCredentials("resource", archive), 400, oauth.InvalidTarget, "No edge lets pay call " + archive},
		{"edge for people only", basic("pay.backend"), clientCredentials("resource", ledger), 400, oauth.InvalidTarget, "in service context"},
		{"unknown resource", basic("pay.backend"), clientCredentials("resource", "https://nobody.test"), 400, oauth.InvalidTarget, "No edge"},
		{"scope for people only", basic("pay.backend"), clientCredentials("scope", "items.read"), 400, oauth.InvalidScope, "items.read"},
		{"scope of no edge", basic("batch.nightly"), clientCredentials("resource", market, "scope", "settle items.write"), 400, oauth.InvalidScope, "items.write"},
		{"a scope for one resource of two", basic("batch.nightly"), clientCredentials("resource", market, "resource", pay, "scope", "settle"), 400, oauth.InvalidScope, pay},
		{"no edge at all", basic("hermit.backend"), clientCredentials(), 400, oauth.InvalidTarget, "No edge gives hermit"},
		{"conversion by a backend", basic("batch.nightly"), clientCredentials("scope", "subjects:convert"), 400, oauth.InvalidScope, "subjects:convert"},
		{"conversion by a third party", basic("partner.web"), clientCredentials("resource", issuer), 400, oauth.InvalidTarget, issuer},
		{"events by somebody who publishes none", basic("pay.backend"), clientCredentials("scope", "events:publish"), 400, oauth.InvalidScope, "events:publish"},
		{"events by a mere receiver", basic("agency.web"), clientCredentials("scope", "events:publish"), 400, oauth.InvalidScope, "events:publish"},
		{"events by a mere receiver, with its own", basic("agency.web"), clientCredentials("resource", issuer, "scope", "ssf.read events:publish"), 400, oauth.InvalidScope, "events:publish"},
		{"streams of somebody who receives nothing", basic("ledger.backend"), clientCredentials("scope", "ssf.read"), 400, oauth.InvalidScope, "ssf.read"},
		{"managing streams of somebody who receives nothing", basic("ledger.backend"), clientCredentials("scope", "ssf.manage"), 400, oauth.InvalidScope, "ssf.manage"},
		{"T3 an app has no service context", basic("market-app.site"), clientCredentials(), 400, oauth.UnauthorizedClient, "market-app is an app"},
		{"T3 a public client has none", public("partner.spa"), clientCredentials(), 400, oauth.UnauthorizedClient, "public client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			b.wantRefusal(b.post(token.PathToken, c.who, c.pairs...), c.status, c.code, c.words)
		})
	}
}

func TestServiceTokenIsNoPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.tokens(basic("pay.backend"), clientCredentials("resource", issuer)...)
	refused := b.bearer(http.MethodGet, tokens.AccessToken)
	b.wantRefusal(refused, http.StatusForbidden, oauth.InsufficientScope, "service context")
	if checked, err := b.mint.Check(t.Context(), tokens.AccessToken); err != nil || checked.User != nil || checked.Service == nil {
		t.Error("a token in service context passed as a person's")
	}
	user := b.appTokens(marketScopes).AccessToken
	if checked, err := b.mint.Check(t.Context(), user); err != nil || checked.Service != nil || checked.User == nil {
		t.Error("a person's token passed as one in service context")
	}
}
