package app_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// signedResponse checks an authorization response that is a token, and nothing
// else, with another implementation (JARM §2.4), and gives what it says.
func (rp *relyingParty) signedResponse(b *browser, a answer) map[string]any {
	rp.w.t.Helper()
	var values url.Values
	if rp.mode == "form_post.jwt" {
		_, values = b.form(a, "continue")
	} else {
		if a.status != http.StatusSeeOther || a.location == nil {
			rp.w.t.Fatalf("%d %s", a.status, a.text("error-description"))
		}
		values = a.location.Query()
	}
	if len(values) != 1 || !values.Has("response") {
		rp.w.t.Fatalf("the response has %v", values)
	}
	ctx := oidc.ClientContext(rp.w.t.Context(), &http.Client{Transport: rp.w})
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		rp.w.t.Fatal(err)
	}
	token, err := provider.Verifier(&oidc.Config{ClientID: rp.id, Now: rp.w.clock.Now}).Verify(ctx, values.Get("response"))
	if err != nil {
		rp.w.t.Fatal(err)
	}
	if left := token.Expiry.Sub(rp.w.clock.Now()); left < 10*time.Second || left > 10*time.Minute {
		rp.w.t.Errorf("the response lives for %s", left)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		rp.w.t.Fatal(err)
	}
	return claims
}

func TestResponseIsSignedWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"jwt", "query.jwt", "form_post.jwt"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			rp := setup(t).suite(mode)
			b := rp.w.browser()
			refused := rp.signedResponse(b, rp.open(b, "prompt", "none"))
			if refused["error"] != "login_required" || refused["state"] != usualState || refused["code"] != nil {
				t.Errorf("refused with %v", refused)
			}
			claims := rp.signedResponse(b, b.signIn(rp.open(b)))
			code, _ := claims["code"].(string)
			if claims["iss"] != issuer || claims["state"] != usualState || claims["error"] != nil {
				t.Errorf("response %v", claims)
			}
			rp.idToken(rp.redeem(code), usualNonce)
		})
	}
}

func TestSignedResponseIsNoOtherToken(t *testing.T) {
	t.Parallel()
	rp := setup(t).suite("jwt")
	b := rp.w.signedIn()
	response := rp.open(b).location.Query().Get("response")
	rp.mode = ""
	rp.wantError(b, rp.open(b, "id_token_hint", response), usualState, "invalid_request")
	if a := rp.w.bearer(http.MethodGet, "/oauth2/userinfo", response); a.status != http.StatusUnauthorized {
		t.Errorf("userinfo answers %d", a.status)
	}
}

func TestPushedRequestWithSignedResponse(t *testing.T) {
	t.Parallel()
	rp := setup(t).pushing()
	b := rp.w.signedIn()
	claims := rp.signedResponse(b, rp.openPushed(b, rp.pushes(append([]string{"response_mode", "jwt"}, pkce...)...)))
	if code, _ := claims["code"].(string); code == "" {
		t.Errorf("response %v", claims)
	}
}
