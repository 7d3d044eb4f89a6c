package registry_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/jose"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// FuzzRequestObject holds that of all claims under a good signature only those are
// taken that RFC 9101 §4 and FAPI 2.0 Message Signing §5.3.1 ask for, and that nothing
// that the object says of itself, and no other request, comes out as a parameter.
func FuzzRequestObject(f *testing.F) {
	b, k := setupClients(f)
	client, ok := b.Current().Client("shop.other")
	if !ok {
		f.Fatal("no such client")
	}
	signer, err := jose.NewSigner(k.b, jose.ES256, "b", "oauth-authz-req+jwt")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"iss":"shop.other","client_id":"shop.other","aud":"ISSUER","exp":EXP,"nbf":NBF,"scope":"openid","resource":["a","b"],"max_age":5,"claims":{"userinfo":{"email":null}}}`,
		`{"iss":"shop.other","client_id":"shop.other","aud":["x","ISSUER"],"exp":EXP,"nbf":NBF,"jti":"j","iat":1}`,
		`{"iss":"shop.other","client_id":"shop.other","aud":"ISSUER","exp":EXP,"nbf":NBF,"request_uri":"urn:x"}`,
		`{"iss":"shop.other","client_id":"shop.other","aud":"ISSUER","exp":EXP,"nbf":NBF,"sub":"shop.other"}`,
		`{"iss":"shop.other","client_id":"shop.other","aud":"ISSUER","exp":1e308,"nbf":-1e308}`, `{"iss":null}`, `[]`, ``,
	} {
		f.Add(seed)
	}
	fill := strings.NewReplacer("ISSUER", issuer, "EXP", strconv.FormatInt(start.Unix()+60, 10), "NBF", strconv.FormatInt(start.Unix(), 10)).Replace
	f.Fuzz(func(t *testing.T, text string) {
		payload := fill(text)
		compact, err := signer.Sign([]byte(payload))
		if err != nil {
			return // longer than any object
		}
		values, err := client.RequestObject(compact, issuer, start)
		if err != nil {
			if !errors.Is(err, registry.ErrRequestObject) || values != nil {
				t.Fatalf("%q: %v, %v", payload, values, err)
			}
			return
		}
		var said struct {
			Iss      string
			ClientID string `json:"client_id"`
			Sub      *string
			Exp, Nbf float64
		}
		if err := json.Unmarshal([]byte(payload), &said); err != nil {
			t.Fatalf("%q was taken: %v", payload, err)
		}
		now := float64(start.Unix())
		if said.Iss != client.ID || said.ClientID != client.ID || said.Sub != nil || said.Exp <= now || said.Exp > now+3600 || said.Nbf < now-3600 || said.Nbf > now+60 {
			t.Errorf("%q was taken", payload)
		}
		for _, name := range []string{"iss", "aud", "exp", "nbf", "iat", "jti", "request", "request_uri"} {
			if values.Has(name) {
				t.Errorf("%q gave the parameter %s", payload, name)
			}
		}
	})
}
