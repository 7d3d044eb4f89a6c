package token_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// OIDC Core §5.4.
var (
	profileClaims = []string{
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
		"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	}
	emailClaims = []string{"email", "email_verified"}
	phoneClaims = []string{"phone_number", "phone_number_verified"}
)

func TestUserinfoClaims(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		name   string
		scopes []string
		claims string
		want   []string
	}{
		{"openid alone", []string{"openid"}, "", nil},
		{"profile", []string{"openid", "profile"}, "", profileClaims},
		{"email", []string{"openid", "email"}, "", emailClaims},
		{"phone", []string{"openid", "phone"}, "", phoneClaims},
		{"address", []string{"openid", "address"}, "", []string{"address"}},
		{"all", []string{"openid", "profile", "email", "phone", "address"}, "", slices.Concat(profileClaims, emailClaims, phoneClaims, []string{"address"})},
		{"one by name", []string{"openid"}, `{"userinfo":{"name":{"essential":true},"nonsense":null}}`, []string{"name"}},
		{"one by name, and a scope", []string{"openid", "email"}, `{"userinfo":{"name":null}}`, append([]string{"name"}, emailClaims...)},
		{"for the ID token only", []string{"openid"}, `{"id_token":{"name":null}}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := *b
			b.t = t
			code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: grant.Scopes{issuer: c.scopes}, claims: c.claims})
			tokens := b.tokens(public("market-app.web"), redemption(code, webRedirect)...)
			a := b.bearer(http.MethodGet, tokens.AccessToken)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %s %v", a.status, a.body, a.header)
			}
			got := into[map[string]any](t, a)
			if got["sub"] != b.subject("market-app") {
				t.Errorf("sub %v", got["sub"])
			}
			want := slices.Sorted(slices.Values(append([]string{"sub"}, c.want...)))
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
				t.Errorf("claims %v, want %v", names, want)
			}
		})
	}
}

func TestUserinfoTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tokens := b.appTokens(grant.Scopes{issuer: {"openid", "profile", "email", "phone", "address"}})
	got := into[map[string]any](t, b.bearer(http.MethodGet, tokens.AccessToken))
	if _, ok := got["updated_at"].(float64); !ok {
		t.Errorf("updated_at %v is no number", got["updated_at"])
	}
	if address, ok := got["address"].(map[string]any); !ok || address["country"] != "JP" {
		t.Errorf("address %v", got["address"])
	}
	if got["email"] != "aiko@example.test" || got["email_verified"] != true || got["phone_number_verified"] != true || got["name"] != "Aiko Mori" {
		t.Errorf("claims %v", got)
	}
}

func TestUserinfoByNameNeedsWhatAScopeWouldNeed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const claims = `{"userinfo":{"name":null,"email":null}}`
	read := func(scopes ...string) map[string]any {
		code := b.code(signIn{client: "partner.web", redirectURI: partnerRedirect, scopes: grant.Scopes{issuer: scopes}, claims: claims})
		tokens := b.tokens(basic("partner.web"), redemption(code, partnerRedirect)...)
		return into[map[string]any](t, b.bearer(http.MethodGet, tokens.AccessToken))
	}
	if got := read("openid"); len(got) != 1 {
		t.Errorf("a third party got %v without consent to a scope", got)
	}
	if got := read("openid", "profile"); got["name"] == nil || got["email"] != nil {
		t.Errorf("claims %v", got)
	}
	// A client of the group needs no consent, and gets what it was declared for.
	const staff = "https://market.test/staff"
	code := b.code(signIn{client: "market.pages", redirectURI: staff, scopes: grant.Scopes{issuer: {"openid"}}, claims: claims})
	tokens := b.tokens(basic("market.pages"), redemption(code, staff)...)
	if got := into[map[string]any](t, b.bearer(http.MethodGet, tokens.AccessToken)); len(got) != 1 {
		t.Errorf("a client without identity scopes got %v", got)
	}
}

func TestIDTokenTellsOnlyWhatIsAskedOfIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	scopes := grant.Scopes{issuer: {"openid", "profile", "email"}}
	about := func(claims string) map[string]any {
		code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: scopes, claims: claims})
		first := b.tokens(public("market-app.web"), redemption(code, webRedirect)...)
		for _, jwt := range []string{first.IDToken, b.tokens(public("market-app.web"), refreshWith(first.RefreshToken)...).IDToken} {
			if _, err := b.mint.CheckIDTokenHint(t.Context(), jwt); err != nil {
				t.Fatal(err)
			}
		}
		return payloadOf(t, first.IDToken)
	}
	if got := about(""); got["name"] != nil || got["email"] != nil {
		t.Errorf("scopes put claims into the ID token: %v", got)
	}
	got := about(`{"id_token":{"email":{"essential":true},"auth_time":null},"userinfo":{"name":null}}`)
	if got["email"] != "aiko@example.test" || got["name"] != nil || got["nonce"] != "n-1" || got["sub"] != b.subject("market-app") {
		t.Errorf("claims %v", got)
	}
}

func TestUserinfoWays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.appTokens(marketScopes).AccessToken
	request := func(method, query, header, body string) answer {
		r := httptest.NewRequestWithContext(t.Context(), method, issuer+token.PathUserinfo+query, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		return b.send(r)
	}
	for name, a := range map[string]answer{
		"GET":               request(http.MethodGet, "", "Bearer "+good, ""),
		"POST, header":      request(http.MethodPost, "", "Bearer "+good, ""),
		"POST, body":        request(http.MethodPost, "", "", "access_token="+good),
		"scheme in capital": request(http.MethodGet, "", "BEARER "+good, ""),
	} {
		if a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	// I9.
	for name, a := range map[string]answer{
		"header and body": request(http.MethodPost, "", "Bearer "+good, "access_token="+good),
		"header and URL":  request(http.MethodGet, "?access_token="+good, "Bearer "+good, ""),
	} {
		b.wantRefusal(a, 400, oauth.InvalidRequest, "more than one way")
		if challenge := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `Bearer error="invalid_request"`) {
			t.Errorf("%s: challenge %q", name, challenge) // RFC 6750 §3
		}
	}
	b.wantRefusal(request(http.MethodPut, "", "Bearer "+good, ""), 405, oauth.InvalidRequest, "")
	for name, a := range map[string]answer{
		"missing":      request(http.MethodGet, "", "", ""),
		"other scheme": request(http.MethodGet, "", "Basic abc", ""), // RFC 6750 §3.1
		"in the query": request(http.MethodGet, "?access_token="+good, "", ""),
	} {
		if a.status != 401 || a.body != "" || a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %d %q %q", name, a.status, a.body, a.header.Get("WWW-Authenticate"))
		}
	}
}

func TestUserinfoRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.appTokens(marketScopes).AccessToken
	b.clock.Advance(301 * time.Second)
	notForUs := b.appTokens(marketScopes, "resource", market).AccessToken
	noOpenID := b.appTokens(grant.Scopes{issuer: {"email"}}).AccessToken
	for _, c := range []struct {
		name, token string
		status      int
		code        oauth.Code
		words       string
	}{
		{"I9 expired", old, 401, oauth.InvalidToken, "expired"},
		{"garbage", "garbage", 401, oauth.InvalidToken, ""},
		{"for an API", notForUs, 401, oauth.InvalidToken, "resource"},
		{"without openid", noOpenID, 403, oauth.InsufficientScope, "openid"},
	} {
		a := b.bearer(http.MethodGet, c.token)
		b.wantRefusal(a, c.status, c.code, c.words)
		if challenge := a.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="`+string(c.code)+`"`) {
			t.Errorf("%s: WWW-Authenticate %q", c.name, challenge)
		}
	}
	good := b.appTokens(marketScopes).AccessToken
	b.disable()
	b.wantRefusal(b.bearer(http.MethodGet, good), 401, oauth.InvalidToken, "revoked")
}
