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

// FuzzAssertion holds that of all claims under a good signature only those are
// taken that RFC 7523 §3 asks for, that a good one is taken once, and that all
// others are refused alike.
func FuzzAssertion(f *testing.F) {
	b, k := setupClients(f)
	signer, err := jose.NewSigner(k.b, jose.ES256, "b", "JWT")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"iss":"shop.other","sub":"shop.other","aud":"ISSUER","jti":"1","exp":EXP}`, `{"iss":"shop.other","sub":"shop.other","aud":["ISSUER"],"jti":"1","exp":EXP.5,"iat":0,"nbf":-1}`,
		`{"iss":"shop.other","sub":"shop.other","aud":"ISSUER","jti":"1","exp":1e308}`, `{"iss":"shop.other","sub":"shop.other","sub":"x","aud":"ISSUER","jti":"1","exp":EXP}`,
		`{"iss":"shop.other","sub":"shop.other","aud":["ISSUER","x"],"jti":"1","exp":EXP}`, `{"sub":"shop.other"}`, `[]`, ``, `{"sub":null}`,
	} {
		f.Add(seed)
	}
	fill := strings.NewReplacer("ISSUER", issuer, "EXP", strconv.FormatInt(start.Unix()+60, 10)).Replace
	f.Fuzz(func(t *testing.T, text string) {
		payload := fill(text)
		compact, err := signer.Sign([]byte(payload))
		if err != nil {
			return // longer than any assertion
		}
		client, err := b.Authenticate(t.Context(), assertion(compact))
		if err != nil {
			if !errors.Is(err, registry.ErrClientAuthentication) && !errors.Is(err, registry.ErrAssertionsFull) || client != nil {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		var said struct {
			Iss, Sub, JTI string
			Aud           any
			Exp           float64
		}
		if err := json.Unmarshal([]byte(payload), &said); err != nil {
			t.Fatalf("%q was taken: %v", payload, err)
		}
		if said.Iss != client.ID || said.Sub != client.ID || said.JTI == "" || said.Exp <= float64(start.Unix()) || said.Exp > float64(start.Unix()+300) {
			t.Errorf("%q was taken", payload)
		}
		list, _ := said.Aud.([]any)
		if said.Aud != issuer && said.Aud != tokenURL && (len(list) != 1 || list[0] != issuer && list[0] != tokenURL) {
			t.Errorf("%q was taken", payload)
		}
		if _, err := b.Authenticate(t.Context(), assertion(compact)); !errors.Is(err, registry.ErrClientAuthentication) {
			t.Errorf("%q was taken twice: %v", payload, err)
		}
	})
}
