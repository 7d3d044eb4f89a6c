package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The demands of the certification plans Basic OP and Form Post OP, each a
// test over the whole server. What the suite checks in every module is in
// relyingParty.

func TestCodeFlowSignsThePersonIn(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.browser()
		l := rp.finish(b, b.signIn(rp.open(b)))
		if l.tokens.Scope != "openid" || len(l.userinfo) != 1 || l.id["auth_time"] == nil || l.id["at_hash"] == nil {
			t.Errorf("%+v", l)
		}
	})
}

func TestMissingResponseTypeIsTold(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		b := rp.w.browser()
		rp.wantError(b, rp.open(b, "response_type", ""), usualState, "invalid_request", "unsupported_response_type")
	})
}

func TestIDTokenIsRS256WithKeyIDUnlessDeclared(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		l := rp.finish(b, rp.open(b))
		header := decode[map[string]string](t, segment(t, l.tokens.IDToken, 0))
		keys := decode[struct {
			Keys []map[string]string `json:"keys"`
		}](t, b.get("/oauth2/jwks").body).Keys
		published := slices.ContainsFunc(keys, func(key map[string]string) bool { return key["kid"] == header["kid"] && key["kty"] == "RSA" })
		if header["alg"] != "RS256" || header["kid"] == "" || !published {
			t.Errorf("header %v, keys %v", header, keys)
		}
	})
}

func TestUserinfoAnswersEveryWayOfAsking(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		got := rp.redeem(rp.code(b, rp.open(b, "scope", "openid profile email address phone"), usualState))
		first := rp.wantUserinfo(rp.w.bearer(http.MethodGet, "/oauth2/userinfo", got.AccessToken))
		if _, number := first["updated_at"].(float64); !number || first["sub"] == "" || first["email_verified"] != true {
			t.Errorf("claims %v", first)
		}
		byHeader := rp.wantUserinfo(rp.w.bearer(http.MethodPost, "/oauth2/userinfo", got.AccessToken))
		byBody := rp.wantUserinfo(b.send(http.MethodPost, "/oauth2/userinfo", url.Values{"access_token": {got.AccessToken}}))
		if byHeader["sub"] != first["sub"] || byBody["sub"] != first["sub"] || len(byBody) != len(first) {
			t.Errorf("%v, %v, %v", first, byHeader, byBody)
		}
	})
}

func TestNonceIsNotNeededForACode(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		rp.finishWith(b, rp.open(b, "nonce", ""), usualState, "")
	})
}

// scopeClaims are the claims of each scope (OIDC Core §5.4).
var scopeClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
		"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"address": {"address"},
	"phone":   {"phone_number", "phone_number_verified"},
}

// The ID token has none of them: finish looks at each claim of it.
func TestScopesGiveAllTheirClaimsAtUserinfoOnly(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		for _, scope := range []string{"openid profile", "openid email", "openid address", "openid phone", "openid profile email address phone"} {
			want := []string{"sub"}
			for _, one := range strings.Fields(scope) {
				want = append(want, scopeClaims[one]...)
			}
			l := rp.finish(b, rp.open(b, "scope", scope))
			for _, name := range want {
				if value, ok := l.userinfo[name]; !ok || value == "" {
					t.Errorf("%s: no %s", scope, name)
				}
			}
			if len(l.userinfo) != len(want) || l.tokens.Scope != scope {
				t.Errorf("%s: scope %q, claims %v", scope, l.tokens.Scope, l.userinfo)
			}
		}
	})
}

func TestOrderOfScopesAndParametersIsFree(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		parameters := strings.Split(rp.ask("scope", "phone address email profile openid").Encode(), "&")
		slices.Reverse(parameters)
		l := rp.finish(b, b.get("/oauth2/authorize?"+strings.Join(parameters, "&")))
		if l.userinfo["phone_number"] == nil || l.userinfo["name"] == nil {
			t.Errorf("claims %v", l.userinfo)
		}
	})
}

// What only makes a page more pleasant, and what nobody knows, is never an
// error: display, ui_locales, claims_locales, login_hint, extra parameters.
func TestWishesAndUnknownParametersCauseNoError(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		for _, pair := range [][]string{
			{"display", "page"},
			{"display", "popup"},
			{"ui_locales", "se"},
			{"claims_locales", "se"},
			{"login_hint", "buffy@suite.test"},
			{"extra", "foobar"},
		} {
			b := rp.w.browser()
			if page := rp.open(b, pair...); page.status != http.StatusOK || !page.has("signin-form") {
				t.Errorf("%v: %d\n%s", pair, page.status, page.body)
			}
			b = rp.w.signedIn()
			rp.finish(b, rp.open(b, pair...))
		}
	})
}

func TestACRValuesOfTheMetadataAreReachedAndTold(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		listed := decode[struct {
			ACR []string `json:"acr_values_supported"`
		}](t, b.get("/.well-known/openid-configuration").body).ACR
		l := rp.finish(b, rp.open(b, "acr_values", strings.Join(listed, " ")))
		if acr, _ := l.id["acr"].(string); !slices.Contains(listed, acr) {
			t.Errorf("acr %v, asked for %v", l.id["acr"], listed)
		}
		rp.finish(b, rp.open(b, "acr_values", "1 2"))
	})
}

func TestPromptLoginAsksAgainAndDatesTheSignInAnew(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		first := rp.finish(b, rp.open(b))
		rp.w.clock.Advance(time.Second)
		page := rp.open(b, "prompt", "login")
		if !page.has("signin-form") {
			t.Fatalf("%d %v, want the sign-in page", page.status, page.location)
		}
		second := rp.finish(b, b.signIn(page))
		if authTime(t, second) <= authTime(t, first) || authTime(t, second) != rp.w.clock.Now().Unix() || second.id["sub"] != first.id["sub"] {
			t.Errorf("first %v, second %v", first.id, second.id)
		}
	})
}

func TestPromptNoneWithoutSessionIsLoginRequired(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		b, state := rp.w.browser(), strings.Repeat("0aZ-", 32) // 128 characters
		rp.wantError(b, rp.open(b, "prompt", "none", "state", state), state, "login_required")
	})
}

func TestPromptNoneIsSilentForWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.browser()
		first := rp.finish(b, b.signIn(rp.open(b)))
		rp.w.clock.Advance(90 * time.Second)
		second := rp.finish(b, rp.open(b, "prompt", "none"))
		if second.id["sub"] != first.id["sub"] || authTime(t, second) != authTime(t, first) {
			t.Errorf("first %v, second %v", first.id, second.id)
		}
	})
}

func TestMaxAgePassedAsksAgain(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		first := rp.finish(b, rp.open(b))
		rp.w.clock.Advance(2 * time.Second)
		page := rp.open(b, "max_age", "1")
		if !page.has("signin-form") {
			t.Fatalf("%d %v, want the sign-in page", page.status, page.location)
		}
		second := rp.finish(b, b.signIn(page))
		if authTime(t, second) <= authTime(t, first) || authTime(t, second) != rp.w.clock.Now().Unix() {
			t.Errorf("auth_time %v, then %v", first.id["auth_time"], second.id["auth_time"])
		}
	})
}

func TestMaxAgeNotPassedIsSilentWithTheSameAuthTime(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		signedInAt := rp.w.clock.Now().Unix()
		first := rp.finish(b, rp.open(b, "max_age", "15000"))
		rp.w.clock.Advance(3 * time.Second)
		second := rp.finish(b, rp.open(b, "max_age", "10000"))
		if authTime(t, first) != signedInAt || authTime(t, second) != signedInAt {
			t.Errorf("auth_time %v, then %v", first.id["auth_time"], second.id["auth_time"])
		}
	})
}

func TestIDTokenHintOfThisPersonIsSilent(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		first := rp.finish(b, rp.open(b))
		second := rp.finish(b, rp.open(b, "prompt", "none", "id_token_hint", first.tokens.IDToken))
		if second.id["sub"] != first.id["sub"] || authTime(t, second) != authTime(t, first) {
			t.Errorf("first %v, second %v", first.id, second.id)
		}
	})
}

// At once, and after 30 seconds; what the first use made is dead either way.
func TestCodeUsedTwiceIsInvalidGrant(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		for _, wait := range []time.Duration{0, 30 * time.Second} {
			b := rp.w.signedIn()
			code := rp.code(b, rp.open(b), usualState)
			first := rp.redeem(code)
			rp.w.clock.Advance(wait)
			rp.wantRefused(rp.post("/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", rp.redirect), "invalid_grant")
			if a := rp.w.bearer(http.MethodGet, "/oauth2/userinfo", first.AccessToken); a.status != http.StatusUnauthorized {
				t.Errorf("after %s userinfo answers %d", wait, a.status)
			}
		}
	})
}

func TestUnregisteredRedirectURIIsShownAndNotFollowed(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		wantErrorPage(t, rp.open(b, "redirect_uri", rp.redirect+"/a-random-path"), "invalid_request")
	})
}

func TestAuthorizationRequestByPost(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		b := rp.w.browser()
		rp.finish(b, b.signIn(b.follow(b.send(http.MethodPost, "/oauth2/authorize", rp.ask()))))
	})
}

func TestClientSecretInTheBody(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		rp.id, rp.inBody = "suite.post", true
		b := rp.w.signedIn()
		rp.finish(b, rp.open(b))
	})
}

func TestRequestObjectsAreToldToBeUnsupported(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		object := unsignedJWT(map[string]any{"iss": rp.id, "aud": issuer, "redirect_uri": rp.redirect, "client_id": rp.id, "response_type": "code"})
		rp.wantError(b, rp.open(b, "request", object), usualState, "request_not_supported")
		rp.wantError(b, rp.open(b, "request_uri", "https://suite.test/request/1#abc"), usualState, "request_uri_not_supported")
		// A bad redirect_uri outside is not mended by a good one inside.
		wantErrorPage(t, rp.open(b, "request", object, "redirect_uri", rp.redirect+"/other"), "invalid_request")
	})
}

func TestClaimAskedForByNameComesFromUserinfo(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		l := rp.finish(b, rp.open(b, "claims", `{"userinfo":{"name":{"essential":true}}}`))
		if l.userinfo["name"] != "Aiko Mori" || len(l.userinfo) != 2 {
			t.Errorf("claims %v", l.userinfo)
		}
		l = rp.finish(b, rp.open(b, "claims", `{"id_token":{"acr":{"essential":true,"value":"aal1"},"auth_time":{"essential":true}}}`))
		if l.id["acr"] != "aal1" || authTime(t, l) != rp.w.clock.Now().Unix() {
			t.Errorf("ID token %v", l.id)
		}
	})
}

// With scope repeated; the new ID token is of the same sign-in, later; another
// client gets invalid_grant.
func TestRefreshToken(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, rp *relyingParty) {
		const scope = "openid email offline_access"
		b, other := rp.w.signedIn(), &relyingParty{w: rp.w, id: "suite.second", mode: rp.mode, redirect: rp.redirect}
		first := rp.finish(b, rp.open(b, "scope", scope, "prompt", "consent"))
		rp.w.clock.Advance(time.Second)
		again := rp.wantTokens(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", first.tokens.RefreshToken, "scope", scope))
		id := rp.idToken(again, "")
		if id["iss"] != first.id["iss"] || id["sub"] != first.id["sub"] || id["aud"] != first.id["aud"] || id["azp"] != first.id["azp"] ||
			id["auth_time"] != first.id["auth_time"] || id["iat"] == first.id["iat"] || again.AccessToken == first.tokens.AccessToken || again.RefreshToken == "" {
			t.Errorf("ID token %v, before %v", id, first.id)
		}
		if rp.userinfo(again)["email"] != email {
			t.Error("the new access token has lost email")
		}
		others := other.finish(b, other.open(b, "scope", scope, "prompt", "consent"))
		rp.wantRefused(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", others.tokens.RefreshToken), "invalid_grant")
	})
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(_ *testing.T, rp *relyingParty) {
		b := rp.w.signedIn()
		code := rp.code(b, rp.open(b, "code_challenge", challenge, "code_challenge_method", "S256"), usualState)
		rp.wantRefused(rp.post("/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", rp.redirect), "invalid_grant")
		rp.idToken(rp.redeem(code, "code_verifier", verifier), usualNonce)
	})
}

// The suite names two clients in one sector the same way: sub is the same, and
// stays so.
func TestClientsOfOneSubsystemKnowThePersonByOneName(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first, second := w.suite(""), w.suite("")
	second.id = "suite.second"
	b := w.signedIn()
	if one, two := first.finish(b, first.open(b)), second.finish(b, second.open(b)); one.id["sub"] != two.id["sub"] {
		t.Errorf("sub %v and %v", one.id["sub"], two.id["sub"])
	}
}

// authTime is the auth_time of an ID token, which must be there.
func authTime(t testing.TB, l login) int64 {
	t.Helper()
	at, ok := l.id["auth_time"].(float64)
	if !ok {
		t.Fatalf("no auth_time in %v", l.id)
	}
	return int64(at)
}
