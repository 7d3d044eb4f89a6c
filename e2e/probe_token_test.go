package e2e_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// asks is a token request.
func asks(name string, who credentials, form url.Values, changes ...string) probe {
	return probe{"token: " + name, func(p *party) string {
		return p.byStranger(p.as(who, "/oauth2/token", change(maps.Clone(form), changes)))
	}}
}

var machine = url.Values{"grant_type": {"client_credentials"}, "scope": {"charge.report"}, "resource": {payAPI}}

// clientProbes are about the client and the form of a token request.
var clientProbes = []probe{
	asks("client credentials by private_key_jwt", asMarket, machine),
	asks("assertion addressed to the token endpoint", asserted(func(p *party, claims map[string]any) {
		claims["aud"] = p.issuer + "/oauth2/token"
	}), machine),
	asks("assertion addressed to somebody else", asserted(func(_ *party, claims map[string]any) {
		claims["aud"] = "https://nowhere.test"
	}), machine),
	asks("assertion that has expired", asserted(func(_ *party, claims map[string]any) {
		claims["exp"] = time.Now().Add(-time.Hour).Unix()
	}), machine),
	asks("assertion without jti", asserted(func(_ *party, claims map[string]any) { delete(claims, "jti") }), machine),
	asks("assertion without exp", asserted(func(_ *party, claims map[string]any) { delete(claims, "exp") }), machine),
	asks("assertion that lives for a day", asserted(func(_ *party, claims map[string]any) {
		claims["exp"] = time.Now().Add(24 * time.Hour).Unix()
	}), machine),
	asks("assertion about another client", asserted(func(_ *party, claims map[string]any) { claims["sub"] = "pay.backend" }), machine),
	{"token: assertion used again", func(p *party) string {
		request := p.as(asMarket, "/oauth2/token", maps.Clone(machine))
		again := request.Clone(p.t.Context())
		again.Body, _ = request.GetBody() // of a reader in memory
		p.take(request)
		return p.byStranger(again)
	}},
	asks("assertion of an unknown type", func(_ *party, _ *http.Request, form url.Values) {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		form.Set("client_assertion", "PHNhbWw+")
	}, machine),
	asks("unsigned assertion", func(_ *party, _ *http.Request, form url.Values) {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJtYXJrZXQuYmFja2VuZCIsInN1YiI6Im1hcmtldC5iYWNrZW5kIn0.")
	}, machine),
	asks("no client at all", asNobody, machine),
	asks("unknown client", posted("nobody.web", "a secret"), machine),
	asks("unknown client by Basic", basic("nobody.web", "a secret"), machine),
	asks("wrong secret by Basic", basic("market-app.web", "wrong"), machine),
	asks("wrong secret in the form", posted("market-app.posting", "wrong"), machine),
	asks("no secret", posted("market-app.posting", ""), machine),
	asks("Basic from a client declared to post", basic("market-app.posting", appSecret), machine),
	asks("secret in the form from a client declared for Basic", posted("market-app.web", appSecret), machine),
	asks("secret from a public client", posted("market-app.phone", "a secret"), machine),
	asks("Basic and the form at once", func(_ *party, request *http.Request, form url.Values) {
		request.SetBasicAuth("market-app.web", appSecret)
		form.Set("client_id", "market-app.web")
		form.Set("client_secret", appSecret)
	}, machine),
	asks("Basic, and another client_id in the form", func(_ *party, request *http.Request, form url.Values) {
		request.SetBasicAuth("market-app.web", appSecret)
		form.Set("client_id", "market-app.phone")
	}, machine),
	asks("Basic that cannot be decoded", func(_ *party, request *http.Request, _ url.Values) {
		request.Header.Set("Authorization", "Basic ???")
	}, machine),
	asks("Bearer where Basic should be", func(_ *party, request *http.Request, _ url.Values) {
		request.Header.Set("Authorization", "Bearer abc")
	}, machine),

	asks("no grant_type", asWeb, url.Values{}),
	asks("unknown grant_type", asWeb, url.Values{"grant_type": {"wish"}}),
	asks("grant_type=password", asWeb, url.Values{"grant_type": {"password"}, "username": {email}, "password": {password}}),
	asks("two grant_types", asWeb, url.Values{"grant_type": {"refresh_token", "client_credentials"}}),
	asks("client credentials of a client without a service context", asWeb, url.Values{"grant_type": {"client_credentials"}}),
	asks("client credentials of a public client", asPhone, url.Values{"grant_type": {"client_credentials"}}),
	asks("client credentials with an unknown scope", asMarket, machine, "scope=nonsense"),
	asks("client credentials with a scope of people", asMarket, machine, "scope=openid"),
	asks("client credentials with a scope not declared for it", asMarket, machine, "scope=charge"),
	asks("client credentials for an unknown resource", asMarket, machine, "resource=https://nowhere.test"),
	asks("client credentials for a resource that is no URI", asMarket, machine, "resource=pay"),
	asks("token exchange", asMarket, url.Values{
		"grant_type": {exchangeGrant}, "subject_token": {"abc"}, "subject_token_type": {accessTokenType},
	}),
	{"token: by GET", func(p *party) string { return p.byStranger(p.get(p.at("/oauth2/token", machine))) }},
	{"token: JSON", func(p *party) string {
		body, err := json.Marshal(map[string]string{"grant_type": "client_credentials"})
		if err != nil {
			p.t.Fatal(err)
		}
		request := p.request(http.MethodPost, p.issuer+"/oauth2/token", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.SetBasicAuth("market-app.web", appSecret)
		return p.byStranger(request)
	}},
	{"token: parameters in the query", func(p *party) string {
		request := p.as(asWeb, "/oauth2/token", url.Values{})
		request.URL.RawQuery = "grant_type=client_credentials"
		return p.byStranger(request)
	}},
}

// redeems is a token request for a good code, changed.
func redeems(name string, who credentials, changes ...string) probe {
	return probe{"token: " + name, func(p *party) string {
		return p.byStranger(p.as(who, "/oauth2/token", redemption(p, p.code(), changes...)))
	}}
}

// codeProbes are about codes.
var codeProbes = []probe{
	redeems("code", asWeb),
	{"token: code of a public client", func(p *party) string {
		code := p.code("client_id=market-app.phone", "redirect_uri="+p.told.Redirects["phone"])
		return p.byStranger(p.as(asPhone, "/oauth2/token", redemption(p, code, "redirect_uri="+p.told.Redirects["phone"])))
	}},
	{"token: code for offline_access", func(p *party) string {
		code := p.code("scope=openid items.read offline_access", "prompt=consent")
		return p.byStranger(p.as(asWeb, "/oauth2/token", redemption(p, code)))
	}},
	{"token: code without openid", func(p *party) string {
		return p.byStranger(p.as(asWeb, "/oauth2/token", redemption(p, p.code("scope=items.read", "!nonce"))))
	}},
	redeems("no code", asWeb, "!code"),
	redeems("code that nobody was given", asWeb, "code=nonsense"),
	redeems("code of another client", asPosting),
	redeems("code without redirect_uri", asWeb, "!redirect_uri"),
	redeems("code with another redirect_uri", asWeb, "redirect_uri=https://attacker.test/"),
	redeems("code without code_verifier", asWeb, "!code_verifier"),
	redeems("code with a wrong code_verifier", asWeb, "code_verifier="+strings.Repeat("a", 43)),
	redeems("code with a code_verifier that is too short", asWeb, "code_verifier=abc"),
	redeems("code for a resource that was not granted", asWeb, "resource="+payAPI),
	redeems("code for an unknown resource", asWeb, "resource=https://nowhere.test"),
	redeems("code without resource", asWeb, "!resource"),
	redeems("two codes", asWeb, "+code=another"),
	{"token: code used again", func(p *party) string {
		form := redemption(p, p.code())
		p.take(p.as(asWeb, "/oauth2/token", form))
		return p.byStranger(p.as(asWeb, "/oauth2/token", form))
	}},
	{"userinfo: token of a code that was used again", func(p *party) string {
		form := redemption(p, p.code("scope=openid email", "!resource"), "!resource")
		token := p.take(p.as(asWeb, "/oauth2/token", form)).Access
		p.byStranger(p.as(asWeb, "/oauth2/token", form))
		return p.byStranger(p.informed(http.MethodGet, "Bearer "+token))
	}},
	{"token: code after a wrong code_verifier", func(p *party) string {
		form := redemption(p, p.code())
		p.byStranger(p.as(asWeb, "/oauth2/token", change(maps.Clone(form), []string{"code_verifier=" + strings.Repeat("a", 43)})))
		return p.byStranger(p.as(asWeb, "/oauth2/token", form))
	}},
}

// refreshes is a refresh of the web app, changed.
func refreshes(name string, who credentials, changes ...string) probe {
	return probe{"token: " + name, func(p *party) string {
		return p.byStranger(p.as(who, "/oauth2/token", change(refresh(p.tokens().Refresh), changes)))
	}}
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "resource": {marketAPI}}
}

// onPhone are tokens of the public client.
func (p *party) onPhone() issued {
	p.t.Helper()
	redirect := "redirect_uri=" + p.told.Redirects["phone"]
	code := p.code("client_id=market-app.phone", redirect, "scope=openid items.read offline_access", "prompt=consent")
	return p.take(p.as(asPhone, "/oauth2/token", redemption(p, code, redirect)))
}

// grantProbes are about refresh tokens.
var grantProbes = []probe{
	refreshes("refresh", asWeb),
	refreshes("refresh with less scope", asWeb, "scope=items.read"),
	refreshes("refresh with more scope", asWeb, "scope=items.read items.write"),
	refreshes("refresh with an unknown scope", asWeb, "scope=nonsense"),
	refreshes("refresh for a resource that was not granted", asWeb, "resource="+payAPI),
	refreshes("refresh for an unknown resource", asWeb, "resource=https://nowhere.test"),
	refreshes("refresh token of another client", asPosting),
	refreshes("refresh of a client that was not authenticated", asNobody),
	asks("no refresh token", asWeb, url.Values{"grant_type": {"refresh_token"}}),
	asks("refresh token that nobody was given", asWeb, refresh("nonsense")),
	{"token: access token as refresh token", func(p *party) string {
		return p.byStranger(p.as(asWeb, "/oauth2/token", refresh(p.tokens().Access)))
	}},
	{"token: refresh of a public client", func(p *party) string {
		return p.byStranger(p.as(asPhone, "/oauth2/token", refresh(p.onPhone().Refresh)))
	}},
	{"token: rotated refresh token again, its successor not used", func(p *party) string {
		first := p.onPhone().Refresh
		p.take(p.as(asPhone, "/oauth2/token", refresh(first)))
		return p.byStranger(p.as(asPhone, "/oauth2/token", refresh(first)))
	}},
	{"token: rotated refresh token again, its successor used", func(p *party) string {
		first := p.onPhone().Refresh
		second := p.take(p.as(asPhone, "/oauth2/token", refresh(first))).Refresh
		p.take(p.as(asPhone, "/oauth2/token", refresh(second)))
		return p.byStranger(p.as(asPhone, "/oauth2/token", refresh(first)))
	}},
	{"token: newest refresh token after an old one came again", func(p *party) string {
		first := p.onPhone().Refresh
		second := p.take(p.as(asPhone, "/oauth2/token", refresh(first))).Refresh
		third := p.take(p.as(asPhone, "/oauth2/token", refresh(second))).Refresh
		p.byStranger(p.as(asPhone, "/oauth2/token", refresh(first)))
		return p.byStranger(p.as(asPhone, "/oauth2/token", refresh(third)))
	}},
}
