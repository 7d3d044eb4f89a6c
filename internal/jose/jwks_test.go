package jose_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/jose"
)

func jwk(t testing.TB, key crypto.Signer, kid string, alg jose.Alg) jose.JWK {
	t.Helper()
	k, err := jose.PublicJWK(key.Public(), kid, alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// set writes a key set with members added to or replaced in each key.
func set(t testing.TB, changes map[string]any, keys ...jose.JWK) string {
	t.Helper()
	texts := make([]string, 0, len(keys))
	for _, k := range keys {
		members := map[string]any{}
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		for name, value := range changes {
			members[name] = value
		}
		if text, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return `{"keys":[` + strings.Join(texts, ",") + `]}`
}

func parse(t testing.TB, text string) *jose.JWKS {
	t.Helper()
	s, err := jose.ParseJWKS([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func allAlgs() []jose.Alg {
	return []jose.Alg{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA}
}

func TestJWKSVerify(t *testing.T) {
	t.Parallel()
	for alg, key := range everyKey(t) {
		s := parse(t, set(t, nil, jwk(t, ecKey(t, elliptic.P256()), "other", jose.ES256), jwk(t, key, "k1", alg)))
		for _, kid := range []string{"k1", ""} {
			payload, header, err := s.Verify(sign(t, key, alg, kid, "JWT", claims), allAlgs())
			if err != nil || string(payload) != claims {
				t.Fatalf("%s, kid %q: %q, %v", alg, kid, payload, err)
			}
			if want := (jose.Header{Alg: alg, KeyID: kid, Typ: "JWT"}); header != want {
				t.Errorf("header %+v, want %+v", header, want)
			}
		}
	}
}

// forge makes a token with any header text, signed over it.
func forge(t testing.TB, key crypto.Signer, header string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	// A signer with this header does not exist, so the signature is made here.
	digest := sha256.Sum256([]byte(input))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(signature)
}

// K6 at the tokens of others.
func TestJWKSRefusesAlgorithms(t *testing.T) {
	t.Parallel()
	ec, p384 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384())
	rsaJWK, ecJWK := jwk(t, rsaKey(), "r", jose.RS256), jwk(t, ec, "e", jose.ES256)
	s := parse(t, set(t, nil, rsaJWK, ecJWK))
	payload := b64.EncodeToString([]byte(claims))
	unsigned := func(alg string) string {
		return b64.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + payload + "."
	}
	zero := b64.EncodeToString([]byte(`{"alg":"ES256"}`)) + "." + payload + "." + b64.EncodeToString(make([]byte, 64))

	tokens := map[string]string{
		"none": unsigned("none"), "None": unsigned("None"), "nOnE": unsigned("nOnE"), "no alg": unsigned(""),
		"alg is a number":                      b64.EncodeToString([]byte(`{"alg":1}`)) + "." + payload + ".",
		"empty signature":                      unsigned("ES256"),
		"r and s of zero":                      zero,
		"PS256 header over an RS256 signature": forge(t, rsaKey(), `{"alg":"PS256","kid":"r"}`),
		"RS256 for the EC key":                 forge(t, rsaKey(), `{"alg":"RS256","kid":"e"}`),
		"ES256 for the RSA key":                sign(t, ec, jose.ES256, "r", "JWT", claims),
		"ES256 with a P-384 key":               forge(t, p384, `{"alg":"ES256"}`),
		"ASN.1 signature":                      forge(t, ec, `{"alg":"ES256","kid":"e"}`),
		"RS384":                                forge(t, rsaKey(), `{"alg":"RS384","kid":"r"}`),
		"another key":                          sign(t, ecKey(t, elliptic.P256()), jose.ES256, "e", "JWT", claims),
	}
	for name, key := range publicBytes(t, rsaKey().Public(), rsaJWK) {
		input := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + payload
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		tokens["HS256 with the "+name] = input + "." + b64.EncodeToString(mac.Sum(nil))
	}
	for name, token := range tokens {
		if payload, _, err := s.Verify(token, allAlgs()); err == nil || payload != nil {
			t.Errorf("%s: %q, %v", name, payload, err)
		}
	}
	if _, _, err := s.Verify(sign(t, rsaKey(), jose.RS256, "r", "JWT", claims), []jose.Alg{jose.ES256, jose.PS256}); !errors.Is(err, jose.ErrHeader) {
		t.Errorf("an algorithm that the caller does not allow: %v", err)
	}
	if _, _, err := s.Verify(sign(t, ec, jose.ES256, "unknown", "JWT", claims), allAlgs()); !errors.Is(err, jose.ErrKey) {
		t.Errorf("unknown kid: %v", err)
	}
}

// publicBytes are the texts of a public key that a careless verifier could
// take for an HMAC secret.
func publicBytes(t testing.TB, pub crypto.PublicKey, k jose.JWK) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"DER":      der,
		"PEM":      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"JWK text": text,
		"modulus":  pub.(*rsa.PublicKey).N.Bytes(),
		"nothing":  {},
	}
}

// K7 at the tokens of others: the signature is right, the header is not.
func TestJWKSRefusesHeaders(t *testing.T) {
	t.Parallel()
	s := parse(t, set(t, nil, jwk(t, rsaKey(), "r", jose.RS256)))
	own, err := json.Marshal(jwk(t, rsaKey(), "r", jose.RS256))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Verify(forge(t, rsaKey(), `{"alg":"RS256","kid":"r","x5t":"AAAA"}`), allAlgs()); err != nil {
		t.Fatalf("a harmless member: %v", err)
	}
	for name, members := range map[string]string{
		"jku":               `"jku":"https://evil.example/jwks"`,
		"x5u":               `"x5u":"https://evil.example/cert"`,
		"x5c":               `"x5c":["AAAA"]`,
		"x5c empty":         `"x5c":[]`,
		"jwk":               `"jwk":` + string(own),
		"jwk null":          `"jwk":null`,
		"crit unknown":      `"crit":["exp"],"exp":1`,
		"crit b64":          `"crit":["b64"],"b64":true`,
		"b64":               `"b64":false`,
		"zip":               `"zip":"DEF"`,
		"enc":               `"enc":"A256GCM"`,
		"nested":            `"cty":"JWT"`,
		"alg twice":         `"alg":"RS256"`,
		"alg in two cases":  `"ALG":"none"`,
		"kid twice":         `"kid":"r"`,
		"too long":          `"x":"` + strings.Repeat("x", 1<<10) + `"`,
		"kid of wrong type": `"typ":["JWT"]`,
		"too deep":          `"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20),
	} {
		token := forge(t, rsaKey(), `{"alg":"RS256","kid":"r",`+members+`}`)
		if payload, _, err := s.Verify(token, allAlgs()); err == nil || payload != nil {
			t.Errorf("%s: %q, %v", name, payload, err)
		}
	}
	good := sign(t, rsaKey(), jose.RS256, "r", "JWT", claims)
	for name, token := range map[string]string{
		"empty":            "",
		"unused bits set":  good[:len(good)-1] + bump(good[len(good)-1]),
		"JWE":              "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA",
		"JSON":             `{"payload":"e30","signatures":[]}`,
		"header no object": forge(t, rsaKey(), `["alg"]`),
		"header and more":  forge(t, rsaKey(), `{"alg":"RS256"}{}`),
		"line breaks":      strings.Replace(sign(t, rsaKey(), jose.RS256, "r", "JWT", claims), ".", ".\r\n", 1),
		"16 KiB":           strings.Repeat("A", 16<<10) + ".A.A",
		"claims of 9 KiB":  b64.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + strings.Repeat("A", 12<<10) + ".AAAA",
	} {
		if payload, _, err := s.Verify(token, allAlgs()); err == nil || payload != nil {
			t.Errorf("%s: %q, %v", name, payload, err)
		}
	}
}

// K5: a key is used only for what it says it is for.
func TestJWKSKeyUse(t *testing.T) {
	t.Parallel()
	key := rsaKey()
	k := jwk(t, key, "k", jose.RS256)
	for name, c := range map[string]struct {
		changes map[string]any
		fine    bool
	}{
		"sig":           {map[string]any{"use": "sig"}, true},
		"verify":        {map[string]any{"key_ops": []string{"verify"}}, true},
		"no alg":        {map[string]any{"alg": ""}, true},
		"encryption":    {map[string]any{"use": "enc"}, false},
		"wrap":          {map[string]any{"key_ops": []string{"wrapKey"}}, false},
		"PS256 only":    {map[string]any{"alg": "PS256"}, false},
		"OAEP":          {map[string]any{"alg": "RSA-OAEP"}, false},
		"a certificate": {map[string]any{"x5c": []string{"nonsense"}, "x5u": "https://evil.example"}, true},
	} {
		text := set(t, nil, jwk(t, ecKey(t, elliptic.P256()), "e", jose.ES256))
		text = strings.TrimSuffix(text, "]}") + "," + strings.TrimPrefix(set(t, c.changes, k), `{"keys":[`)
		_, _, err := parse(t, text).Verify(sign(t, key, jose.RS256, "k", "JWT", claims), allAlgs())
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// K10: sets that a client may not register.
func TestParseJWKSRefuses(t *testing.T) {
	t.Parallel()
	ec, rs := jwk(t, ecKey(t, elliptic.P256()), "e", jose.ES256), jwk(t, rsaKey(), "r", jose.RS256)
	exponent := func(e int64) string { return b64.EncodeToString(big.NewInt(e).Bytes()) }
	modulus := func(bits uint) string {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return b64.EncodeToString(n.SetBit(n, 0, 1).Bytes())
	}
	many := make([]jose.JWK, 21)
	for i := range many {
		many[i] = ec
	}
	for name, c := range map[string]struct{ text, says string }{
		"not JSON":         {`keys`, "JSON"},
		"no object":        {`[]`, "not an object"},
		"two objects":      {`{"keys":[]}{"keys":[]}`, "follows"},
		"keys twice":       {`{"keys":[],"keys":[]}`, "twice"},
		"keys and KEYS":    {`{"keys":[],"KEYS":[]}`, "twice"},
		"no keys":          {`{"keys":[]}`, "no key"},
		"KEYS":             {strings.Replace(set(t, nil, ec), "keys", "KEYS", 1), "no key"},
		"unknown kind":     {`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}]}`, "no key"},
		"for encryption":   {set(t, map[string]any{"use": "enc"}, ec), "no key"},
		"21 keys":          {set(t, nil, many...), "at most 20"},
		"64 KiB":           {set(t, map[string]any{"x": strings.Repeat("A", 64<<10)}, ec), "bytes"},
		"symmetric":        {`{"keys":[{"kty":"oct"}]}`, "symmetric"},
		"symmetric, k":     {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, "private"},
		"symmetric beside": {strings.Replace(set(t, nil, ec), "[", `[{"kty":"oct","k":"AAAA"},`, 1), "private"},
		"1024 bits":        {set(t, map[string]any{"n": modulus(1024)}, rs), "2048"},
		"2047 bits":        {set(t, map[string]any{"n": modulus(2047)}, rs), "2048"},
		"8192 bits":        {set(t, map[string]any{"n": modulus(8192)}, rs), "4096"},
		"exponent 0":       {set(t, map[string]any{"e": "AA"}, rs), "exponent"},
		"exponent 1":       {set(t, map[string]any{"e": exponent(1)}, rs), "exponent"},
		"exponent 2":       {set(t, map[string]any{"e": exponent(2)}, rs), "exponent"},
		"even exponent":    {set(t, map[string]any{"e": exponent(65536)}, rs), "exponent"},
		"huge exponent":    {set(t, map[string]any{"e": exponent(1<<33 + 1)}, rs), "exponent"},
		"longer than int":  {set(t, map[string]any{"e": b64.EncodeToString(append(make([]byte, 20), append([]byte{1}, make([]byte, 9)...)...)) + "AQAB"}, rs), "exponent"},
		"no exponent":      {set(t, map[string]any{"e": ""}, rs), "exponent"},
		"no modulus":       {set(t, map[string]any{"n": ""}, rs), "key 1"},
		"off the curve":    {set(t, map[string]any{"x": b64.EncodeToString(make([]byte, 32))}, ec), "key 1"},
		"no y":             {set(t, map[string]any{"y": ""}, ec), "key 1"},
		"short x":          {set(t, map[string]any{"x": "AAAA"}, ec), "key 1"},
		"short Ed25519":    {`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, "key 1"},
		"P-384":            {`{"keys":[{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}]}`, "no key"},
	} {
		_, err := jose.ParseJWKS([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", name, err, c.says)
		}
	}
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		for _, value := range []any{"AAAA", nil, ""} {
			_, err := jose.ParseJWKS([]byte(set(t, map[string]any{member: value}, ec)))
			if err == nil || !strings.Contains(err.Error(), "private") {
				t.Errorf("member %s of %v: %v", member, value, err)
			}
		}
	}
}

func TestJWKSKeepsOnlyPublicMembers(t *testing.T) {
	t.Parallel()
	ec := jwk(t, ecKey(t, elliptic.P256()), "e", jose.ES256)
	s := parse(t, set(t, map[string]any{"note": "mine", "x5u": "https://x.example"}, ec))
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := set(t, nil, ec); !sameJSON(t, string(text), want) {
		t.Errorf("got %s, want %s", text, want)
	}
	if ids := s.KeyIDs(); len(ids) != 1 || ids[0] != "e" {
		t.Errorf("ids %q", ids)
	}
}

func sameJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// RFC 7638 §3.1.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	k := jose.JWK{Kty: "RSA", Alg: "RS256", Kid: "2011-04-29", E: "AQAB", N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAt" +
		"VT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qv" +
		"zqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBn" +
		"iIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
	got, err := k.Thumbprint()
	if err != nil || got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("%q, %v", got, err)
	}
	// RFC 8037 appendix A.3.
	k = jose.JWK{Kty: "OKP", Crv: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
	if got, err = k.Thumbprint(); err != nil || got != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (jose.JWK{Kty: "oct"}).Thumbprint(); err == nil {
		t.Error("a symmetric key has a thumbprint")
	}
}
