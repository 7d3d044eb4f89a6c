package rp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// hearing is a web client that hears of logouts.
type hearing struct {
	t      *testing.T
	issuer *issuertest.Issuer
	url    string
	http   *http.Client

	mu    sync.Mutex
	ended []rp.Logout
	fail  error
}

func setupHearing(t *testing.T) *hearing {
	t.Helper()
	issuer, client := setup(t, "market-app.web")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s := &hearing{t: t, issuer: issuer, http: &http.Client{Transport: transport}}
	server := httptest.NewServer(client.LogoutHandler(func(_ context.Context, logout rp.Logout) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = append(s.ended, logout)
		return s.fail
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// send posts a form and answers status and body.
func (s *hearing) send(contentType, body string) (status int, text string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Cache-Control") != "no-store" { // §2.8
		s.t.Errorf("Cache-Control: %q", response.Header.Get("Cache-Control"))
	}
	var buffer strings.Builder
	if err := response.Write(&buffer); err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, buffer.String()
}

const form = "application/x-www-form-urlencoded"

func (s *hearing) logout(token string) int {
	s.t.Helper()
	status, text := s.send(form, url.Values{"logout_token": {token}}.Encode())
	if status == http.StatusBadRequest && !strings.Contains(text, `"error":"invalid_request"`) {
		s.t.Errorf("answered %s", text)
	}
	return status
}

func (s *hearing) want(name string, got, want int) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: answered %d, want %d", name, got, want)
	}
}

func (s *hearing) wantEnded(want int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) != want {
		s.t.Errorf("ended %d times, want %d", len(s.ended), want)
	}
}

func TestALogoutEndsWhatItNames(t *testing.T) {
	t.Parallel()
	s := setupHearing(t)
	claims := s.issuer.LogoutClaims("market-app.web")
	s.want("a good one", s.logout(s.issuer.LogoutToken(claims)), http.StatusOK)
	for _, change := range []map[string]any{{"sid": nil}, {"sub": nil}} {
		claims := issuertest.With(s.issuer.LogoutClaims("market-app.web"), change)
		s.want("with less", s.logout(s.issuer.LogoutToken(claims)), http.StatusOK)
	}
	want := []rp.Logout{
		{Issuer: s.issuer.URL, Subject: "alice.market-app", SessionID: "session-1"},
		{Issuer: s.issuer.URL, Subject: "alice.market-app"},
		{Issuer: s.issuer.URL, SessionID: "session-1"},
	}
	if diff := cmp.Diff(want, s.ended); diff != "" {
		t.Error(diff)
	}
}

// A token that comes again must not end the sessions begun since.
func TestALogoutThatComesAgainEndsNothing(t *testing.T) {
	t.Parallel()
	s := setupHearing(t)
	claims := s.issuer.LogoutClaims("market-app.web")
	token := s.issuer.LogoutToken(claims)
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() { s.want("at once", s.logout(token), http.StatusOK) })
	}
	wait.Wait()
	s.issuer.Clock.Advance(119 * time.Second)
	s.want("later", s.logout(token), http.StatusOK)
	// Sent again, it is signed anew and has the same id.
	now := s.issuer.Clock.Now().Unix()
	again := issuertest.With(claims, map[string]any{"iat": now, "exp": now + 120})
	s.want("signed anew", s.logout(s.issuer.LogoutToken(again)), http.StatusOK)
	s.wantEnded(1)
}

func TestALogoutThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := setupHearing(t)
	token := s.issuer.LogoutToken(s.issuer.LogoutClaims("market-app.web"))
	for _, fail := range []error{errors.New("no database"), oauth.Refuse(oauth.InvalidGrant, "of another call")} {
		s.fail = fail
		s.want("failing", s.logout(token), http.StatusServiceUnavailable)
	}
	s.fail = nil
	s.want("working", s.logout(token), http.StatusOK)
	s.want("again", s.logout(token), http.StatusOK)
	s.wantEnded(3)
}

// OIDC Back-Channel Logout §2.6, step by step.
func TestLogoutTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	s := setupHearing(t)
	now := s.issuer.Clock.Now().Unix()
	mallory, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change map[string]any) map[string]any {
		return issuertest.With(s.issuer.LogoutClaims("market-app.web"), change)
	}
	header := map[string]any{"kid": "key-1", "typ": "logout+jwt"}
	tokens := map[string]string{
		"another's signature": issuertest.Sign(jose.ES256, mallory, header, claims(nil)),
		"the key as secret":   issuertest.Sign(jose.HS256, []byte(strings.Repeat("k", 32)), header, claims(nil)),
		"an ID token":         s.issuer.IDToken(claims(nil)),
		"an access token":     s.issuer.AccessToken(claims(nil)),
		"a SET":               s.issuer.SET(claims(nil)),
		"an event credential": s.issuer.EventToken(claims(nil)),
		"without type":        issuertest.Sign(jose.ES256, s.issuer.Key, map[string]any{"kid": "key-1"}, claims(nil)),
		"no token":            "x",
	}
	for name, change := range map[string]map[string]any{
		"another issuer":       {"iss": "https://evil.example"},
		"another client":       {"aud": "market-app.ios"},
		"another client too":   {"aud": []string{"market-app.web", "pay.backend"}},
		"no audience":          {"aud": nil},
		"of the future":        {"iat": now + 11},
		"of the past":          {"iat": now - 310},
		"without time":         {"iat": nil},
		"expired":              {"exp": now - 10},
		"without end":          {"exp": nil},
		"about nobody":         {"sub": nil, "sid": nil},
		"no id":                {"jti": nil},
		"with a nonce":         {"nonce": "n"},
		"no events":            {"events": nil},
		"another event":        {"events": map[string]any{"https://schemas.openid.net/other": map[string]any{}}},
		"an event of nothing":  {"events": map[string]any{oauth.EventBackChannelLogout: nil}},
		"an event that is one": {"events": map[string]any{oauth.EventBackChannelLogout: 1}},
	} {
		tokens[name] = s.issuer.LogoutToken(claims(change))
	}
	for name, token := range tokens {
		s.want(name, s.logout(token), http.StatusBadRequest)
	}
	s.wantEnded(0)
}

func TestLogoutRequestsOfAnotherForm(t *testing.T) {
	t.Parallel()
	s := setupHearing(t)
	token := "logout_token=" + s.issuer.LogoutToken(s.issuer.LogoutClaims("market-app.web"))
	for name, c := range map[string][2]string{
		"JSON":       {"application/json", token},
		"no type":    {"", token},
		"two tokens": {form, token + "&" + token},
		"none":       {form, "x=y"},
		"empty":      {form, "logout_token="},
		"large":      {form, "x=" + strings.Repeat("y", 64<<10) + "&" + token},
		"no form":    {form, token + "&%"},
	} {
		status, _ := s.send(c[0], c[1])
		s.want(name, status, http.StatusBadRequest)
	}
	response, err := s.http.Get(s.url + "?" + token)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	s.want("GET", response.StatusCode, http.StatusMethodNotAllowed)
	s.wantEnded(0)
}

func TestALogoutThatCannotBeJudgedIsPutOff(t *testing.T) {
	t.Parallel()
	s := setupHearing(t)
	s.want("the keys are there", s.logout(s.issuer.LogoutToken(s.issuer.LogoutClaims("market-app.web"))), http.StatusOK)
	s.issuer.Rotate("key-2")
	s.issuer.Away(true)
	s.want("a key that may be new", s.logout(s.issuer.LogoutToken(s.issuer.LogoutClaims("market-app.web"))), http.StatusServiceUnavailable)
	s.issuer.Away(false)
	s.issuer.Clock.Advance(30 * time.Second)
	s.want("later", s.logout(s.issuer.LogoutToken(s.issuer.LogoutClaims("market-app.web"))), http.StatusOK)
	unknown := issuertest.Sign(jose.ES256, s.issuer.Key, map[string]any{"kid": "key-9", "typ": "logout+jwt"}, map[string]any{})
	s.issuer.Clock.Advance(30 * time.Second)
	s.want("a key that is not", s.logout(unknown), http.StatusBadRequest)
	s.wantEnded(2)
}
