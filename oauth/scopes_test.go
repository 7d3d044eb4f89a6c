package oauth_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/oauth"
)

// FuzzParseScopes holds that what is taken is within the limits, has each
// scope once, and says the same when it is written and read again.
func FuzzParseScopes(f *testing.F) {
	for _, seed := range []string{
		"", "openid", "openid openid", "a  b", " a", "a ", "a\tb", "é", `a"b`, "subjects:convert", strings.Repeat("a ", 60), strings.Repeat("x", 1025),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scopes, err := oauth.ParseScopes(text)
		if err != nil {
			return
		}
		if len(text) > 1024 || len(scopes) > 50 {
			t.Errorf("%d bytes with %d scopes were taken", len(text), len(scopes))
		}
		for i, scope := range scopes {
			if slices.Contains(scopes[:i], scope) || !oauth.ValidScope(scope) || !slices.Contains(strings.Split(text, " "), scope) {
				t.Errorf("%q gives %q", text, scopes)
			}
		}
		written, err := json.Marshal(scopes)
		if err != nil {
			t.Fatal(err)
		}
		var again oauth.Scopes
		if err := json.Unmarshal(written, &again); err != nil || !slices.Equal(again, scopes) {
			t.Errorf("%q is read back as %q: %v", scopes, again, err)
		}
	})
}
