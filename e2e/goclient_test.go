package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
)

// accessClaims are what these tests look at in an access token.
type accessClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ClientID string          `json:"client_id"`
	Scope    string          `json:"scope"`
	Expires  int64           `json:"exp"`
	Actor    json.RawMessage `json:"act"`
}

// verified checks an access token as a resource server with go-oidc would.
func verified(t testing.TB, provider *oidc.Provider, audience, token string) accessClaims {
	t.Helper()
	verifier := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.ES256}})
	parsed, err := verifier.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("access token for %s: %v", audience, err)
	}
	var claims accessClaims
	if err := parsed.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestGoOIDCAndOAuth2 runs code, refresh, exchange and client credentials with
// go-oidc and x/oauth2, through a person's browser.
func TestGoOIDCAndOAuth2(t *testing.T) {
	t.Parallel()
	rp := newSite(t)
	as := newServer(t, rp.group()).start(t)
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, as.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // else x/oauth2 hides an error behind a second try
	config := &oauth2.Config{
		ClientID: "market-app.web", ClientSecret: appSecret, Endpoint: endpoint,
		RedirectURL: rp.URL + "/app", Scopes: []string{"openid", "email", "items.read", "charge", "offline_access"},
	}

	someone := newPerson(t)
	verifier := oauth2.GenerateVerifier()
	address := config.AuthCodeURL("state-1", oidc.Nonce("nonce-1"), oauth2.S256ChallengeOption(verifier))
	if back := someone.signUp(someone.open(address)); !back.has("back") {
		t.Fatalf("after sign-up at %s: %s", back.url, back.text())
	}
	answer := <-rp.answers
	if answer.Get("state") != "state-1" || answer.Get("iss") != as.Issuer || answer.Get("code") == "" {
		t.Fatalf("authorization response: %v", answer)
	}

	// The grant covers two resources, so the token request names one; the
	// code is not lost by forgetting to.
	_, err = config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	refusedWith(t, err, "invalid_target")
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier), oauth2.SetAuthURLParam("resource", payAPI))
	if err != nil {
		t.Fatal(err)
	}
	rawID, _ := token.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(ctx, rawID)
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Nonce != "nonce-1" || idToken.VerifyAccessToken(token.AccessToken) != nil {
		t.Errorf("ID token: nonce %q, at_hash %v", idToken.Nonce, idToken.VerifyAccessToken(token.AccessToken))
	}
	first := verified(t, provider, payAPI, token.AccessToken)
	if first.Subject != idToken.Subject || first.ClientID != "market-app.web" || first.Scope != "charge" {
		t.Errorf("access token: %+v, ID token subject %s", first, idToken.Subject)
	}

	t.Run("refresh", func(t *testing.T) {
		_, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		refusedWith(t, err, "invalid_target")
		answer := post(t, provider.Endpoint().TokenURL, "market-app.web", appSecret, url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "resource": {marketAPI},
		})
		claims := verified(t, provider, marketAPI, answer.AccessToken)
		if claims.Subject != first.Subject || claims.Scope != "items.read" {
			t.Errorf("refreshed: %+v", claims)
		}
	})

	t.Run("exchange", func(t *testing.T) {
		answer := post(t, provider.Endpoint().TokenURL, "pay.backend", paySecret, url.Values{
			"grant_type": {exchangeGrant}, "subject_token": {token.AccessToken}, "subject_token_type": {accessTokenType},
			"resource": {marketAPI}, "scope": {"items.read"},
		})
		claims := verified(t, provider, marketAPI, answer.AccessToken)
		switch {
		case claims.Subject == first.Subject:
			t.Error("the exchanged token still carries the app's id of the person")
		case claims.ClientID != "pay.backend" || claims.Scope != "items.read":
			t.Errorf("exchanged: %+v", claims)
		case claims.Expires > first.Expires:
			t.Error("the exchanged token lives longer than the one it was made from")
		case string(claims.Actor) != `{"sub":"pay.backend","act":{"sub":"market-app.web"}}`:
			t.Errorf("act = %s", claims.Actor)
		}
	})

	t.Run("client credentials", func(t *testing.T) {
		machine := clientcredentials.Config{
			ClientID: "crypto.backend", ClientSecret: cryptoSecret, TokenURL: provider.Endpoint().TokenURL,
			Scopes: []string{"settle"}, AuthStyle: oauth2.AuthStyleInHeader,
		}
		token, err := machine.Token(ctx)
		if err != nil {
			t.Fatal(err)
		}
		claims := verified(t, provider, marketAPI, token.AccessToken)
		if claims.Subject != "crypto.backend" || claims.ClientID != claims.Subject {
			t.Errorf("service context: %+v", claims)
		}
		app := machine
		app.ClientID, app.ClientSecret = "market-app.web", appSecret
		_, err = app.Token(ctx)
		refusedWith(t, err, "unauthorized_client")
	})

	t.Run("userinfo", func(t *testing.T) {
		answer := post(t, provider.Endpoint().TokenURL, "market-app.web", appSecret, url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "resource": {as.Issuer},
		})
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: answer.AccessToken, TokenType: "Bearer"}))
		if err != nil {
			t.Fatal(err)
		}
		if info.Subject != first.Subject || info.Email != email {
			t.Errorf("userinfo: %+v", info)
		}
	})

	t.Run("nothing secret in the log", func(t *testing.T) {
		log := as.log.String()
		for _, secret := range []string{
			appSecret, cryptoSecret, password, verifier, answer.Get("code"), token.AccessToken, token.RefreshToken, rawID,
		} {
			if secret == "" || strings.Contains(log, secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		if len(as.logLines(t)) == 0 {
			t.Error("no log at all")
		}
	})
}

// tokenAnswer is what these tests read of a token response.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope"`
	Subject      string `json:"sub"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

// post sends a token request that must succeed.
func post(t testing.TB, address, id, secret string, form url.Values) tokenAnswer {
	t.Helper()
	answer, status := send(t, t.Context(), address, id, secret, form)
	if status != http.StatusOK {
		t.Fatalf("%d %s: %s", status, answer.Error, answer.Description)
	}
	return answer
}

func send(t testing.TB, ctx context.Context, address, id, secret string, form url.Values) (tokenAnswer, int) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer tokenAnswer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer, response.StatusCode
}

// refusedWith checks that x/oauth2 reports one of these OAuth error codes.
func refusedWith(t testing.TB, err error, codes ...string) {
	t.Helper()
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || !slices.Contains(codes, refused.ErrorCode) {
		t.Errorf("error = %v, want one of %v", err, codes)
	}
}
