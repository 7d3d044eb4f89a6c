package jose_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// tokenSeeds are texts for the two fuzz tests of tokens; {h}, {p} and {s}
// stand for the parts of the good one.
var tokenSeeds = []string{
	"{h}.{p}.{s}", "{h}.{p}.", "{h}.{p}.{s}=", "{h}.{p}.{s}A", "{h}.{p}.{s}\n", " {h}.{p}.{s}", "{h}.{p}.{s}.", "{h}..{s}", "{p}.{h}.{s}",
	"{h}.{p}{p}.{s}", "{h}\r.{p}.{s}", "eyJhbGciOiJub25lIn0.{p}.", "eyJhbGciOiJFUzI1NiJ9.{p}.{s}", ".", "..", "",
}

// addTokens gives the corpus the seeds, and the good token with the unused bits
// of its last character set.
func addTokens(f *testing.F, good string) func(string) string {
	f.Helper()
	parts := strings.Split(good, ".")
	for _, seed := range tokenSeeds {
		f.Add(seed)
	}
	f.Add("{h}.{p}." + parts[2][:len(parts[2])-1] + bump(good[len(good)-1]))
	return strings.NewReplacer("{h}", parts[0], "{p}", parts[1], "{s}", parts[2]).Replace
}

// FuzzVerify holds that of all texts only the token itself is taken: it has one
// spelling.
func FuzzVerify(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	good := sign(f, key, jose.ES256, "k1", "at+jwt", claims)
	ours := verifier(f, key, jose.ES256, "k1", "at+jwt")
	fill := addTokens(f, good)
	f.Fuzz(func(t *testing.T, input string) {
		token := fill(input)
		got, err := ours.Verify(token)
		if (err == nil) != (token == good) || err == nil && string(got) != claims {
			t.Errorf("%q: %q, %v", token, got, err)
		}
	})
}

// FuzzJWKSVerify is the same for the tokens of others.
func FuzzJWKSVerify(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	good := sign(f, key, jose.ES256, "k1", "JWT", claims)
	keys := parse(f, set(f, nil, jwk(f, key, "k1", jose.ES256)))
	fill := addTokens(f, good)
	f.Fuzz(func(t *testing.T, input string) {
		token := fill(input)
		got, header, err := keys.Verify(token, allAlgs())
		if (err == nil) != (token == good) || err == nil && string(got) != claims {
			t.Errorf("%q: %q, %+v, %v", token, got, header, err)
		}
	})
}

// FuzzParseJWKS holds that a key set that is taken is written as one without
// private members, and that this one is taken and written as the same.
func FuzzParseJWKS(f *testing.F) {
	ec, ed := jwk(f, ecKey(f, elliptic.P256()), "a", jose.ES256), jwk(f, edKey(f), "b", jose.EdDSA)
	f.Add([]byte(set(f, nil, ec, ed)))
	f.Add([]byte(set(f, map[string]any{"use": "sig", "key_ops": []string{"verify"}, "x5u": "https://x.test"}, ec)))
	f.Add([]byte(set(f, map[string]any{"d": "AA"}, ec)))
	f.Add([]byte(set(f, map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, ec)))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"keys":[null,{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := jose.ParseJWKS(data)
		if err != nil {
			return
		}
		written, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{`"d":`, `"p":`, `"q":`, `"dp":`, `"dq":`, `"qi":`, `"oth":`, `"k":`, `"priv":`} {
			if bytes.Contains(written, []byte(private)) {
				t.Errorf("%s is in %s", private, written)
			}
		}
		again, err := jose.ParseJWKS(written)
		if err != nil {
			t.Fatalf("%s is not taken: %v", written, err)
		}
		rewritten, err := json.Marshal(again)
		if err != nil || !bytes.Equal(written, rewritten) || !slices.Equal(keys.KeyIDs(), again.KeyIDs()) {
			t.Errorf("%s, then %s: %v", written, rewritten, err)
		}
	})
}

// FuzzDecode holds that an object that is taken means the same to the standard
// decoder, names no member twice in any case, and loses nothing when it is
// written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"a","aud":["b",{"c":null}]}`, `{"a":1,"A":2}`, `{"a":{"b":1,"b":1}}`, `{"\u0061":1,"a":2}`, `{"ſ":1,"s":2}`, `{"K":1,"k":2}`,
		`{"a":1}{}`, `{"a":1e400}`, `{"a":"\ud800"}`, "{\"\xff\":1,\"\xfe\":2}", `[]`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got map[string]any
		if jose.Decode([]byte(text), &got) != nil {
			return
		}
		var standard map[string]any
		if err := json.Unmarshal([]byte(text), &standard); err != nil {
			t.Fatalf("took %q: %v", text, err)
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if expected, err := json.Marshal(standard); err != nil || !bytes.Equal(written, expected) {
			t.Errorf("%q means %s, and %s to the standard decoder", text, written, expected)
		}
		if named, kept := memberNames(t, text), members(got, text, t); named != kept {
			t.Errorf("%q names %d members, %d are kept", text, named, kept)
		}
	})
}

// memberNames counts the member names that stand in a text.
func memberNames(t *testing.T, text string) (n int) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	type open struct{ object, value bool }
	var stack []open
	for decoder.More() || len(stack) > 0 {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if len(stack) > 0 && stack[len(stack)-1].object {
			top := &stack[len(stack)-1]
			if !top.value {
				n++
			}
			top.value = !top.value
		}
		if isDelim {
			stack = append(stack, open{object: delim == '{'})
		}
	}
	return n
}

// members counts the members of a decoded value, of which no two may be one
// name in two cases.
func members(value any, text string, t *testing.T) (n int) {
	t.Helper()
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			n += members(one, text, t)
		}
	case map[string]any:
		names := make([]string, 0, len(v))
		for name, one := range v {
			if slices.ContainsFunc(names, func(known string) bool { return strings.EqualFold(known, name) }) {
				t.Errorf("%q has %q in two cases", text, name)
			}
			names = append(names, name)
			n += 1 + members(one, text, t)
		}
	}
	return n
}
