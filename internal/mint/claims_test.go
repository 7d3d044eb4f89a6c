package mint_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/oauth"
)

// anyClaims generates claims with texts of every kind, odd ones among them.
func anyClaims() *rapid.Generator[*oauth.AccessTokenClaims] {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9:/.<>&"\\ -]{0,40}`))
	texts := rapid.SliceOfN(text, 0, 4)
	return rapid.Custom(func(t *rapid.T) *oauth.AccessTokenClaims {
		c := &oauth.AccessTokenClaims{
			Issuer:    text.Draw(t, "iss"),
			Subject:   text.Draw(t, "sub"),
			Audience:  texts.Draw(t, "aud"),
			ExpiresAt: rapid.Int64().Draw(t, "exp"),
			IssuedAt:  rapid.Int64().Draw(t, "iat"),
			ID:        text.Draw(t, "jti"),
			ClientID:  text.Draw(t, "client_id"),
			Scope:     texts.Draw(t, "scope"),
			AuthTime:  rapid.Int64().Draw(t, "auth_time"),
			ACR:       text.Draw(t, "acr"),
			AMR:       texts.Draw(t, "amr"),
			SessionID: text.Draw(t, "sid"),
		}
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			c.Actor = &oauth.Actor{Subject: text.Draw(t, "act"), Actor: c.Actor}
		}
		if rapid.Bool().Draw(t, "bound") {
			c.Confirmation = &oauth.Confirmation{JKT: text.Draw(t, "jkt"), X5T: text.Draw(t, "x5t")}
		}
		if rapid.Bool().Draw(t, "detailed") {
			details, err := json.Marshal([]map[string]string{{"type": text.Draw(t, "type")}})
			if err != nil {
				t.Fatal(err)
			}
			c.AuthorizationDetails = details
		}
		return c
	})
}

func TestAppendClaimsIsEncodingJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		claims := anyClaims().Draw(t, "claims")
		want, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		if got := mint.AppendClaims(nil, claims); string(got) != string(want) {
			t.Fatalf("wrote %s\nwant  %s", got, want)
		}
	})
}

func TestAppendEventClaimsIsEncodingJSON(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9:/.<>&"\\ -]{0,40}`))
	rapid.Check(t, func(t *rapid.T) {
		claims := &oauth.EventTokenClaims{
			Issuer:          text.Draw(t, "iss"),
			Subject:         text.Draw(t, "sub"),
			Audience:        oauth.Audience{text.Draw(t, "aud")},
			AuthorizedParty: text.Draw(t, "azp"),
			ExpiresAt:       rapid.Int64().Draw(t, "exp"),
			IssuedAt:        rapid.Int64().Draw(t, "iat"),
			ID:              text.Draw(t, "jti"),
			HappenedAt:      rapid.Int64().Draw(t, "toe"),
			Events:          map[string]oauth.EventBody{text.Draw(t, "type"): {SHA256: text.Draw(t, "body_sha256")}},
		}
		want, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		if got := mint.AppendEventClaims(nil, claims); string(got) != string(want) {
			t.Fatalf("wrote %s\nwant  %s", got, want)
		}
	})
}

func TestAppendClaimsAllocatesNothing(t *testing.T) {
	room := make([]byte, 0, mint.ClaimsSize)
	claims := &oauth.AccessTokenClaims{
		Issuer: "https://id.test", Subject: "d462sylrivz72j6xrhzrdhuqsy", Audience: oauth.Audience{"https://api.market.test", "https://id.test"},
		ExpiresAt: 1_800_000_300, IssuedAt: 1_800_000_000, ID: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ClientID: "pay.backend",
		Scope: oauth.Scopes{"items.read", "items.write"}, AuthTime: 1_800_000_000, ACR: "aal1", AMR: []string{"pwd"},
		SessionID: "noxgrbepma5uat7v553xv2hpli",
		Actor:     &oauth.Actor{Subject: "pay.backend", Actor: &oauth.Actor{Subject: "market-app.web"}},
	}
	if n := testing.AllocsPerRun(100, func() { mint.AppendClaims(room, claims) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
