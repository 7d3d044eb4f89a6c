package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// send is an authorization detail of the test group (RFC 9396 §2).
type send struct {
	Type      string   `json:"type"`
	Amount    float64  `json:"amount"`
	Locations []string `json:"locations,omitempty"`
}

// TestAuthorizationDetailsFromAppToMarket: a person's app → pay → market with the SDK
// alone. Each API sees what it may do and nothing of what is for the other, and pay
// passes on less than it has.
func TestAuthorizationDetailsFromAppToMarket(t *testing.T) {
	t.Parallel()
	w := setup(t)
	around := group{w, map[string]http.Handler{}}
	backend := around.discover(rp.Config{ClientID: "pay.backend", Secret: secrets["pay.backend"]})
	shown := map[string]string{}
	show := func(where string, user *rs.User) {
		details, err := rs.DetailsOf[send](user, "send")
		if err != nil {
			t.Error(err)
		}
		other, err := rs.DetailsOf[send](user, "other")
		if err != nil || other != nil {
			t.Errorf("details of a type that is not there: %v, %v", other, err)
		}
		shown[where] = fmt.Sprint(user.Scopes, details)
	}
	around.apis["api.market.test"] = around.guard(rs.Config{Audience: market}).User("", func(_ http.ResponseWriter, _ *http.Request, user *rs.User) {
		show("market", user)
	})
	var narrow any
	seen := rs.Config{Audience: pay, Introspect: true, Client: backend}
	around.apis["api.pay.test"] = around.guard(seen).User("send", func(_ http.ResponseWriter, r *http.Request, user *rs.User) {
		show("pay", user)
		call := backend.OnBehalf(market)
		if narrow != nil {
			token, err := backend.ExchangeDetails(r.Context(), r.Header.Get("Authorization")[len("Bearer "):], market, narrow)
			if err != nil {
				t.Error(err)
				return
			}
			call = backend.TokenClient(token)
		}
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, market+"/gifts", http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := call.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		_ = answer.Body.Close()
	})

	app := around.discover(rp.Config{ClientID: "market-app.spa"})
	signIn, err := rp.NewSignIn(rp.SignInConfig{
		Client: app, RedirectURL: "https://market.test/callback", CookieKey: make([]byte, 32), Resources: []string{pay}, Push: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	identity := signInWith(t, w, signIn, rp.Ask{Details: []send{{"send", 100, []string{pay}}, {"send", 50, nil}}})
	if want := `[{"amount":100,"locations":["` + pay + `"],"type":"send"},{"amount":50,"type":"send"}]`; string(identity.Details) != want {
		t.Errorf("the app was given %s", identity.Details)
	}
	call := func() {
		t.Helper()
		clear(shown)
		answer, err := app.TokenClient(identity.Token).Get(pay + "/gifts")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("pay answered %d %v", answer.StatusCode, answer.Header)
		}
	}
	call()
	if shown["pay"] != "send [{send 100 ["+pay+"]} {send 50 []}]" || shown["market"] != "items.gift items.read [{send 50 []}]" {
		t.Errorf("they saw %v", shown)
	}
	narrow = []send{{"send", 20.5, nil}}
	call()
	if shown["market"] != "items.gift items.read [{send 20.5 []}]" {
		t.Errorf("market saw %s of what was narrowed", shown["market"])
	}
}

// signInWith signs a person in by the SDK.
func signInWith(t *testing.T, w *world, signIn *rp.SignIn, ask rp.Ask) *rp.Identity {
	t.Helper()
	started := httptest.NewRecorder()
	signIn.StartWith(started, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://market.test/sign-in", http.NoBody), ask)
	b := w.browser()
	back := b.signIn(b.get(started.Header().Get("Location")))
	if back.location == nil {
		t.Fatalf("%d %s", back.status, back.body)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, back.location.String(), http.NoBody)
	for _, cookie := range started.Result().Cookies() { //nolint:bodyclose // of a recorder
		r.AddCookie(cookie)
	}
	identity, err := signIn.Finish(httptest.NewRecorder(), r)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}
