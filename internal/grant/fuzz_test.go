package grant

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// FuzzVerifier holds that a PKCE verifier is right if and only if it has the
// syntax of RFC 7636 §4.1 and its hash is the challenge, and that neither
// stands for the other where one is missing.
func FuzzVerifier(f *testing.F) {
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	f.Add(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
	f.Add(verifier, verifier)
	f.Add("", "")
	f.Add(strings.Repeat("a", 42), "")
	f.Add(strings.Repeat("~", 128), "")
	f.Add(strings.Repeat("a", 129), "")
	f.Add(verifier+"\n", "")
	syntax := regexp.MustCompile(`\A[A-Za-z0-9._~-]{43,128}\z`)
	f.Fuzz(func(t *testing.T, verifier, challenge string) {
		sum := sha256.Sum256([]byte(verifier))
		its := base64.RawURLEncoding.EncodeToString(sum[:])
		if want := syntax.MatchString(verifier); verifies(its, verifier) != want {
			t.Errorf("%q with its own challenge: %t, want %t", verifier, !want, want)
		}
		want := verifier == "" && challenge == "" || challenge == its && syntax.MatchString(verifier)
		if verifies(challenge, verifier) != want {
			t.Errorf("%q with %q: %t, want %t", verifier, challenge, !want, want)
		}
	})
}

// FuzzFamilyOf holds that a refresh token names one family, whatever follows
// the name.
func FuzzFamilyOf(f *testing.F) {
	name := refreshPrefix + strings.Repeat("A", familyEnd-len(refreshPrefix))
	f.Add(name)
	f.Add(name + "x")
	f.Add("sek_rt_")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, token string) {
		family, ok := familyOf(token)
		if want := strings.HasPrefix(token, refreshPrefix) && len(token) > familyEnd; ok != want || ok != (len(family) == sha256.Size) {
			t.Fatalf("%q: %x, %t", token, family, ok)
		}
		if !ok {
			return
		}
		if longer, ok := familyOf(token + "x"); !ok || string(longer) != string(family) {
			t.Errorf("%q and a longer one are of two families", token)
		}
	})
}
