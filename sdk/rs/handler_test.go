package rs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/sdk/rs"
)

func userOK(w http.ResponseWriter, _ *http.Request, user *rs.User) {
	w.Header().Set("X-Called", "user "+user.Subject)
}

func serviceOK(w http.ResponseWriter, _ *http.Request, service *rs.Service) {
	w.Header().Set("X-Called", "service "+service.ClientID)
}

func TestHandlersTellPeopleFromServices(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	person := "Bearer " + issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, "items.read"))
	service := "bearer " + issuer.AccessToken(issuer.ServiceClaims("pay.backend", market, "settle"))
	either := guard.Either("items.read", userOK, "settle", serviceOK)
	cases := []struct {
		name          string
		handler       http.Handler
		authorization string
		status        int
		called        string
		challenge     string
	}{
		{"person at a user handler", guard.User("items.read", userOK), person, 200, "user alice.market-app", ""},
		{"service at a service handler", guard.Service("settle", serviceOK), service, 200, "service pay.backend", ""},
		{
			"service at a user handler", guard.User("items.read", userOK), service, 403, "",
			`error="insufficient_scope", error_description="The token speaks for a service; this needs one of a person.", scope="items.read"`,
		},
		{
			"service at a user handler that needs no scope", guard.User("", userOK), service, 403, "",
			`error="insufficient_scope", error_description="The token speaks for a service; this needs one of a person."`,
		},
		{
			"person at a service handler", guard.Service("settle", serviceOK), person, 403, "",
			`error="insufficient_scope", error_description="The token speaks for a person; this needs one of a service.", scope="settle"`,
		},
		{
			"person without the scope", guard.User("items.read items.write", userOK), person, 403, "",
			`error="insufficient_scope", error_description="The token lacks a scope that is needed here.", scope="items.read items.write"`,
		},
		{"person at either", either, person, 200, "user alice.market-app", ""},
		{"service at either", either, service, 200, "service pay.backend", ""},
		{
			"service at either without the scope", guard.Either("items.read", userOK, "other", serviceOK), service, 403, "",
			`error="insufficient_scope", error_description="The token lacks a scope that is needed here.", scope="other"`,
		},
		{
			"person with a service's scope at either", guard.Either("settle", userOK, "settle", serviceOK), person, 403, "",
			`error="insufficient_scope", error_description="The token lacks a scope that is needed here.", scope="settle"`,
		},
		{"nobody", guard.User("items.read", userOK), "", 401, "", `scope="items.read"`},
		{"another scheme", guard.User("items.read", userOK), "Basic YTpi", 401, "", `scope="items.read"`},
		{
			"no token after the scheme", guard.User("", userOK), "Bearer", 400, "",
			`error="invalid_request", error_description="The Authorization header has no well formed access token."`,
		},
		{
			"two tokens after the scheme", guard.User("", userOK), person + " x", 400, "",
			`error="invalid_request", error_description="The Authorization header has no well formed access token."`,
		},
		{
			"garbage", guard.User("items.read", userOK), "Bearer garbage", 401, "",
			`error="invalid_token", error_description="The token is no well formed signed JWT.", scope="items.read"`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := call(c.handler, c.authorization)
			challenge := `Bearer realm="` + market + `"`
			if c.challenge != "" {
				challenge += ", " + c.challenge
			}
			if c.status == http.StatusOK {
				challenge = ""
			}
			if answer.Code != c.status || answer.Header().Get("X-Called") != c.called || answer.Header().Get("WWW-Authenticate") != challenge {
				t.Errorf("got %d %q\n%s\nwant\n%s", answer.Code, answer.Header().Get("X-Called"), answer.Header().Get("WWW-Authenticate"), challenge)
			}
			if c.status == http.StatusOK {
				return
			}
			var body map[string]string
			err := json.Unmarshal(answer.Body.Bytes(), &body)
			code, hasCode := body["error"]
			if err != nil || body["error_description"] == "" || hasCode != strings.Contains(c.challenge, `error="`+code+`"`) {
				t.Errorf("body %q, %v", answer.Body, err)
			}
			if answer.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", answer.Header())
			}
		})
	}
}

func TestTokensInOtherPlaces(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	token := issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, ""))
	handler := guard.User("", userOK)
	send := func(target string, headers ...string) int {
		request := httptest.NewRequest(http.MethodGet, target, http.NoBody)
		request.Header["Authorization"] = headers
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for name, got := range map[string][2]int{
		"in the query":            {send("/?access_token=" + token), 401},
		"in query and header":     {send("/?access_token="+token, "Bearer "+token), 400},
		"in two headers":          {send("/", "Bearer "+token, "Bearer "+token), 400},
		"a query that only looks": {send("/?x=access_token", "Bearer "+token), 200},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %d, want %d", name, got[0], got[1])
		}
	}
}

func TestABadScopeIsAFaultOfTheProgram(t *testing.T) {
	t.Parallel()
	_, guard := setup(t)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	guard.User("items.read  items.write", userOK)
}

// A handler's own call to the next service finds the token in the context.
func TestTheTokenTravelsInTheContext(t *testing.T) {
	t.Parallel()
	issuer, guard := setup(t)
	client := marketClient(t, issuer)
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Got", r.Header.Get("Authorization"))
	}))
	t.Cleanup(next.Close)
	onward := func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, next.URL, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := client.OnBehalf("https://api.pay.example").Do(request)
		if err != nil {
			w.Header().Set("X-Error", err.Error())
			return
		}
		response.Body.Close()
		w.Header().Set("X-Got", response.Header.Get("X-Got"))
	}
	handler := guard.Either(
		"", func(w http.ResponseWriter, r *http.Request, _ *rs.User) { onward(w, r) },
		"", func(w http.ResponseWriter, r *http.Request, _ *rs.Service) { onward(w, r) },
	)
	token := issuer.AccessToken(issuer.UserClaims("alice", "market-app.web", market, ""))
	if got := call(handler, "Bearer "+token).Header().Get("X-Got"); got != "Bearer exchanged-1" {
		t.Errorf("the next service got %q", got)
	}
	if sent := issuer.Forms()[0]["subject_token"][0]; sent != token {
		t.Errorf("exchanged %q", sent)
	}
	service := issuer.AccessToken(issuer.ServiceClaims("pay.backend", market, ""))
	if got := call(handler, "Bearer "+service).Header().Get("X-Error"); !strings.Contains(got, "no user token") {
		t.Errorf("a service's token was taken on as a person's: %q", got)
	}
}
