package signin

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
)

// FuzzParseClaims holds that a claims parameter that is taken is JSON which
// asks the standard decoder for the same claims, and that a value that was
// asked for is never lost on the way: it would then be no wish at all.
func FuzzParseClaims(f *testing.F) {
	for _, seed := range []string{
		`{"id_token":{"auth_time":{"essential":true},"acr":{"values":["a","b"]}},"userinfo":{"email":null}}`, `{"id_token":{"sub":{"value":"x"}}}`,
		`{"id_token":{"sub":{"value":null,"values":[1,{}]}}}`, `{"id_token":null}`, `{"userinfo":{"a":{},"A":{}}}`, `{"id_token":[]}`, `[]`, `{}`, ``, `{"id_token":{"":{"value":""}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := parseClaims(text)
		if err != nil {
			if !errors.Is(err, errClaims) || claims != nil {
				t.Errorf("%q: %v, %v", text, claims, err)
			}
			return
		}
		if text == "" {
			return
		}
		var standard map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &standard); err != nil {
			t.Fatalf("%q was taken: %v", text, err)
		}
		for name, got := range map[string]map[string]*claimRequest{"id_token": claims.IDToken, "userinfo": claims.UserInfo} {
			var want map[string]map[string]any
			if raw, ok := standard[name]; ok && json.Unmarshal(raw, &want) != nil {
				t.Fatalf("%q was taken", text)
			}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
				t.Errorf("%q asks for %v in %s, not %v", text, got, name, want)
			}
			for claim, wishes := range want {
				list, _ := wishes["values"].([]any)
				asked := len(list)
				if wishes["value"] != nil {
					asked++
				}
				if len(got[claim].texts()) != asked {
					t.Errorf("%q names %d values of %s, %d are kept", text, asked, claim, len(got[claim].texts()))
				}
			}
		}
	})
}
