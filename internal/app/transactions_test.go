package app_test

import (
	"net/http"
	"testing"
)

// transactions counts what a request does at the database. Nothing runs in the
// background of these servers, so all of it is the request's.
func (w *world) transactions(request func() answer) (reads, commits int64, a answer) {
	w.t.Helper()
	before := w.app.DB.Stats()
	a = request()
	after := w.app.DB.Stats()
	return after.Reads - before.Reads, after.Commits - before.Commits, a
}

// The paths between subsystems ask the database nothing and write nothing to it,
// on either engine.
func TestPathsBetweenSubsystemsAskNoDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.signedIn()
	app := &relyingParty{w: w, id: "market-app.spa", inBody: true, redirect: "https://market.test/callback"}
	code := app.code(b, app.open(b, "scope", "openid charge keep", "code_challenge", challenge, "code_challenge_method", "S256"), usualState)
	held := decode[tokens](t, w.public("client_id", app.id, "grant_type", "authorization_code", "code", code, "redirect_uri", app.redirect, "code_verifier", verifier, "resource", pay).body)
	service := &relyingParty{w: w, id: "pay.backend"}
	further := service.wantTokens(service.post("/oauth2/token", exchange(held.AccessToken, market)...))
	convert := w.peer("market.gateway", "subjects:convert")
	subject := w.sub("market-app", w.person.Ref)
	for name, request := range map[string]func() answer{
		"client credentials": func() answer {
			return service.post("/oauth2/token", "grant_type", "client_credentials", "scope", "settle", "resource", market)
		},
		"token exchange": func() answer { return service.post("/oauth2/token", exchange(held.AccessToken, market)...) },
		"introspection":  func() answer { return service.post("/oauth2/introspect", "token", held.AccessToken) },
		"introspection of a token after exchange": func() answer {
			return (&relyingParty{w: w, id: "market.gateway"}).post("/oauth2/introspect", "token", further.AccessToken)
		},
		"conversion": func() answer {
			return convert.send(http.MethodPost, "/subjects/convert", members{"from": "market-app", "to": "market", "subjects": []string{subject}})
		},
		"JWKS":      func() answer { return w.browser().send(http.MethodGet, "/oauth2/jwks", nil) },
		"discovery": func() answer { return w.browser().send(http.MethodGet, "/.well-known/openid-configuration", nil) },
	} {
		if a := request(); a.status != http.StatusOK { // what is read once is read now
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		for range 3 {
			if reads, commits, _ := w.transactions(request); reads != 0 || commits != 0 {
				t.Errorf("%s: %d transactions that read, %d that write", name, reads, commits)
			}
		}
	}
}

// What must be durable is one short transaction: a refresh, a code that is issued to
// a person with a session, and a code that is redeemed. A code flow is two commits.
func TestDurableStepsAreOneCommitEach(t *testing.T) {
	t.Parallel()
	w := setup(t)
	b := w.signedIn()
	app := &relyingParty{w: w, id: "market-app.spa", inBody: true, redirect: "https://market.test/callback"}
	public := []string{"client_id", app.id, "resource", pay}
	want := func(name string, commits int64) {
		t.Helper()
		if commits != 1 {
			t.Errorf("%s: %d commits, want one", name, commits)
		}
	}
	_, commits, asked := w.transactions(func() answer {
		return app.open(b, "scope", "openid charge keep", "code_challenge", challenge, "code_challenge_method", "S256")
	})
	want("authorize", commits)
	code := app.code(b, asked, usualState)
	_, commits, redeemed := w.transactions(func() answer {
		return w.public(append(public, "grant_type", "authorization_code", "code", code, "redirect_uri", app.redirect, "code_verifier", verifier)...)
	})
	want("redeem", commits)
	held := decode[tokens](t, redeemed.body)
	_, commits, refreshed := w.transactions(func() answer {
		return w.public(append(public, "grant_type", "refresh_token", "refresh_token", held.RefreshToken)...)
	})
	want("refresh", commits)
	if refreshed.status != http.StatusOK {
		t.Errorf("refresh: %d %s", refreshed.status, refreshed.body)
	}
}
