package mint_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/mint"
)

// FuzzCheck holds that of all texts only the two tokens that were issued are
// taken, a JWT and an opaque one, neither as an ID token, and that a jti has
// one spelling.
func FuzzCheck(f *testing.F) {
	b := setup(f)
	signed := b.userToken(nil).Token
	opaque := b.userToken(func(t *mint.UserToken) { t.Opaque = true }).Token
	jti := b.userToken(nil).ID
	parts := strings.Split(signed, ".")
	for _, seed := range []string{
		"{h}.{p}.{s}", "{o}", "{o}=", "{o}A", "sek_at_{o}", "{h}.{p}.{s}A", "{h}.{p}.", "{j}", "{j}=", "sek_at_", "sek_at_{p}", " {o}", "{o}\n", "", ".", "\x00",
	} {
		f.Add(seed)
	}
	fill := strings.NewReplacer("{h}", parts[0], "{p}", parts[1], "{s}", parts[2], "{o}", opaque, "{j}", jti).Replace
	f.Fuzz(func(t *testing.T, input string) {
		token := fill(input)
		checked, err := b.Check(t.Context(), token)
		if (err == nil) != (token == signed || token == opaque) || err != nil && !errors.Is(err, mint.ErrInvalid) {
			t.Fatalf("%q: %v", input, err)
		}
		if err == nil && (checked.User == nil || checked.Service != nil || checked.User.Grant != 4711 || checked.User.Who != b.person.Ref) {
			t.Errorf("%q: %+v", input, checked)
		}
		if _, err := b.CheckIDTokenHint(t.Context(), token); err == nil {
			t.Errorf("%q is an ID token", input)
		}
		if _, ok := b.Open(token); ok {
			raw, err := base64.RawURLEncoding.DecodeString(token)
			if err != nil || base64.RawURLEncoding.EncodeToString(raw) != token {
				t.Errorf("%q is another spelling of a jti", token)
			}
		}
	})
}
