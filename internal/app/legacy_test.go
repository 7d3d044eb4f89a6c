package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/jose"
)

// TestLegacyTokenThroughTheSDK: the service that was called with a token of a system of
// before calls on with one of this server, and an operator sees who still does.
func TestLegacyTokenThroughTheSDK(t *testing.T) {
	t.Parallel()
	w := setup(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jose.PublicJWK(key.Public(), "old", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.MarshalSet([]jose.JWK{jwk})
	if err != nil {
		t.Fatal(err)
	}
	w.apply("\ncalls:\n", `
legacy_tokens:
  old-sso: { issuer: https://old.test, audience: old-pay, from: market-app.spa, to: pay, scopes: { pay: [charge] }, until: 2027-03-31, jwks: `+string(set)+` }
calls:
`)
	people := []account.Imported{{Email: "old@example.test", Identities: []account.ImportedIdentity{{Issuer: "https://old.test", Subject: "4711"}}}}
	if _, err := w.app.People.Import(t.Context(), people, account.Origin{}); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(key, jose.ES256, "old", "JWT")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": "https://old.test", "sub": "4711", "aud": "old-pay", "exp": w.clock.Now().Add(time.Hour).Unix(), "scope": "pay",
	})
	if err != nil {
		t.Fatal(err)
	}
	old, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.sdk("pay.backend").ExchangeLegacy(t.Context(), old, "https://api.market.test")
	if err != nil || token.Extra("scope") != "items.read" {
		t.Fatalf("%+v, %v", token, err)
	}
	if !strings.Contains(w.metrics(), `sekisho_legacy_exchanges_total{client="pay.backend",legacy="old-sso"} 1`) {
		t.Error("/metrics does not tell of it")
	}
	if strings.Contains(w.log.String(), old) {
		t.Error("the log has the token")
	}
}
