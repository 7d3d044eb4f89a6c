package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// forgeries are what a careful attacker makes of a good JWT whose public key is
// known, by how it was made (checks K6 and K7). Keys that a header names lie at
// the attacker's URL.
func forgeries(t testing.TB, good string, key gojose.JSONWebKey, attacker string) map[string]string {
	t.Helper()
	parts := strings.Split(good, ".")
	header := decode[map[string]any](t, segment(t, good, 0))
	alg, _ := header["alg"].(string)
	with := func(changes ...any) string { // the header's segment, changed
		changed := map[string]any{}
		for name, value := range header {
			changed[name] = value
		}
		for i := 0; i < len(changes); i += 2 {
			name, _ := changes[i].(string)
			changed[name] = changes[i+1]
		}
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return b64.EncodeToString(text)
	}
	made := map[string]string{}
	for _, none := range []string{"none", "None", "nOnE", "NONE", ""} {
		made["alg "+none+" without signature"] = with("alg", none) + "." + parts[1] + "."
		made["alg "+none+" with the signature"] = with("alg", none) + "." + parts[1] + "." + parts[2]
	}
	for name, secret := range publicTexts(t, key) {
		for _, label := range []string{"HS256", alg} {
			input := with("alg", label) + "." + parts[1]
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			made["the public key as "+name+" as a secret, alg "+label] = input + "." + b64.EncodeToString(mac.Sum(nil))
		}
	}
	foreign := gojose.JSONWebKey{Key: foreignEC().Public(), KeyID: key.KeyID, Algorithm: "ES256", Use: "sig"}
	for name, members := range map[string][]any{
		"another key":               nil,
		"a key it brings":           {"jwk", foreign},
		"a key set it names":        {"jku", attacker + "/jwks"},
		"a certificate it names":    {"x5u", attacker + "/cert"},
		"a certificate it brings":   {"x5c", []string{"MIIB"}},
		"another key, other kid":    {"kid", "../../dev/null"},
		"another key, kid as a URL": {"kid", attacker + "/key"},
	} {
		made[name] = sign(t, with(append([]any{"alg", "ES256"}, members...)...), parts[1])
	}
	for name, members := range map[string][]any{
		"a critical extension": {"crit", []string{"exp"}},
		"b64 false":            {"crit", []string{"b64"}, "b64", false},
		"compressed":           {"zip", "DEF"},
		"nested":               {"cty", "JWT"},
		"RS256":                {"alg", "RS256"},
		"PS256":                {"alg", "PS256"},
		"ES256":                {"alg", "ES256"},
		"ES384":                {"alg", "ES384"},
		"EdDSA":                {"alg", "EdDSA"},
		"a typ of its own":     {"typ", "secevent+jwt"},
		"a logout token":       {"typ", "logout+jwt"},
	} {
		if members[1] != alg {
			made[name] = with(members...) + "." + parts[1] + "." + parts[2]
		}
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.ES384, Key: gojose.JSONWebKey{Key: p384, KeyID: key.KeyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(segment(t, good, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if made["P-384"], err = signed.CompactSerialize(); err != nil {
		t.Fatal(err)
	}
	made["a signature of zeros"] = parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
	made["an empty signature"] = parts[0] + "." + parts[1] + "."
	made["another payload"] = parts[0] + "." + b64.EncodeToString([]byte(strings.Replace(segment(t, good, 1), `"exp":1`, `"exp":9`, 1))) + "." + parts[2]
	made["a member twice"] = b64.EncodeToString([]byte(`{"alg":"none",`+segment(t, good, 0)[1:])) + "." + parts[1] + "." + parts[2]
	made["JWE"] = b64.EncodeToString([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + "..AAAA.AAAA.AAAA"
	made["JSON"] = `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
	made["padding"] = good + "="
	made["a part more"] = good + ".AAAA"
	made["a line break"] = parts[0] + "." + parts[1] + ".\n" + parts[2]
	return made
}

// publicTexts are the ways to write down a public key.
func publicTexts(t testing.TB, key gojose.JSONWebKey) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Key)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": jwk}
}

// sign signs with the attacker's key.
func sign(t testing.TB, header, payload string) string {
	t.Helper()
	return header + "." + payload + "." + b64.EncodeToString(signES256(t, foreignEC(), []byte(header+"."+payload)))
}

// publishedKey is the key that signed a token of the server, as anybody finds
// it.
func (w *world) publishedKey(jwt string) gojose.JSONWebKey {
	w.t.Helper()
	kid, _ := decode[map[string]any](w.t, segment(w.t, jwt, 0))["kid"].(string)
	set := decode[gojose.JSONWebKeySet](w.t, w.browser().get("/oauth2/jwks").body)
	if keys := set.Key(kid); len(keys) == 1 {
		return keys[0]
	}
	w.t.Fatalf("no key %s", kid)
	return gojose.JSONWebKey{}
}

// attacker is a web server that must never be called.
func attacker(t testing.TB) (address string) {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(func() {
		server.Close()
		if n := calls.Load(); n > 0 {
			t.Errorf("the server made %d calls to where a request said", n)
		}
	})
	return server.URL
}

// TestForgedAccessTokensPassNowhere: at userinfo, introspection, exchange,
// conversion and revocation.
func TestForgedAccessTokensPassNowhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	spa, payments := &relyingParty{w: w, id: "market-app.spa", redirect: "https://market.test/callback"}, &relyingParty{w: w, id: "pay.backend"}
	b := w.signedIn()
	code := spa.code(b, spa.open(b, "scope", "openid charge", "code_challenge", challenge, "code_challenge_method", "S256"), usualState)
	good := decode[tokens](t, w.public("grant_type", "authorization_code", "client_id", spa.id, "code", code, "redirect_uri", spa.redirect, "code_verifier", verifier).body).AccessToken
	active := func() bool {
		return decode[map[string]any](t, payments.post("/oauth2/introspect", "token", good).body)["active"] == true
	}
	if !active() {
		t.Fatal("the good token is not active")
	}
	for name, forged := range forgeries(t, good, w.publishedKey(good), attacker(t)) {
		for _, path := range []string{"/oauth2/userinfo", "/subjects/convert"} {
			if strings.Contains(forged, "\n") {
				continue // no header can carry it
			}
			a := w.bearer(http.MethodPost, path, forged)
			if a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest || decode[map[string]any](t, a.body)["error"] == "" {
				t.Errorf("%s at %s: %d %s", name, path, a.status, a.body)
			}
		}
		if a := payments.post("/oauth2/introspect", "token", forged); a.body != `{"active":false}` {
			t.Errorf("%s at introspection: %d %s", name, a.status, a.body)
		}
		payments.wantRefused(payments.post("/oauth2/token", exchange(forged, market)...), "invalid_request")
		if a := w.browser().send(http.MethodPost, "/oauth2/revoke", url.Values{"client_id": {spa.id}, "token": {forged}}); a.status != http.StatusOK || !active() {
			t.Fatalf("%s at revocation: %d %s, active %v", name, a.status, a.body, active())
		}
	}
}

// TestForgedIDTokensNameNobody: as a hint at the authorization endpoint and at
// logout.
func TestForgedIDTokensNameNobody(t *testing.T) {
	t.Parallel()
	w := setup(t)
	rp, b := w.suite(""), w.signedIn()
	good := rp.finish(b, rp.open(b)).tokens.IDToken
	for name, forged := range forgeries(t, good, w.publishedKey(good), attacker(t)) {
		a := b.follow(b.send(http.MethodPost, "/oauth2/authorize", rp.ask("id_token_hint", forged)))
		if got := rp.callback(b, a, usualState); got.Get("error") != "invalid_request" {
			t.Errorf("%s: callback %v", name, got)
		}
		if a := rp.logout(b, "id_token_hint", forged, "post_logout_redirect_uri", suiteLoggedOut); a.location != nil || !a.has("logout-confirm") {
			t.Errorf("%s at logout: %d %v", name, a.status, a.location)
		}
	}
	rp.finish(b, rp.open(b, "prompt", "none")) // nobody was signed out
}

// TestForgedAssertionsProveNothing: at the token endpoint, at introspection and
// at revocation.
func TestForgedAssertionsProveNothing(t *testing.T) {
	t.Parallel()
	w := setup(t)
	jwk, err := jose.PublicJWK(signerKey().Public(), "k1", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	key := decode[gojose.JSONWebKey](t, string(text))
	source := 0
	post := func(path, assertion string, form url.Values) answer {
		source++ // failures of one source are counted
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:4711", source%250)
		return w.do(r)
	}
	rp := w.suite("")
	for name, forged := range forgeries(t, w.assertion(nil), key, attacker(t)) {
		for path, form := range map[string]url.Values{
			"/oauth2/token": {"grant_type": {"client_credentials"}}, "/oauth2/introspect": {"token": {"x"}}, "/oauth2/revoke": {"token": {"x"}},
		} {
			a := post(path, forged, form)
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s at %s: %d %s", name, path, a.status, a.body)
				continue
			}
			rp.wantRefused(a, "invalid_client")
		}
	}
	if a := post("/oauth2/token", w.assertion(nil), url.Values{"grant_type": {"client_credentials"}, "scope": {"charge"}}); a.status != http.StatusOK {
		t.Errorf("a good assertion: %d %s", a.status, a.body)
	}
}
