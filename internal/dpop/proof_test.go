package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/dpop"
)

var (
	now     = time.Unix(1_800_000_000, 0)
	request = dpop.Request{Method: "POST", URL: "https://id.test/oauth2/token", Token: "token"}
)

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keysOfEveryKind(t *testing.T) []crypto.Signer {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []crypto.Signer{ecKey(t), rsaKey, edKey}
}

// TestExampleOfTheRFC checks the proof of RFC 9449 figure 2, whose thumbprint stands
// in figure 7.
func TestExampleOfTheRFC(t *testing.T) {
	t.Parallel()
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19." +
		"eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ." +
		"2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	got, err := new(dpop.Checker).Check(proof, dpop.Request{Method: "POST", URL: "https://server.example.com/token"}, time.Unix(1_562_262_616, 0))
	if err != nil {
		t.Fatal(err)
	}
	if got.Thumbprint != "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" || got.ID != "-BwC3ESc6acc2lTc" {
		t.Errorf("%+v", got)
	}
}

// TestKeysOfEveryKindMakeProofs checks what NewKey makes, and that there is no more.
func TestKeysOfEveryKindMakeProofs(t *testing.T) {
	t.Parallel()
	for _, private := range keysOfEveryKind(t) {
		k, err := dpop.NewKey(private)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := k.Proof(request, "nonce", now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := new(dpop.Checker).Check(proof, request, now)
		if err != nil || got.Thumbprint != k.Thumbprint || got.Nonce != "nonce" {
			t.Errorf("%+v, %v", got, err)
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dpop.NewKey(p384); err == nil {
		t.Error("a key on P-384 was taken")
	}
}

// TestSaltOfPS256 is RFC 7518 §3.5: as long as the hash.
func TestSaltOfPS256(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := dpop.NewKey(private)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := key.Proof(request, "", now)
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(proof, '.')
	signature, err := base64.RawURLEncoding.DecodeString(proof[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(proof[:dot]))
	if err := rsa.VerifyPSS(&private.PublicKey, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}); err != nil {
		t.Error(err)
	}
}

// forged signs by hand: header and claims are a good proof's, but for the changes. A
// nil value leaves a member out.
func forged(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	jwk := jose.JSONWebKey{Key: key.Public()}
	h := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
	c := map[string]any{"jti": rand.Text(), "htm": request.Method, "htu": request.URL, "iat": now.Unix(), "ath": dpop.TokenHash(request.Token)}
	maps.Copy(h, header)
	maps.Copy(c, claims)
	segment := func(m map[string]any) string {
		for name, value := range m {
			if value == nil {
				delete(m, name)
			}
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	input := segment(h) + "." + segment(c)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestWhatIsNoProof is row D1 and the negatives of the FAPI 2.0 conformance suite
// (dpop-negative-tests).
func TestWhatIsNoProof(t *testing.T) {
	t.Parallel()
	key, other := ecKey(t), ecKey(t)
	private := map[string]any{}
	text, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil || json.Unmarshal(text, &private) != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	for name, proof := range map[string]string{
		"empty":              "",
		"no JWS":             "x",
		"no typ":             forged(t, key, m{"typ": nil}, nil),
		"another typ":        forged(t, key, m{"typ": "JWT"}, nil),
		"no alg":             forged(t, key, m{"alg": nil}, nil),
		"none":               forged(t, key, m{"alg": "none"}, nil),
		"RS256":              forged(t, key, m{"alg": "RS256"}, nil),
		"no jwk":             forged(t, key, m{"jwk": nil}, nil),
		"a private jwk":      forged(t, key, m{"jwk": private}, nil),
		"a symmetric jwk":    forged(t, key, m{"jwk": m{"kty": "oct", "k": "AAAA"}}, nil),
		"another's jwk":      forged(t, key, m{"jwk": jose.JSONWebKey{Key: other.Public()}}, nil),
		"an unknown crit":    forged(t, key, m{"crit": []string{"x"}, "x": true}, nil),
		"unencoded":          forged(t, key, m{"crit": []string{"b64"}, "b64": false}, nil),
		"no jti":             forged(t, key, nil, m{"jti": nil}),
		"a long jti":         forged(t, key, nil, m{"jti": strings.Repeat("x", 257)}),
		"no htm":             forged(t, key, nil, m{"htm": nil}),
		"htm in small":       forged(t, key, nil, m{"htm": "post"}),
		"no htu":             forged(t, key, nil, m{"htu": nil}),
		"another htu":        forged(t, key, nil, m{"htu": "https://id.test/oauth2/par"}),
		"htu with user":      forged(t, key, nil, m{"htu": "https://id.test@evil.test/oauth2/token"}),
		"htu, path in caps":  forged(t, key, nil, m{"htu": "https://id.test/oauth2/TOKEN"}),
		"htu, another port":  forged(t, key, nil, m{"htu": "https://id.test:8443/oauth2/token"}),
		"no iat":             forged(t, key, nil, m{"iat": nil}),
		"an iat of text":     forged(t, key, nil, m{"iat": "now"}),
		"an old iat":         forged(t, key, nil, m{"iat": now.Add(-time.Hour).Unix()}),
		"an iat ahead":       forged(t, key, nil, m{"iat": now.Add(time.Hour).Unix()}),
		"an iat beyond":      forged(t, key, nil, m{"iat": 1e300}),
		"no ath":             forged(t, key, nil, m{"ath": nil}),
		"another ath":        forged(t, key, nil, m{"ath": dpop.TokenHash("other")}),
		"a broken signature": forged(t, key, nil, nil)[:100],
		"a JSON form":        `{"payload":"","signatures":[]}`,
	} {
		if _, err := new(dpop.Checker).Check(proof, request, now); !errors.Is(err, dpop.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Signed with the bytes of the public key as a secret.
	mac := hmac.New(sha256.New, []byte("k"))
	parts := strings.Split(forged(t, key, m{"alg": "HS256"}, nil), ".")
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if _, err := new(dpop.Checker).Check(parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), request, now); !errors.Is(err, dpop.ErrInvalid) {
		t.Errorf("HS256: %v", err)
	}
}

// TestWhatProofsMayHave is what must be taken besides.
func TestWhatProofsMayHave(t *testing.T) {
	t.Parallel()
	key := ecKey(t)
	type m = map[string]any
	for name, proof := range map[string]string{
		"typ in capitals":       forged(t, key, m{"typ": "DPOP+JWT"}, nil),
		"other headers":         forged(t, key, m{"kid": "k", "x": m{"y": 1}}, nil),
		"other claims":          forged(t, key, nil, m{"x": m{"y": 1}, "nbf": now.Unix(), "exp": now.Unix() + 60}),
		"htu in capitals":       forged(t, key, nil, m{"htu": "HTTPS://ID.TEST/oauth2/token"}),
		"htu with its port":     forged(t, key, nil, m{"htu": "https://id.test:443/oauth2/token"}),
		"htu with a query":      forged(t, key, nil, m{"htu": "https://id.test/oauth2/token?a=b"}),
		"htu with a fragment":   forged(t, key, nil, m{"htu": "https://id.test/oauth2/token#a"}),
		"a fraction of iat":     forged(t, key, nil, m{"iat": float64(now.Unix()) + 0.5}),
		"ten seconds ago":       forged(t, key, nil, m{"iat": now.Add(-10 * time.Second).Unix()}),
		"ten seconds to come":   forged(t, key, nil, m{"iat": now.Add(10 * time.Second).Unix()}),
		"sixty seconds ago":     forged(t, key, nil, m{"iat": now.Add(-60 * time.Second).Unix()}),
		"sixty seconds to come": forged(t, key, nil, m{"iat": now.Add(60 * time.Second).Unix()}),
	} {
		if _, err := new(dpop.Checker).Check(proof, request, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKnownHeaders: a header that was seen before is believed no more than at first:
// not with another signature, not cut short, not by another key of any kind.
func TestKnownHeaders(t *testing.T) {
	t.Parallel()
	for _, private := range keysOfEveryKind(t) {
		var checker dpop.Checker
		key, err := dpop.NewKey(private)
		if err != nil {
			t.Fatal(err)
		}
		next := func() string {
			proof, err := key.Proof(request, "", now)
			if err != nil {
				t.Fatal(err)
			}
			return proof
		}
		first := next()
		for i, proof := range []string{first, next(), next()} {
			if got, err := checker.Check(proof, request, now); err != nil || got.Thumbprint != key.Thumbprint {
				t.Fatalf("%T, proof %d: %v", private, i, err)
			}
		}
		parts, others := strings.Split(first, "."), strings.Split(next(), ".")
		for name, forged := range map[string]string{
			"another's signature": parts[0] + "." + parts[1] + "." + others[2],
			"no signature":        parts[0] + "." + parts[1] + ".",
			"half a signature":    parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])/2],
			"no payload":          parts[0] + ".." + parts[2],
			"the header alone":    parts[0],
			"two parts":           parts[0] + "." + parts[1],
			"four parts":          first + "." + parts[2],
			"zeros":               parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
			"another spelling":    first + "=",
		} {
			if _, err := checker.Check(forged, request, now); !errors.Is(err, dpop.ErrInvalid) {
				t.Errorf("%T: %s: %v", private, name, err)
			}
		}
	}
}

// FuzzCheck sends each input to one who knows the header and to one who does not: both
// must say the same.
func FuzzCheck(f *testing.F) {
	key := ecKey(f)
	good := forged(f, key, nil, nil)
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, compact string) {
		var knows dpop.Checker
		if _, err := knows.Check(good, request, now); err != nil {
			t.Fatal(err)
		}
		proof, err := new(dpop.Checker).Check(compact, request, now)
		if _, again := knows.Check(compact, request, now); (err == nil) != (again == nil) {
			t.Errorf("%v, and by who knows the header %v", err, again)
		}
		if (proof == nil) == (err == nil) || err != nil && !errors.Is(err, dpop.ErrInvalid) {
			t.Errorf("%+v, %v", proof, err)
		}
	})
}

func TestNoncesAreKnownByEveryReplicaForMinutes(t *testing.T) {
	t.Parallel()
	one, same, other := dpop.Nonces{Key: []byte("key")}, dpop.Nonces{Key: []byte("key")}, dpop.Nonces{Key: []byte("other")}
	nonce := one.At(now)
	for after, fresh := range map[time.Duration]bool{-time.Minute: true, 0: true, 5 * time.Minute: true, 7 * time.Minute: false, -3 * time.Minute: false} {
		if same.Fresh(nonce, now.Add(after)) != fresh {
			t.Errorf("%v after: want %v", after, fresh)
		}
	}
	for _, foreign := range []string{"", "x", other.At(now), nonce + "A", nonce[:len(nonce)-1]} {
		if one.Fresh(foreign, now) {
			t.Errorf("%q was taken", foreign)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	proof := forged(b, ecKey(b), nil, nil)
	var checker dpop.Checker
	for b.Loop() {
		if _, err := checker.Check(proof, request, now); err != nil {
			b.Fatal(err)
		}
	}
}
