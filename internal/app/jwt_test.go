package app_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

var b64 = base64.RawURLEncoding

// segment is one decoded part of a JWT.
func segment(t testing.TB, jwt string, i int) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", jwt)
	}
	data, err := b64.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// unsignedJWT is a JWT with the algorithm none.
func unsignedJWT(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return b64.EncodeToString([]byte(`{"alg":"none"}`)) + "." + b64.EncodeToString(payload) + "."
}

// foreignJWT is a JWT with the header and the claims of one of ours, signed
// with a key of nobody's.
func foreignJWT(t testing.TB, jwt string) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	input := []byte(parts[0] + "." + parts[1])
	if decode[map[string]any](t, segment(t, jwt, 0))["alg"] == "RS256" {
		digest := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(rand.Reader, foreignRSA(), crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(input) + "." + b64.EncodeToString(signature)
	}
	return string(input) + "." + b64.EncodeToString(signES256(t, foreignEC(), input))
}

// foreignRSA and foreignEC are keys that no server and no client has.
var (
	foreignRSA = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
	foreignEC = sync.OnceValue(func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
)

// signES256 is the signature of RFC 7518 §3.4 over the input.
func signES256(t testing.TB, key *ecdsa.PrivateKey, input []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature
}

func encode(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
