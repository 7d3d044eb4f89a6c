package clientcert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/clientcert"
)

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestFromHeader(t *testing.T) {
	t.Parallel()
	made := certificate(t)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Raw}))
	for name, value := range map[string]string{
		"RFC 9440": ":" + base64.StdEncoding.EncodeToString(made.Raw) + ":",
		"nginx":    url.PathEscape(text),
		"Envoy":    strings.ReplaceAll(url.QueryEscape(text), "+", "%20"),
	} {
		got, err := clientcert.FromHeader(value)
		if err != nil || !got.Equal(made) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := clientcert.FromHeader(""); got != nil || err != nil {
		t.Errorf("empty: %v, %v", got, err)
	}
	for name, value := range map[string]string{
		"garbage":      "garbage",
		"half an item": ":AAAA",
		"no base64":    ":?:",
		"no escapes":   "%zz",
		"a key":        url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: made.Raw}))),
		"two":          url.PathEscape(text + text),
		"long":         ":" + strings.Repeat("A", 20<<10) + ":",
	} {
		if got, err := clientcert.FromHeader(value); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzFromHeader(f *testing.F) {
	made := certificate(f)
	f.Add(":" + base64.StdEncoding.EncodeToString(made.Raw) + ":")
	f.Add(url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Raw}))))
	f.Fuzz(func(t *testing.T, value string) {
		got, err := clientcert.FromHeader(value)
		if value != "" && (got == nil) == (err == nil) {
			t.Errorf("%v, %v", got, err)
		}
	})
}
