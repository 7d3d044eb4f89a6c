package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The demands of the certification plan RP-Initiated Logout OP. Each flow ends
// with prompt=none, by which the session must be gone.

const suiteLoggedOut = "https://suite.test/test/a/sekisho/post_logout_redirect"

// logout asks for sign-out as the client does.
func (rp *relyingParty) logout(b *browser, pairs ...string) answer {
	rp.w.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return b.get("/oauth2/logout?" + values.Encode())
}

// wantGone checks that nobody is signed in.
func (rp *relyingParty) wantGone(b *browser) {
	rp.w.t.Helper()
	rp.wantError(b, rp.open(b, "prompt", "none"), usualState, "login_required")
}

func TestLogoutLeadsBackWithTheSameState(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, state := w.suite(""), strings.Repeat("0aZ-", 32)
	for _, pairs := range [][]string{{"state", state}, nil} {
		b := w.signedIn()
		l := rp.finish(b, rp.open(b))
		a := rp.logout(b, append([]string{"id_token_hint", l.tokens.IDToken, "post_logout_redirect_uri", suiteLoggedOut}, pairs...)...)
		want := suiteLoggedOut
		if pairs != nil {
			want += "?state=" + state
		}
		if a.status != http.StatusSeeOther || a.location == nil || a.location.String() != want {
			t.Errorf("%d %v, want %s", a.status, a.location, want)
		}
		rp.wantGone(b)
	}
}

// An address that is not registered byte for byte is never followed; the
// session ends all the same, since the hint is good.
func TestLogoutToAnUnregisteredAddressStaysHere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.suite("")
	for _, uri := range []string{"https://suite.test/test/a/sekisho/other", suiteLoggedOut + "?foo=bar", suiteLoggedOut + "/", suiteCallback} {
		b := w.signedIn()
		l := rp.finish(b, rp.open(b))
		a := rp.logout(b, "id_token_hint", l.tokens.IDToken, "post_logout_redirect_uri", uri, "state", usualState)
		wantErrorPage(t, a, "invalid_request")
		rp.wantGone(b)
	}
}

// A hint that we did not sign counts as none, and without one nobody is sent
// anywhere: the person is asked, and stays here.
func TestLogoutWithoutAGoodHintStaysHere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.suite("")
	for name, pairs := range map[string]func(hint string) []string{
		"no parameters": func(string) []string { return nil },
		"state alone":   func(string) []string { return []string{"state", usualState} },
		"no hint": func(string) []string {
			return []string{"post_logout_redirect_uri", suiteLoggedOut, "state", usualState}
		},
		"alg none": func(hint string) []string {
			return badHint(unsignedJWT(decode[map[string]any](t, segment(t, hint, 1))))
		},
		"foreign signed": func(hint string) []string { return badHint(foreignJWT(t, hint)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := w.signedIn()
			l := rp.finish(b, rp.open(b))
			a := rp.logout(b, pairs(l.tokens.IDToken)...)
			if a.location != nil || !a.has("logout-confirm") {
				t.Fatalf("%d %v, want to be asked\n%s", a.status, a.location, a.body)
			}
			if a = b.fill(a, "logout-form"); a.location != nil || !a.has("signed-out") {
				t.Errorf("%d %v, want the page that says so\n%s", a.status, a.location, a.body)
			}
			rp.wantGone(b)
		})
	}
}

func badHint(hint string) []string {
	return []string{"id_token_hint", hint, "post_logout_redirect_uri", suiteLoggedOut, "state", usualState}
}

func TestLogoutWithAHintAloneSaysSo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp := w.suite("")
	b := w.signedIn()
	l := rp.finish(b, rp.open(b))
	if a := rp.logout(b, "id_token_hint", l.tokens.IDToken); a.location != nil || !a.has("signed-out") {
		t.Errorf("%d %v\n%s", a.status, a.location, a.body)
	}
	rp.wantGone(b)
}
