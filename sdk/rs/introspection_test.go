package rs_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

const introspect = "/oauth2/introspect"

func setupIntrospection(t *testing.T) (*issuertest.Issuer, *rs.Guard) {
	t.Helper()
	issuer := setupIssuer(t)
	config := config(t, issuer)
	config.Introspect, config.Client = true, marketClient(t, issuer)
	issuer.Known["token"] = answer(issuer)
	return issuer, newGuard(t, config)
}

func answer(issuer *issuertest.Issuer) *oauth.Introspection {
	now := issuer.Clock.Now()
	return &oauth.Introspection{
		Active: true, Issuer: issuer.URL, Subject: "alice.market-app", ResourceSubject: "alice.market",
		Audience: oauth.Audience{market}, ExpiresAt: now.Add(issuer.Life).Unix(), IssuedAt: now.Unix(), ID: "token-1",
		ClientID: "market-app.web", Scope: oauth.Scopes{"items.read"}, TokenType: "Bearer",
	}
}

func TestIntrospectionIsRememberedForAMinute(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	check := func(token, scope string, code oauth.Code) {
		t.Helper()
		user, err := guard.CheckUser(t.Context(), token, scope)
		if code != "" {
			wantRefusal(t, err, code, "")
		} else if err != nil || user.Subject != "alice.market-app" {
			t.Errorf("got %v, %v", user, err)
		}
	}
	asked := func(want int) {
		t.Helper()
		if got := issuer.Count(introspect); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() { check("token", "items.read", "") })
	}
	wait.Wait()
	asked(1)
	// Another requirement is another question.
	check("token", "items.write", oauth.InsufficientScope)
	asked(2)

	delete(issuer.Known, "token") // revoked
	issuer.Clock.Advance(59 * time.Second)
	check("token", "items.read", "")
	issuer.Clock.Advance(time.Second)
	check("token", "items.read", oauth.InvalidToken)
	check("token", "items.read", oauth.InvalidToken)
	asked(3)

	issuer.Known["token"] = answer(issuer)
	issuer.Clock.Advance(5 * time.Second)
	check("token", "items.read", "")
	asked(4)
}

func TestIntrospectionIsNotRememberedBeyondTheTokensEnd(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	issuer.Known["token"].ExpiresAt = issuer.Clock.Now().Add(20 * time.Second).Unix()
	if _, err := guard.CheckUser(t.Context(), "token", ""); err != nil {
		t.Fatal(err)
	}
	issuer.Clock.Advance(20 * time.Second)
	delete(issuer.Known, "token")
	_, err := guard.CheckUser(t.Context(), "token", "")
	wantRefusal(t, err, oauth.InvalidToken, "has ended")
}

func TestIntrospectionAnswersAreChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*oauth.Introspection){
		"not active":        func(a *oauth.Introspection) { a.Active = false },
		"another API":       func(a *oauth.Introspection) { a.Audience = oauth.Audience{"https://api.pay.example"} },
		"another issuer":    func(a *oauth.Introspection) { a.Issuer = "https://evil.example" },
		"expired":           func(a *oauth.Introspection) { a.ExpiresAt -= 3600 },
		"bound to a key":    func(a *oauth.Introspection) { a.Confirmation = &oauth.Confirmation{JKT: "x"} },
		"of another scheme": func(a *oauth.Introspection) { a.TokenType = "MAC" },
		"a refresh token":   func(a *oauth.Introspection) { a.TokenType = "" },
		"not yet valid":     func(a *oauth.Introspection) { a.NotBefore = a.ExpiresAt },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, guard := setupIntrospection(t)
			change(issuer.Known["token"])
			_, err := guard.CheckUser(t.Context(), "token", "")
			wantRefusal(t, err, oauth.InvalidToken, "")
		})
	}
}

func TestAnOutageIsNeitherYesNorNo(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	issuer.Away(true)
	answer := call(guard.User("", userOK), "Bearer token")
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || answer.Header().Get("X-Called") != "" {
		t.Errorf("got %d, %v", answer.Code, answer.Header())
	}
	issuer.Away(false)
	if answer := call(guard.User("", userOK), "Bearer token"); answer.Code != http.StatusOK {
		t.Errorf("after the outage: got %d %s", answer.Code, answer.Body)
	}
}

func TestOversizedTokensAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	_, err := guard.CheckUser(t.Context(), strings.Repeat("A", 17<<10), "")
	wantRefusal(t, err, oauth.InvalidToken, "")
	if n := issuer.Count(introspect); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestIntrospectionServesServicesToo(t *testing.T) {
	t.Parallel()
	issuer, guard := setupIntrospection(t)
	issuer.Known["token"].Subject, issuer.Known["token"].ClientID = "pay.backend", "pay.backend"
	service, err := guard.CheckService(t.Context(), "token", "items.read")
	if err != nil || service.Subsystem != "pay" {
		t.Errorf("got %+v, %v", service, err)
	}
	_, err = guard.CheckUser(t.Context(), "token", "items.read")
	wantRefusal(t, err, oauth.InsufficientScope, "service")
}
