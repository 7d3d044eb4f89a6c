package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/jose"
)

var b64 = base64.RawURLEncoding

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey is made once, since it takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key crypto.Signer, alg jose.Alg, kid, typ, claims string) string {
	t.Helper()
	signer, err := jose.NewSigner(key, alg, kid, typ)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifier(t testing.TB, key crypto.Signer, alg jose.Alg, kid, typ string) *jose.Verifier {
	t.Helper()
	v, err := jose.NewVerifier(key.Public(), alg, kid, typ)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func everyKey(t testing.TB) map[jose.Alg]crypto.Signer {
	t.Helper()
	return map[jose.Alg]crypto.Signer{
		jose.ES256: ecKey(t, elliptic.P256()), jose.RS256: rsaKey(), jose.PS256: rsaKey(), jose.EdDSA: edKey(t),
	}
}

const claims = `{"iss":"https://id.example"}`

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	for alg, key := range everyKey(t) {
		v := verifier(t, key, alg, "k1", "at+jwt")
		for range 600 { // r and s of every length
			token := sign(t, key, alg, "k1", "at+jwt", claims)
			got, err := v.Verify(token)
			if err != nil || string(got) != claims {
				t.Fatalf("%s: %q, %v", alg, got, err)
			}
			if jose.HeaderSegment(token) != v.HeaderSegment() {
				t.Fatalf("%s: header segments differ", alg)
			}
			if alg != jose.ES256 {
				break
			}
		}
	}
}

// Another implementation reads what we write.
func TestSignedTokensAreStandard(t *testing.T) {
	t.Parallel()
	for alg, key := range everyKey(t) {
		token, err := gojose.ParseSignedCompact(sign(t, key, alg, "k1", "at+jwt", claims), []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		payload, err := token.Verify(key.Public())
		if err != nil || string(payload) != claims {
			t.Errorf("%s: %q, %v", alg, payload, err)
		}
		header := token.Signatures[0].Protected
		if header.KeyID != "k1" || header.ExtraHeaders["typ"] != "at+jwt" {
			t.Errorf("%s: header %+v", alg, header)
		}
	}
}

// RFC 7515 appendix A.3, with the header that the example has.
func TestVerifyRFC7515ExampleES256(t *testing.T) {
	t.Parallel()
	set, err := jose.ParseJWKS([]byte(`{"keys":[{"kty":"EC","crv":"P-256",
		"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	payload, _, err := set.Verify("eyJhbGciOiJFUzI1NiJ9"+
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"+
		".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", []jose.Alg{jose.ES256})
	if err != nil || !strings.Contains(string(payload), `"iss":"joe"`) {
		t.Errorf("%q, %v", payload, err)
	}
}

// K6, K7, K12 at the tokens of our own: nothing but the one header and a
// signature of the one key is taken.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	key, other := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	v := verifier(t, key, jose.ES256, "k1", "at+jwt")
	good := sign(t, key, jose.ES256, "k1", "at+jwt", claims)
	segments := strings.Split(good, ".")
	header, payload, signature := segments[0], segments[1], segments[2]
	withHeader := func(text string) string {
		return b64.EncodeToString([]byte(text)) + "." + payload + "." + signature
	}
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"empty":               {"", jose.ErrHeader},
		"dots":                {"..", jose.ErrHeader},
		"header only":         {header, jose.ErrHeader},
		"header and dot":      {header + ".", jose.ErrMalformed},
		"no signature":        {header + "." + payload, jose.ErrMalformed},
		"empty signature":     {header + "." + payload + ".", jose.ErrSignature},
		"zero signature":      {header + "." + payload + "." + b64.EncodeToString(make([]byte, 64)), jose.ErrSignature},
		"short signature":     {header + "." + payload + "." + b64.EncodeToString(make([]byte, 63)), jose.ErrSignature},
		"long signature":      {header + "." + payload + "." + b64.EncodeToString(make([]byte, 65)), jose.ErrSignature},
		"padding":             {good + "==", jose.ErrMalformed},
		"line break":          {header + "." + payload[:4] + "\n" + payload[4:] + "." + signature, jose.ErrMalformed},
		"another payload":     {header + "." + b64.EncodeToString([]byte(`{"iss":"x"}`)) + "." + signature, jose.ErrSignature},
		"four segments":       {good + ".x", jose.ErrMalformed},
		"another key":         {sign(t, other, jose.ES256, "k1", "at+jwt", claims), jose.ErrSignature},
		"another kid":         {sign(t, key, jose.ES256, "k2", "at+jwt", claims), jose.ErrHeader},
		"an ID token":         {sign(t, key, jose.ES256, "k1", "JWT", claims), jose.ErrHeader},
		"RS256":               {sign(t, rsaKey(), jose.RS256, "k1", "at+jwt", claims), jose.ErrHeader},
		"none":                {withHeader(`{"alg":"none","kid":"k1","typ":"at+jwt"}`), jose.ErrHeader},
		"none, no signature":  {b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + payload + ".", jose.ErrHeader},
		"HS256":               {withHeader(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`), jose.ErrHeader},
		"another order":       {withHeader(`{"typ":"at+jwt","alg":"ES256","kid":"k1"}`), jose.ErrHeader},
		"a header more":       {withHeader(`{"alg":"ES256","kid":"k1","typ":"at+jwt","jku":"https://x.example"}`), jose.ErrHeader},
		"beyond all measure":  {header + "." + strings.Repeat("A", 16<<10) + "." + signature, jose.ErrMalformed},
		"claims of 9 KiB":     {header + "." + strings.Repeat("A", 12<<10) + "." + signature, jose.ErrMalformed},
		"white space before":  {" " + good, jose.ErrHeader},
		"white space after":   {good + " ", jose.ErrMalformed},
		"JSON serialization":  {`{"payload":"` + payload + `"}`, jose.ErrHeader},
		"unused bits are set": {good[:len(good)-1] + bump(good[len(good)-1]), jose.ErrMalformed},
	} {
		if got, err := v.Verify(c.token); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %q, %v, want %v", name, got, err, c.want)
		}
	}
}

// bump sets an unused bit of the last base64 character of 64 bytes.
func bump(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)|1])
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the point of the test
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key crypto.Signer
		alg jose.Alg
	}{
		"P-384 for ES256":  {ecKey(t, elliptic.P384()), jose.ES256},
		"RSA for ES256":    {rsaKey(), jose.ES256},
		"EC for RS256":     {ecKey(t, elliptic.P256()), jose.RS256},
		"EC for EdDSA":     {ecKey(t, elliptic.P256()), jose.EdDSA},
		"1024 bits":        {small, jose.RS256},
		"1024 bits, PS256": {small, jose.PS256},
		"none":             {rsaKey(), "none"},
		"HS256":            {rsaKey(), "HS256"},
	} {
		if _, err := jose.NewSigner(c.key, c.alg, "k", "JWT"); err == nil {
			t.Errorf("%s: a signer is made", name)
		}
		if _, err := jose.NewVerifier(c.key.Public(), c.alg, "k", "JWT"); err == nil {
			t.Errorf("%s: a verifier is made", name)
		}
		if _, err := jose.PublicJWK(c.key.Public(), "k", c.alg); err == nil {
			t.Errorf("%s: a JWK is made", name)
		}
	}
}

func TestSignRefusesWhatVerifiersWould(t *testing.T) {
	t.Parallel()
	signer, err := jose.NewSigner(ecKey(t, elliptic.P256()), jose.ES256, "k", "JWT")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(make([]byte, 8<<10+1)); err == nil {
		t.Error("9 KiB of claims are signed")
	}
	if _, err := jose.NewSigner(ecKey(t, elliptic.P256()), jose.ES256, strings.Repeat("k", 2000), "JWT"); err == nil {
		t.Error("a header of 2 KB is prepared")
	}
}

func BenchmarkSignES256(b *testing.B) {
	signer, err := jose.NewSigner(ecKey(b, elliptic.P256()), jose.ES256, "k1", "at+jwt")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signer.Sign([]byte(claims)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyES256(b *testing.B) {
	key := ecKey(b, elliptic.P256())
	v, token := verifier(b, key, jose.ES256, "k1", "at+jwt"), sign(b, key, jose.ES256, "k1", "at+jwt", claims)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
