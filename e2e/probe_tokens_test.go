package e2e_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// informed is a userinfo request with that Authorization header.
func (p *party) informed(method, authorization string) *http.Request {
	request := p.request(method, p.issuer+"/oauth2/userinfo", nil)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	return request
}

// informs is a userinfo request.
func informs(name, method string, authorization func(*party) string) probe {
	return probe{"userinfo: " + name, func(p *party) string {
		return p.byStranger(p.informed(method, authorization(p)))
	}}
}

func always(header string) func(*party) string { return func(*party) string { return header } }

func identified(p *party) string { return "Bearer " + p.identity() }

var userinfoProbes = []probe{
	informs("by GET", http.MethodGet, identified),
	informs("by POST", http.MethodPost, identified),
	informs("scheme in small letters", http.MethodGet, func(p *party) string { return "bearer " + p.identity() }),
	{"userinfo: token in the form", func(p *party) string {
		return p.byStranger(p.postForm("/oauth2/userinfo", url.Values{"access_token": {p.identity()}}))
	}},
	{"userinfo: token in the form and in the header", func(p *party) string {
		request := p.postForm("/oauth2/userinfo", url.Values{"access_token": {p.identity()}})
		request.Header.Set("Authorization", identified(p))
		return p.byStranger(request)
	}},
	{"userinfo: token in the URL", func(p *party) string {
		return p.byStranger(p.get(p.at("/oauth2/userinfo", url.Values{"access_token": {p.identity()}})))
	}},
	informs("no token", http.MethodGet, always("")),
	informs("token that nobody was given", http.MethodGet, always("Bearer nonsense")),
	informs("Basic where Bearer should be", http.MethodGet, always("Basic YTpi")),
	informs("empty Bearer", http.MethodGet, always("Bearer ")),
	informs("token with a changed signature", http.MethodGet, func(p *party) string {
		return "Bearer " + swapLast(p.identity())
	}),
	informs("token for an API", http.MethodGet, func(p *party) string { return "Bearer " + p.tokens().Access }),
	informs("token in service context", http.MethodGet, func(p *party) string {
		return "Bearer " + p.take(p.as(asMarket, "/oauth2/token", maps.Clone(machine))).Access
	}),
	informs("refresh token", http.MethodGet, func(p *party) string { return "Bearer " + p.tokens().Refresh }),
	informs("ID token", http.MethodGet, func(p *party) string { return "Bearer " + p.tokens().ID }),
	informs("token that was revoked", http.MethodGet, func(p *party) string {
		token := p.identity()
		p.byStranger(p.as(asWeb, "/oauth2/revoke", url.Values{"token": {token}}))
		return "Bearer " + token
	}),
	informs("by PUT", http.MethodPut, identified),
}

// swapLast changes a token in its last character but one.
func swapLast(token string) string {
	at := len(token) - 2
	swapped := "A"
	if token[at] == 'A' {
		swapped = "B"
	}
	return token[:at] + swapped + token[at+1:]
}

// introspects is an introspection request, about a token that the market's API
// would be called with unless the form says otherwise.
func introspects(name string, who credentials, changes ...string) probe {
	return aboutToken("introspection: "+name, "/oauth2/introspect", who, changes)
}

// revokes is a revocation of that token.
func revokes(name string, who credentials, changes ...string) probe {
	return aboutToken("revocation: "+name, "/oauth2/revoke", who, changes)
}

func aboutToken(name, path string, who credentials, changes []string) probe {
	return probe{name, func(p *party) string {
		form := change(url.Values{"token": {p.tokens().Access}}, changes)
		return p.byStranger(p.as(who, path, form))
	}}
}

// after revokes and tells what becomes of a refresh.
func after(name string, who credentials, pick func(issued) string) probe {
	return probe{"revocation: " + name, func(p *party) string {
		tokens := p.tokens()
		p.byStranger(p.as(who, "/oauth2/revoke", url.Values{"token": {pick(tokens)}}))
		return p.byStranger(p.as(asWeb, "/oauth2/token", refresh(tokens.Refresh)))
	}}
}

func refreshOf(i issued) string { return i.Refresh }
func accessOf(i issued) string  { return i.Access }

var tokenStateProbes = []probe{
	introspects("by the API that is called", asMarket),
	introspects("by the client that holds the token", asWeb),
	introspects("by a confidential client that has to do with neither", asPay),
	introspects("by a public client", asPhone),
	introspects("without authentication", asNobody),
	introspects("with a wrong secret", basic("market-app.web", "wrong")),
	introspects("no token", asMarket, "!token"),
	introspects("token that nobody was given", asMarket, "token=nonsense"),
	introspects("wrong token_type_hint", asMarket, "token_type_hint=refresh_token"),
	introspects("unknown token_type_hint", asMarket, "token_type_hint=pigeon"),
	introspects("two tokens", asMarket, "+token=another"),
	{"introspection: refresh token", func(p *party) string {
		return p.byStranger(p.as(asWeb, "/oauth2/introspect", url.Values{"token": {p.tokens().Refresh}}))
	}},
	{"introspection: by GET", func(p *party) string {
		return p.byStranger(p.get(p.at("/oauth2/introspect", url.Values{"token": {"abc"}})))
	}},

	revokes("access token", asWeb),
	revokes("unknown token_type_hint", asWeb, "token_type_hint=pigeon"),
	revokes("token of another client", asPosting),
	revokes("token of another client, by a public one", asPhone),
	revokes("without authentication", asNobody),
	revokes("with a wrong secret", basic("market-app.web", "wrong")),
	revokes("no token", asWeb, "!token"),
	revokes("token that nobody was given", asWeb, "token=nonsense"),
	revokes("two tokens", asWeb, "+token=another"),
	{"revocation: refresh token", func(p *party) string {
		return p.byStranger(p.as(asWeb, "/oauth2/revoke", url.Values{"token": {p.tokens().Refresh}}))
	}},
	{"revocation: by GET", func(p *party) string {
		return p.byStranger(p.get(p.at("/oauth2/revoke", url.Values{"token": {"abc"}})))
	}},
	after("a refresh after its refresh token was revoked", asWeb, refreshOf),
	after("a refresh after the access token was revoked", asWeb, accessOf),
	after("a refresh after another client tried to revoke it", asPosting, refreshOf),
}

// leaves is a logout request of somebody who is signed in. Nobody answers the
// page that asks for confirmation.
func leaves(name string, query func(*party) url.Values) probe {
	return probe{"logout: " + name, func(p *party) string {
		p.code() // signs in, if need be
		return p.bySomebody(p.get(p.at("/oauth2/logout", query(p))))
	}}
}

func fixed(pairs ...string) func(*party) url.Values {
	return func(*party) url.Values { return change(url.Values{}, pairs) }
}

func toBye(p *party, changes ...string) url.Values {
	return change(url.Values{"post_logout_redirect_uri": {p.told.Redirects["bye"]}}, changes)
}

// forged is an ID token of the issuer for the web app, which somebody else signed.
func forged(p *party) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.told.MarketKey}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{"iss": p.issuer, "sub": "somebody", "aud": "market-app.web"}).Serialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

var logoutProbes = []probe{
	leaves("no parameters", fixed()),
	leaves("only state", fixed("state=abc")),
	leaves("client_id", fixed("client_id=market-app.web")),
	leaves("unknown client_id", fixed("client_id=nobody.web")),
	leaves("return to an address without saying who asks", func(p *party) url.Values { return toBye(p) }),
	leaves("return without a hint", func(p *party) url.Values { return toBye(p, "client_id=market-app.web") }),
	leaves("return to an address that is not registered", func(p *party) url.Values {
		return toBye(p, "id_token_hint="+p.tokens().ID, "post_logout_redirect_uri=https://attacker.test/")
	}),
	leaves("hint that is no token", func(p *party) url.Values { return toBye(p, "id_token_hint=nonsense") }),
	leaves("hint that somebody else signed", func(p *party) url.Values { return toBye(p, "id_token_hint="+forged(p)) }),
	leaves("unsigned hint", func(p *party) url.Values {
		return toBye(p, "id_token_hint=eyJhbGciOiJub25lIn0."+strings.Split(p.tokens().ID, ".")[1]+".")
	}),
	leaves("hint and the client_id of another", func(p *party) url.Values {
		return toBye(p, "id_token_hint="+p.tokens().ID, "client_id=market-app.posting")
	}),
	leaves("two states", fixed("state=a", "+state=b")),
	{"logout: by PUT", func(p *party) string {
		return p.bySomebody(p.request(http.MethodPut, p.issuer+"/oauth2/logout", nil))
	}},
	{"logout: nobody is signed in", func(p *party) string { return p.byStranger(p.get(p.at("/oauth2/logout", nil))) }},
	leaves("hint and return", func(p *party) url.Values { return toBye(p, "id_token_hint="+p.tokens().ID, "state=abc") }),
}
