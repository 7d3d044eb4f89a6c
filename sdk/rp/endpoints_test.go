package rp_test

import (
	"net/url"
	"testing"

	"github.com/sekisho-id/sekisho/oauth"
)

func TestIntrospectAndRevoke(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market.backend")
	issuer.Known["token"] = &oauth.Introspection{Active: true, Subject: "alice.pay", ResourceSubject: "alice.market"}
	answer, err := client.Introspect(t.Context(), "token")
	if err != nil || !answer.Active || answer.ResourceSubject != "alice.market" {
		t.Fatalf("got %+v, %v", answer, err)
	}
	if err := client.Revoke(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	if answer, err = client.Introspect(t.Context(), "token"); err != nil || answer.Active {
		t.Fatalf("after revocation: got %+v, %v", answer, err)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market-app.web")
	token, err := client.Refresh(t.Context(), "refresh-1", market, "items.read")
	if err != nil {
		t.Fatal(err)
	}
	if token.RefreshToken != "refresh-1" {
		t.Errorf("a refresh token that is not rotated was lost: %q", token.RefreshToken)
	}
	if form := issuer.Forms()[0]; form["resource"][0] != market || form["scope"][0] != "items.read" {
		t.Errorf("sent %v", form)
	}
}

func TestUserInfoIsAboutTheOneSignedIn(t *testing.T) {
	t.Parallel()
	_, client := setup(t, "market-app.web")
	var claims struct{ Name string }
	if err := client.UserInfo(t.Context(), "access", "alice.market-app", &claims); err != nil || claims.Name != "Alice" {
		t.Fatalf("got %+v, %v", claims, err)
	}
	for _, other := range []string{"bob.market-app", ""} {
		if err := client.UserInfo(t.Context(), "access", other, &claims); err == nil {
			t.Errorf("an answer about alice was taken for %q", other)
		}
	}
}

func TestLogoutURL(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market-app.web")
	address, err := client.LogoutURL("id-token", "https://market.example/bye", "")
	if err != nil {
		t.Fatal(err)
	}
	want := issuer.URL + "/oauth2/logout?" + url.Values{
		"client_id": {"market-app.web"}, "id_token_hint": {"id-token"}, "post_logout_redirect_uri": {"https://market.example/bye"},
	}.Encode()
	if address != want {
		t.Errorf("got %s, want %s", address, want)
	}
}
