package courier_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/keyring"
)

// I11: the logout token has what OIDC Back-Channel Logout §2.4 demands and nothing
// it forbids, and goes to the clients that had a grant under the session.
func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	session := e.signIn(0, "shop.web", "partner.web")
	other := e.signIn(0, "shop.web")
	without := e.signIn(1)
	e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, without.ID) })
	e.tick()
	if n := len(e.logout.take()); n != 0 {
		t.Fatalf("%d came for a session without grants", n)
	}
	e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, session.ID) })
	e.tick()
	came := e.logout.take()
	if len(came) != 1 {
		t.Fatalf("%d came", len(came))
	}
	form, err := url.ParseQuery(came[0].body)
	e.must(err)
	if came[0].header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(form) != 1 || len(form["logout_token"]) != 1 {
		t.Fatalf("came %v %s", came[0].header, came[0].body)
	}
	claims, err := e.Keys.Verify(keyring.LogoutRS256, form.Get("logout_token"))
	e.must(err)
	var got map[string]any
	e.must(json.Unmarshal(claims, &got))
	at := float64(e.clock.Now().Unix())
	sector := e.subsystem("shop").Sector
	want := map[string]any{
		"iss": loopbackIssuer, "sub": e.subject("shop", 0), "aud": "shop.web", "iat": at, "exp": at + 120, "jti": got["jti"],
		"sid":    e.Pairwise.SessionID(sector, session.ID),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if !reflect.DeepEqual(got, want) || got["jti"] == "" {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got["sid"] == e.Pairwise.SessionID(sector, other.ID) {
		t.Error("another session of the person is named")
	}
}

// A logout token is made anew for each try, under the same jti, and is worth
// sending for ten minutes.
func TestBackChannelLogoutIsTriedForTenMinutes(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	e.logout.answers(http.StatusServiceUnavailable)
	jtis := map[string]bool{}
	session := e.signIn(0, "shop.web")
	e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, session.ID) })
	e.tick()
	tries := 0
	for range 60 {
		e.after(20 * time.Second)
		for _, one := range e.logout.take() {
			tries++
			form, err := url.ParseQuery(one.body)
			e.must(err)
			claims, err := e.Keys.Verify(keyring.LogoutRS256, form.Get("logout_token"))
			e.must(err)
			var token struct {
				ID  string `json:"jti"`
				Exp int64  `json:"exp"`
			}
			e.must(json.Unmarshal(claims, &token))
			jtis[token.ID] = true
			if e.clock.Now().Unix() > token.Exp {
				t.Error("the token has expired")
			}
		}
	}
	if tries < 4 || len(jtis) != 1 {
		t.Errorf("%d tries with %d jti", tries, len(jtis))
	}
	_, dead := e.standing("logout:shop.web")
	if len(dead) != 1 || dead[0].Fault != "too late to be of use, answered 503" {
		t.Errorf("dead are %+v", dead)
	}
}

// After its sector was re-keyed, a client that wants it hears whom it knew before.
func TestBackChannelLogoutOfARekeyedSector(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	session := e.signIn(0, "shop.web")
	former := e.subject("shop", 0)
	if _, err := e.Pairwise.NextGeneration(e.ctx, "test"); err != nil {
		t.Fatal(err)
	}
	e.gen = 2
	if _, err := e.Registry.Rekey(e.ctx, "shop", 24*time.Hour, "test"); err != nil {
		t.Fatal(err)
	}
	e.clock.Advance(2 * time.Minute)
	e.update(func(tx *db.Tx) error { return e.Grants.EndSession(e.ctx, tx, session.ID) })
	e.tick()
	form, err := url.ParseQuery(e.logout.take()[0].body)
	e.must(err)
	claims, err := e.Keys.Verify(keyring.LogoutRS256, form.Get("logout_token"))
	e.must(err)
	var got map[string]any
	e.must(json.Unmarshal(claims, &got))
	if got["sub"] != e.subject("shop", 0) || got["former_sub"] != former || got["sub"] == former {
		t.Errorf("sub %v, former_sub %v; it was %s", got["sub"], got["former_sub"], former)
	}
}
