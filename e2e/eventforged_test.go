package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// forger is an issuer whose keys the test has, so that it can say all that is
// wrong with a good signature, and all that is right with a bad one.
type forger struct {
	t            *testing.T
	issuer       string
	ec, stranger *ecdsa.PrivateKey // the stranger's key is published nowhere
	rsa          *rsa.PrivateKey
}

func newForger(t *testing.T) *forger {
	t.Helper()
	f := &forger{t: t}
	for _, key := range []**ecdsa.PrivateKey{&f.ec, &f.stranger} {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		*key = made
	}
	var err error
	if f.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.issuer = server.URL
	mux.HandleFunc("GET /.well-known/{document}", func(w http.ResponseWriter, _ *http.Request) {
		writeTestJSON(w, map[string]string{"issuer": f.issuer, "jwks_uri": f.issuer + "/oauth2/jwks"})
	})
	mux.HandleFunc("GET /oauth2/jwks", func(w http.ResponseWriter, _ *http.Request) {
		writeTestJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: f.ec.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
			{Key: f.rsa.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
		}})
	})
	return f
}

func writeTestJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the one who asked may have gone
}

// members are those of a header or of claims; nil takes one away.
type members map[string]any

func (m members) with(changes members) members {
	changed := maps.Clone(m)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

// sign makes a JWS with whatever header. The algorithm follows from the key:
// a text is a secret for HS256, nil makes no signature.
func (f *forger) sign(key any, header, claims members) string {
	f.t.Helper()
	var parts []string
	for _, part := range []members{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			f.t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	input := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			f.t.Fatal(err)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		made, err := rsa.SignPKCS1v15(rand.Reader, key, 5, sum[:]) // SHA-256
		if err != nil {
			f.t.Fatal(err)
		}
		signature = made
	case string:
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

const forgedBody = `{"item":4711,"price":3200,"title":"Teapot"}`

// good are the two forms as docs/events.md has them, made for crypto.
func (f *forger) good(jti string) (proofHeader, proof, setHeader, set members) {
	now := time.Now().Unix()
	proofHeader = members{"alg": "ES256", "kid": "ec", "typ": "event+jwt"}
	proof = members{
		"iss": f.issuer, "sub": "d462sylrivz72j6xrhzrdhuqsy", "aud": "crypto", "azp": "market.backend",
		"exp": now + 120, "iat": now, "jti": jti, "toe": now,
		"events": members{itemSold: members{"body_sha256": digest(forgedBody)}},
	}
	setHeader = members{"alg": "RS256", "kid": "rsa", "typ": "secevent+jwt"}
	set = members{
		"iss": f.issuer, "aud": "crypto", "iat": now, "jti": jti, "toe": now,
		"sub_id": members{"format": "iss_sub", "iss": f.issuer, "sub": "d462sylrivz72j6xrhzrdhuqsy"},
		"events": members{itemSold: members{"item": 4711}},
	}
	return proofHeader, proof, setHeader, set
}

// badProofs are messages of a body and a token that no receiver may take.
func (f *forger) badProofs() map[string]eventMessage {
	header, claims, _, _ := f.good("bad")
	valid := f.sign(f.ec, header, claims)
	head, payload, _ := strings.Cut(valid, ".")
	payload, signature, _ := strings.Cut(payload, ".")
	published, err := f.ec.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	strange := jose.JSONWebKey{Key: f.stranger.Public()}
	stranger := func(more members) string { return f.sign(f.stranger, header.with(more), claims) }
	said := func(changes members) string { return f.sign(f.ec, header, claims.with(changes)) }
	tokens := map[string]string{
		"nothing":                        "",
		"garbage":                        "garbage",
		"two parts":                      head + "." + payload,
		"no signature":                   head + "." + payload + ".",
		"a signature of zeros":           head + "." + payload + "." + strings.Repeat("A", 86),
		"a signature cut short":          valid[:len(valid)-4],
		"other claims, same signature":   head + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"x"}`)) + "." + signature,
		"a stranger's signature":         stranger(nil),
		"a stranger's key in the header": stranger(members{"jwk": strange}),
		"a stranger's keys elsewhere":    stranger(members{"jku": "http://127.0.0.1:9/jwks"}),
		"a header that is critical":      f.sign(f.ec, header.with(members{"crit": []string{"unknown"}, "unknown": true}), claims),
		"no algorithm":                   f.sign(nil, header.with(members{"alg": "none"}), claims),
		"no algorithm, and no key":       f.sign(nil, members{"alg": "none", "typ": "event+jwt"}, claims),
		"HS256 with the public key":      f.sign(string(published), header.with(members{"alg": "HS256"}), claims),
		"RS256":                          f.sign(f.rsa, header.with(members{"alg": "RS256", "kid": "rsa"}), claims),
		"for pay":                        said(members{"aud": "pay"}),
		"for a client":                   said(members{"aud": "crypto.backend"}),
		"for others":                     said(members{"aud": []string{"pay", "partner"}}),
		"for nobody":                     said(members{"aud": nil}),
		"of another issuer":              said(members{"iss": "https://id.elsewhere.test"}),
		"of no issuer":                   said(members{"iss": nil}),
		"expired":                        said(members{"exp": time.Now().Unix() - 60}),
		"that never expires":             said(members{"exp": nil}),
		"without jti":                    said(members{"jti": nil}),
		"without events":                 said(members{"events": nil}),
		"of two events":                  said(members{"events": members{itemSold: members{"body_sha256": digest(forgedBody)}, sessionRevoked: members{}}}),
		"as sign-in ID tokens are":       f.sign(f.rsa, members{"alg": "RS256", "kid": "rsa", "typ": "JWT"}, claims.with(members{"aud": "crypto.backend", "nonce": "n"})),
	}
	for _, typ := range []any{nil, "JWT", "at+jwt", "secevent+jwt", "logout+jwt"} {
		kind, _ := typ.(string)
		tokens["of type "+kind] = f.sign(f.ec, header.with(members{"typ": typ}), claims)
	}
	messages := map[string]eventMessage{
		"another body":    withToken(valid, strings.Replace(forgedBody, "3200", "1", 1)),
		"a space more":    withToken(valid, forgedBody+" "),
		"no body":         withToken(valid, ""),
		"no credentials":  {http.Header{"Content-Type": {"application/json"}}, forgedBody},
		"another scheme":  {http.Header{"Content-Type": {"application/json"}, "Authorization": {"Basic " + valid}}, forgedBody},
		"the token as it": pushedSET(valid),
	}
	for name, token := range tokens {
		messages["a token: "+name] = withToken(token, forgedBody)
	}
	return messages
}

// badSETs are pushed security event tokens that no receiver may take.
func (f *forger) badSETs() map[string]eventMessage {
	_, _, header, claims := f.good("bad")
	said := func(changes members) string { return f.sign(f.rsa, header, claims.with(changes)) }
	elliptic := header.with(members{"alg": "ES256", "kid": "ec"})
	messages := map[string]eventMessage{"a SET: as a token beside a body": withToken(said(nil), forgedBody)}
	for name, token := range map[string]string{
		"nothing":                "",
		"garbage":                "garbage",
		"a stranger's signature": f.sign(f.stranger, elliptic, claims),
		"no algorithm":           f.sign(nil, header.with(members{"alg": "none"}), claims),
		"HS256":                  f.sign("secret", header.with(members{"alg": "HS256"}), claims),
		"for pay":                said(members{"aud": "pay"}),
		"for a client":           said(members{"aud": "crypto.backend"}),
		"for nobody":             said(members{"aud": nil}),
		"of another issuer":      said(members{"iss": "https://id.elsewhere.test"}),
		"about nothing":          said(members{"sub_id": nil}),
		"without jti":            said(members{"jti": nil}),
		"without events":         said(members{"events": nil}),
		"of two events":          said(members{"events": members{itemSold: members{}, sessionRevoked: members{}}}),
		"of type JWT":            f.sign(f.rsa, header.with(members{"typ": "JWT"}), claims),
		"of type event+jwt":      f.sign(f.rsa, header.with(members{"typ": "event+jwt"}), claims),
		"of no type":             f.sign(f.rsa, header.with(members{"typ": nil}), claims),
	} {
		messages["a SET: "+name] = pushedSET(token)
	}
	return messages
}

// TestEventReceiversRefuse runs the receivers of docs/events.md against what
// they must not believe.
func TestEventReceiversRefuse(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	f := newForger(t)
	t.Run("node", func(t *testing.T) { f.refusedBy(t, startNodeReceiver(t, f.issuer, "crypto")) })
	t.Run("python", func(t *testing.T) {
		receiver := startPythonReceiver(t, f.issuer, "crypto")
		if receiver == nil {
			t.Skip("needs Python 3 with PyJWT: make prerequisites")
		}
		f.refusedBy(t, receiver)
	})
}

func (f *forger) refusedBy(t *testing.T, receiver *eventProgram) {
	accepted := func(jti string) {
		t.Helper()
		proofHeader, proof, setHeader, set := f.good(jti)
		if status := receiver.post(t, withToken(f.sign(f.ec, proofHeader, proof), forgedBody)); status != http.StatusAccepted {
			t.Fatalf("a good token and its body: %d", status)
		}
		if heard := receiver.next(t); heard.JTI != jti || heard.Type != itemSold || string(heard.Data) == "" {
			t.Errorf("heard %+v", heard)
		}
		set["jti"] = jti + " pushed"
		for range 2 { // the second time it is known already
			if status := receiver.post(t, pushedSET(f.sign(f.rsa, setHeader, set))); status != http.StatusAccepted {
				t.Fatalf("a good SET: %d", status)
			}
		}
		if heard := receiver.next(t); heard.JTI != jti+" pushed" || heard.subject(t) != "d462sylrivz72j6xrhzrdhuqsy" {
			t.Errorf("heard %+v", heard)
		}
	}
	accepted("first")
	messages := f.badProofs()
	maps.Copy(messages, f.badSETs())
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		if status := receiver.post(t, messages[name]); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	header, claims, _, _ := f.good("of an unknown key")
	unknown := withToken(f.sign(f.stranger, header.with(members{"kid": "unknown"}), claims), forgedBody)
	if status := receiver.post(t, unknown); status != http.StatusServiceUnavailable {
		t.Errorf("an unknown key, which may be a new one: %d", status)
	}
	huge := withToken("x", strings.Repeat("x", 1<<20))
	if status, err := huge.sendWithin(t.Context(), receiver.URL); err == nil && status < 400 {
		t.Errorf("a huge body: %d", status)
	}
	accepted("last")
	receiver.quiet(t)
}

// TestLogoutReceiverRefuses runs the receiver of logout tokens against what is
// none (OIDC Back-Channel Logout 1.0 §2.6).
func TestLogoutReceiverRefuses(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	f := newForger(t)
	receiver := startEventProgram(t, freeAddress(t), nil, "node", "logout-receiver.js", f.issuer, "pay.web")
	now := time.Now().Unix()
	header := members{"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}
	claims := members{
		"iss": f.issuer, "aud": "pay.web", "iat": now, "exp": now + 120, "jti": "1", "sub": "d462sylrivz72j6xrhzrdhuqsy", "sid": "s",
		"events": members{"http://schemas.openid.net/event/backchannel-logout": members{}},
	}
	logout := func(token string) int {
		form := url.Values{"logout_token": {token}}.Encode()
		return receiver.post(t, eventMessage{http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form})
	}
	if status := logout(f.sign(f.rsa, header, claims)); status != http.StatusOK {
		t.Fatalf("a good logout token: %d", status)
	}
	if heard := receiver.next(t); heard.Session != "s" || heard.Subject != claims["sub"] {
		t.Errorf("heard %+v", heard)
	}
	said := func(changes members) string { return f.sign(f.rsa, header, claims.with(changes)) }
	for name, token := range map[string]string{
		"nothing":                "",
		"a stranger's signature": f.sign(f.stranger, header.with(members{"alg": "ES256", "kid": "ec"}), claims),
		"no algorithm":           f.sign(nil, header.with(members{"alg": "none"}), claims),
		"of type JWT":            f.sign(f.rsa, header.with(members{"typ": "JWT"}), claims),
		"of type secevent+jwt":   f.sign(f.rsa, header.with(members{"typ": "secevent+jwt"}), claims),
		"for another client":     said(members{"aud": "pay.backend"}),
		"for the subsystem":      said(members{"aud": "pay"}),
		"of another issuer":      said(members{"iss": "https://id.elsewhere.test"}),
		"expired":                said(members{"exp": now - 60}),
		"that never expires":     said(members{"exp": nil}),
		"with a nonce":           said(members{"nonce": "n"}),
		"about nobody":           said(members{"sub": nil, "sid": nil}),
		"without jti":            said(members{"jti": nil}),
		"of another event":       said(members{"events": members{itemSold: members{}}}),
	} {
		if status := logout(token); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	receiver.quiet(t)
}
