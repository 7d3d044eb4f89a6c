package rp_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sekisho-id/sekisho/oauth"
)

const sold = market + "/events/item.sold"

func detailFor(receiver string) oauth.EventDetail {
	return oauth.EventDetail{
		Receiver: receiver, EventType: sold, EventID: "sale-4711",
		BodySHA256: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", HappenedAt: 1_700_000_000,
	}
}

func TestEventCredentials(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market.backend")
	issuer.Knows = func(receiver, _ string) bool { return receiver != "partner" }
	got, err := client.EventCredentials(t.Context(), "alice.market", []oauth.EventDetail{detailFor("pay"), detailFor("partner"), detailFor("crypto")})
	if err != nil {
		t.Fatal(err)
	}
	for i, receiver := range []string{"pay", "partner", "crypto"} {
		want := detailFor(receiver)
		want.Type = oauth.DetailEvent
		if diff := cmp.Diff(want, got[i], cmpopts.IgnoreFields(want, "IDToken")); diff != "" {
			t.Error(diff)
		}
		if known := receiver != "partner"; (got[i].IDToken != "") != known {
			t.Errorf("%s: got the credential %q", receiver, got[i].IDToken)
		}
	}
	if n := issuer.Count("/oauth2/token"); n != 1 {
		t.Errorf("%d requests", n)
	}
	form := issuer.Forms()[0]
	for name, want := range map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"requested_token_type": "urn:ietf:params:oauth:token-type:id_token",
		"subject_token":        "alice.market",
		"subject_token_type":   "urn:sekisho:params:oauth:token-type:subject",
	} {
		if len(form[name]) != 1 || form[name][0] != want {
			t.Errorf("%s: sent %q", name, form[name])
		}
	}
	var sent []map[string]any
	if err := json.Unmarshal([]byte(form["authorization_details"][0]), &sent); err != nil || len(sent) != 3 || sent[0]["type"] != "event" {
		t.Errorf("authorization_details: sent %v, %v", form["authorization_details"], err)
	}
}

// A person whom no receiver may hear of is no error, but other requests that
// are refused are.
func TestEventCredentialsOfNobody(t *testing.T) {
	t.Parallel()
	issuer, client := setup(t, "market.backend")
	for _, subject := range []string{"ghost.market", "alice.pay"} {
		got, err := client.EventCredentials(t.Context(), subject, []oauth.EventDetail{detailFor("pay")})
		if err != nil || len(got) != 1 || got[0].IDToken != "" || got[0].Receiver != "pay" {
			t.Errorf("%s: got %+v, %v", subject, got, err)
		}
	}
	issuer.Declared = func(_, receiver, _ string) bool { return receiver == "pay" }
	details := map[oauth.Code][]oauth.EventDetail{
		oauth.InvalidTarget:  {detailFor("pay"), detailFor("crypto")},
		oauth.InvalidRequest: make([]oauth.EventDetail, 51),
	}
	for code, details := range details {
		_, err := client.EventCredentials(t.Context(), "alice.market", details)
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != code {
			t.Errorf("want %s, got %v", code, err)
		}
	}
}

func TestEventCredentialsMustBeThoseAskedFor(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]map[string]any{
		"an access token": {"access_token": "a", "token_type": "Bearer", "issued_token_type": oauth.TokenTypeAccess},
		"none":            {"issued_token_type": oauth.TokenTypeID, "authorization_details": []oauth.EventDetail{}},
		"another receiver's": {
			"issued_token_type": oauth.TokenTypeID, "authorization_details": []oauth.EventDetail{{
				Type: oauth.DetailEvent, Receiver: "partner", EventType: sold, EventID: "sale-4711",
				BodySHA256: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", HappenedAt: 1_700_000_000, IDToken: "a.b.c",
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, client := setup(t, "market.backend")
			issuer.Answer = func(w http.ResponseWriter, _ map[string][]string) bool {
				if err := json.NewEncoder(w).Encode(answer); err != nil {
					t.Error(err)
				}
				return true
			}
			if got, err := client.EventCredentials(t.Context(), "alice.market", []oauth.EventDetail{detailFor("pay")}); err == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}
