package token_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// anyText generates texts of every kind, odd ones among them.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9:/.<>&"\\ -]{0,40}`))
}

func TestResponsesAreEncodingJSON(t *testing.T) {
	t.Parallel()
	text, texts := anyText(), rapid.SliceOfN(anyText(), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		response := &oauth.TokenResponse{
			AccessToken:     text.Draw(t, "access_token"),
			IssuedTokenType: oauth.TokenType(text.Draw(t, "issued_token_type")),
			TokenType:       text.Draw(t, "token_type"),
			ExpiresIn:       rapid.Int64().Draw(t, "expires_in"),
			RefreshToken:    text.Draw(t, "refresh_token"),
			Scope:           texts.Draw(t, "scope"),
			IDToken:         text.Draw(t, "id_token"),
		}
		var details []oauth.EventDetail
		for range rapid.IntRange(0, 3).Draw(t, "details") {
			details = append(details, oauth.EventDetail{
				Type:       text.Draw(t, "type"),
				Receiver:   text.Draw(t, "receiver"),
				EventType:  text.Draw(t, "event_type"),
				EventID:    text.Draw(t, "event_id"),
				BodySHA256: text.Draw(t, "body_sha256"),
				HappenedAt: rapid.Int64().Draw(t, "happened_at"),
				IDToken:    text.Draw(t, "detail id_token"),
			})
		}
		if len(details) > 0 {
			response.AuthorizationDetails = token.AppendDetails(nil, details)
			same(t, response.AuthorizationDetails, details)
		}
		same(t, token.AppendResponse(nil, response), response)
	})
}

func TestIntrospectionsAreEncodingJSON(t *testing.T) {
	t.Parallel()
	text, texts, number := anyText(), rapid.SliceOfN(anyText(), 0, 4), rapid.Int64Range(-2, 1<<40)
	rapid.Check(t, func(t *rapid.T) {
		introspection := &oauth.Introspection{
			Active:          rapid.Bool().Draw(t, "active"),
			Issuer:          text.Draw(t, "iss"),
			Subject:         text.Draw(t, "sub"),
			ResourceSubject: text.Draw(t, "resource_sub"),
			Audience:        texts.Draw(t, "aud"),
			ExpiresAt:       number.Draw(t, "exp"),
			IssuedAt:        number.Draw(t, "iat"),
			ID:              text.Draw(t, "jti"),
			ClientID:        text.Draw(t, "client_id"),
			Scope:           texts.Draw(t, "scope"),
			TokenType:       text.Draw(t, "token_type"),
			AuthTime:        number.Draw(t, "auth_time"),
			ACR:             text.Draw(t, "acr"),
			AMR:             texts.Draw(t, "amr"),
			SessionID:       text.Draw(t, "sid"),
			NotBefore:       number.Draw(t, "nbf"),

			AuthorizationDetails: details(t, text),
		}
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			introspection.Actor = &oauth.Actor{Subject: text.Draw(t, "act"), Actor: introspection.Actor}
		}
		if rapid.Bool().Draw(t, "confirmed") {
			introspection.Confirmation = &oauth.Confirmation{JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
		}
		same(t, token.AppendIntrospection(nil, introspection), introspection)
	})
}

// TestAnswersHaveNoOtherMembers: a new one is to be written, and drawn above.
func TestAnswersHaveNoOtherMembers(t *testing.T) {
	t.Parallel()
	if n := reflect.TypeFor[oauth.TokenResponse]().NumField(); n != 8 {
		t.Errorf("a token response has %d members", n)
	}
	if n := reflect.TypeFor[oauth.EventDetail]().NumField(); n != 7 {
		t.Errorf("a detail has %d members", n)
	}
	if n := reflect.TypeFor[oauth.Introspection]().NumField(); n != 19 {
		t.Errorf("an introspection has %d members", n)
	}
}

func same(t *rapid.T, got []byte, value any) {
	t.Helper()
	want, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatalf("wrote %s\nwant  %s", got, want)
	}
}

// details are authorization details as they are read and kept.
func details(t *rapid.T, text *rapid.Generator[string]) json.RawMessage {
	written, err := json.Marshal([]map[string]any{{"type": "x" + text.Draw(t, "type"), "x": text.Draw(t, "x")}})
	if err != nil {
		t.Fatal(err)
	}
	read, err := rar.Parse(string(written))
	if err != nil {
		t.Fatal(err)
	}
	return rapid.SampledFrom([]json.RawMessage{nil, read.JSON()}).Draw(t, "authorization_details")
}
