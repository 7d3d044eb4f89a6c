package e2e_test

import (
	"net/http"
	"strings"
)

// authorizes is an authorization request of somebody who is signed in.
func authorizes(name string, changes ...string) probe {
	return probe{"authorize: " + name, func(p *party) string {
		return p.bySomebody(p.get(p.authorizeURL(changes...)))
	}}
}

// authorizesStranger is one of somebody who is not.
func authorizesStranger(name string, changes ...string) probe {
	return probe{"authorize: " + name, func(p *party) string {
		return p.byStranger(p.get(p.authorizeURL(changes...)))
	}}
}

var authorizeProbes = []probe{
	authorizes("good request"),
	authorizesStranger("good request, not signed in"),
	{"authorize: good request by POST", func(p *party) string {
		return p.bySomebody(p.postForm("/oauth2/authorize", p.authorizeValues()))
	}},
	authorizes("response_mode=query", "response_mode=query"),
	authorizes("response_mode=form_post", "response_mode=form_post"),
	authorizes("no state", "!state"),
	authorizes("no nonce", "!nonce"),
	authorizes("no resource", "!resource"),
	authorizes("prompt=none", "prompt=none"),
	authorizes("prompt=login", "prompt=login"),
	authorizes("prompt=consent at a client of the group", "prompt=consent"),
	authorizes("prompt=create", "prompt=create"),
	authorizes("prompt=select_account", "prompt=select_account"),
	authorizes("max_age that is not over", "max_age=10000"),
	authorizes("max_age=0", "max_age=0"),
	authorizes("unknown parameter", "extra=foobar"),
	authorizes("display, ui_locales, claims_locales, login_hint", "display=popup", "ui_locales=se", "claims_locales=se", "login_hint=somebody"),
	authorizes("claims with an essential name", `claims={"userinfo":{"name":{"essential":true}}}`),
	{"authorize: id_token_hint of the client", func(p *party) string {
		return p.bySomebody(p.get(p.authorizeURL("prompt=none", "id_token_hint="+p.tokens().ID)))
	}},
	authorizes("a client of another company, without consent", "client_id=partner.web", "redirect_uri=$partner", "scope=openid items.read"),
	authorizes("the same with prompt=none", "client_id=partner.web", "redirect_uri=$partner", "scope=openid items.read", "prompt=none"),

	authorizes("no client_id", "!client_id"),
	authorizes("unknown client_id", "client_id=nobody.web"),
	authorizes("two client_ids", "+client_id=market-app.phone"),
	authorizes("client without the code flow", "client_id=market.backend"),
	authorizes("no redirect_uri", "!redirect_uri"),
	authorizes("redirect_uri that is not registered", "redirect_uri=https://attacker.test/"),
	authorizes("redirect_uri with more path", "redirect_uri=$web/more"),
	authorizes("redirect_uri with a slash more", "redirect_uri=$web/"),
	authorizes("redirect_uri with a query", "redirect_uri=$web?a=b"),
	authorizes("redirect_uri with a fragment", "redirect_uri=$web#a"),
	authorizes("redirect_uri that is no URI", "redirect_uri=not a uri"),
	authorizes("two redirect_uris", "+redirect_uri=$web"),
	authorizes("no response_type", "!response_type"),
	authorizes("no response_type with form_post", "!response_type", "response_mode=form_post"),
	authorizes("response_type=token", "response_type=token"),
	authorizes("response_type=id_token", "response_type=id_token"),
	authorizes("response_type=code id_token", "response_type=code id_token"),
	authorizes("unknown response_type", "response_type=everything"),
	authorizes("response_mode=fragment", "response_mode=fragment"),
	authorizes("unknown response_mode", "response_mode=pigeon"),
	authorizes("no code_challenge", "!code_challenge", "!code_challenge_method"),
	authorizes("no code_challenge, public client", "client_id=market-app.phone", "redirect_uri=$phone", "!code_challenge", "!code_challenge_method"),
	authorizes("no code_challenge_method", "!code_challenge_method"),
	authorizes("code_challenge_method=plain", "code_challenge_method=plain"),
	authorizes("unknown code_challenge_method", "code_challenge_method=S512"),
	authorizes("code_challenge that is too short", "code_challenge=abc"),
	authorizes("code_challenge of other characters", "code_challenge="+strings.Repeat("!", 43)),
	authorizes("no scope", "!scope"),
	authorizes("scope without openid", "scope=items.read", "!nonce"),
	authorizes("nonce without openid", "scope=items.read"),
	authorizes("unknown scope", "scope=openid items.read nonsense"),
	authorizes("scope that is not declared for the client", "client_id=partner.web", "redirect_uri=$partner", "scope=openid items.write"),
	authorizes("scope with a bad character", `scope=openid "items.read"`),
	authorizes("offline_access without prompt=consent", "scope=openid items.read offline_access"),
	authorizes("unknown resource", "resource=https://nowhere.test"),
	authorizes("resource that is no URI", "resource=market"),
	authorizes("resource with a fragment", "resource="+marketAPI+"#a"),
	authorizesStranger("prompt=none, not signed in", "prompt=none"),
	authorizesStranger("prompt=none with form_post, not signed in", "prompt=none", "response_mode=form_post"),
	authorizes("prompt=none login", "prompt=none login"),
	authorizes("unknown prompt", "prompt=please"),
	authorizes("max_age that is no number", "max_age=soon"),
	authorizes("max_age below zero", "max_age=-1"),
	authorizes("two states", "+state=another"),
	authorizes("two scopes", "+scope=email"),
	authorizes("request", "request=eyJhbGciOiJub25lIn0.e30."),
	authorizes("request_uri", "request_uri=https://client.test/request"),
	authorizes("registration", "registration={}"),
	authorizes("id_token_hint that is no token", "id_token_hint=nonsense", "prompt=none"),
	{"authorize: id_token_hint of another client", func(p *party) string {
		hint := p.take(p.as(asPosting, "/oauth2/token", redemption(p, p.code("client_id=market-app.posting", "redirect_uri="+p.told.Redirects["posting"]),
			"redirect_uri="+p.told.Redirects["posting"]))).ID
		return p.bySomebody(p.get(p.authorizeURL("prompt=none", "id_token_hint="+hint)))
	}},
	authorizes("claims that are no JSON", "claims=name"),
	authorizes("claims with a list", `claims={"userinfo":["name"]}`),
	authorizes("claims that ask for another sub", `claims={"id_token":{"sub":{"value":"somebody else"}}}`, "prompt=none"),
	authorizes("acr_values out of reach", "acr_values=aal3"),
	authorizes("acr out of reach, essential", `claims={"id_token":{"acr":{"essential":true,"values":["aal3"]}}}`),
	{"authorize: by PUT", func(p *party) string {
		return p.bySomebody(p.request(http.MethodPut, p.authorizeURL().String(), nil))
	}},
	{"authorize: POST of JSON", func(p *party) string {
		request := p.request(http.MethodPost, p.issuer+"/oauth2/authorize", strings.NewReader("{}"))
		request.Header.Set("Content-Type", "application/json")
		return p.bySomebody(request)
	}},
	{"authorize: POST with a query", func(p *party) string {
		request := p.postForm("/oauth2/authorize", p.authorizeValues("!scope"))
		request.URL.RawQuery = "scope=openid"
		return p.bySomebody(request)
	}},
}
