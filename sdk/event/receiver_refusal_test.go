package event_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

type claims = map[string]any

func TestCredentialsWithOtherClaimsAreRefused(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) {
		c.Publishers = map[string]string{"https://api.market.example": "market", "https://api.pay.example": "pay"}
	})
	now := r.issuer.Clock.Now().Unix()
	hash := r.issuer.DeliveryClaims("alice", "crypto", []byte(sale))["events"].(claims)[issuertest.ItemSold]
	for name, c := range map[string]struct {
		change claims
		code   string
	}{
		"another issuer":              {claims{"iss": "https://evil.example"}, event.InvalidIssuer},
		"no issuer":                   {claims{"iss": nil}, event.InvalidIssuer},
		"another receiver":            {claims{"aud": "pay"}, event.InvalidAudience},
		"another receiver too":        {claims{"aud": []string{"crypto", "pay"}}, event.InvalidAudience},
		"no audience":                 {claims{"aud": nil}, event.InvalidAudience},
		"a client for audience":       {claims{"aud": "crypto.backend"}, event.InvalidAudience},
		"expired":                     {claims{"exp": now - 10}, event.AuthenticationFailed},
		"no end":                      {claims{"exp": nil}, event.AuthenticationFailed},
		"of the future":               {claims{"iat": now + 11}, event.InvalidRequest},
		"without time":                {claims{"iat": nil}, event.InvalidRequest},
		"of the past":                 {claims{"iat": now - 38*24*3600}, event.InvalidRequest},
		"not valid yet":               {claims{"nbf": now + 11}, event.AuthenticationFailed},
		"of a sign-in":                {claims{"nonce": "n"}, event.AuthenticationFailed},
		"bound to a key":              {claims{"cnf": claims{"jkt": "x"}}, event.AuthenticationFailed},
		"no id":                       {claims{"jti": nil}, event.InvalidRequest},
		"an empty id":                 {claims{"jti": ""}, event.InvalidRequest},
		"a long id":                   {claims{"jti": strings.Repeat("x", 256)}, event.InvalidRequest},
		"an id with a zero byte":      {claims{"jti": "a\x00"}, event.InvalidRequest},
		"about nobody":                {claims{"sub": nil}, event.InvalidRequest},
		"no publisher":                {claims{"azp": nil}, event.AccessDenied},
		"a publisher without a name":  {claims{"azp": ".backend"}, event.AccessDenied},
		"another's type":              {claims{"azp": "pay.backend"}, event.AccessDenied},
		"an unknown publisher's type": {claims{"events": claims{"https://api.other.example/events/x": hash}, "azp": "other.backend"}, event.AccessDenied},
		"a platform's type":           {claims{"events": claims{oauth.EventAccountPurged: hash}}, event.AccessDenied},
		"the platform for publisher":  {claims{"azp": "platform"}, event.AccessDenied},
		"no events":                   {claims{"events": nil}, event.InvalidRequest},
		"no event":                    {claims{"events": claims{}}, event.InvalidRequest},
		"two events":                  {claims{"events": claims{issuertest.ItemSold: hash, "x": hash}}, event.InvalidRequest},
		"an event without a name":     {claims{"events": claims{"": hash}}, event.InvalidRequest},
		"an event without a hash":     {claims{"events": claims{issuertest.ItemSold: claims{}}}, event.AuthenticationFailed},
		"an event that is nothing":    {claims{"events": claims{issuertest.ItemSold: nil}}, event.AuthenticationFailed},
		"events in a list":            {claims{"events": []any{hash}}, event.InvalidRequest},
	} {
		token := r.issuer.EventToken(issuertest.With(r.issuer.DeliveryClaims("alice", "crypto", []byte(sale)), c.change))
		r.want(name, r.sendCredential(token, sale), http.StatusBadRequest, c.code)
	}
	r.wantHandled(0)
	for name, change := range map[string]claims{
		"just expired":             {"exp": now - 9},
		"by a clock that is ahead": {"iat": now + 10},
		"unchanged":                {},
		"by the hub":               {"azp": "market"},
	} {
		token := r.issuer.EventToken(issuertest.With(r.issuer.DeliveryClaims("alice", "crypto", []byte(sale)), change))
		r.want(name, r.sendCredential(token, sale), http.StatusAccepted, "")
	}
	r.wantHandled(4)
}

func TestACredentialIsGoodForOneBody(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	token := r.issuer.EventToken(r.issuer.DeliveryClaims("alice", "crypto", []byte(sale)))
	for name, body := range map[string]string{
		"another body":         strings.Replace(sale, "4711", "4712", 1),
		"the same, rearranged": strings.ReplaceAll(sale, "  ", " "),
		"a byte more":          sale + "\n",
		"none":                 "",
	} {
		r.want(name, r.sendCredential(token, body), http.StatusBadRequest, event.AuthenticationFailed)
	}
	for _, body := range []string{"[1]", `"text"`, "null", "{", "", "{}{}"} {
		token := r.issuer.EventToken(r.issuer.DeliveryClaims("alice", "crypto", []byte(body)))
		r.want(body, r.sendCredential(token, body), http.StatusBadRequest, event.InvalidRequest)
	}
	r.wantHandled(0)
}

func TestPushedTokensWithOtherClaimsAreRefused(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) {
		c.Publishers = map[string]string{"https://api.market.example": "market"}
	})
	now := r.issuer.Clock.Now().Unix()
	person := func(change claims) claims {
		return issuertest.With(claims{"format": "iss_sub", "iss": r.issuer.URL, "sub": "alice.crypto"}, change)
	}
	for name, c := range map[string]struct {
		change claims
		code   string
	}{
		"another issuer":             {claims{"iss": "https://evil.example"}, event.InvalidIssuer},
		"another receiver":           {claims{"aud": "pay"}, event.InvalidAudience},
		"another receiver too":       {claims{"aud": []string{"crypto", "pay"}}, event.InvalidAudience},
		"no audience":                {claims{"aud": nil}, event.InvalidAudience},
		"of the future":              {claims{"iat": now + 11}, event.InvalidRequest},
		"of the past":                {claims{"iat": now - 38*24*3600}, event.InvalidRequest},
		"without time":               {claims{"iat": nil}, event.InvalidRequest},
		"no id":                      {claims{"jti": nil}, event.InvalidRequest},
		"a subject as of an ID":      {claims{"sub": "alice.crypto"}, event.InvalidRequest},
		"an end":                     {claims{"exp": now + 120}, event.InvalidRequest},
		"a nonce":                    {claims{"nonce": "n"}, event.InvalidRequest},
		"no events":                  {claims{"events": nil}, event.InvalidRequest},
		"no event":                   {claims{"events": claims{}}, event.InvalidRequest},
		"two events":                 {claims{"events": claims{issuertest.ItemSold: claims{}, "x": claims{}}}, event.InvalidRequest},
		"an event that is text":      {claims{"events": claims{issuertest.ItemSold: "x"}}, event.InvalidRequest},
		"a type nobody publishes":    {claims{"events": claims{"https://api.pay.example/events/x": claims{}}}, event.AccessDenied},
		"about nobody":               {claims{"sub_id": nil}, event.InvalidRequest},
		"about an address":           {claims{"sub_id": claims{"format": "email", "email": "a@b.example"}}, event.InvalidRequest},
		"about another issuer's":     {claims{"sub_id": person(claims{"iss": "https://evil.example"})}, event.InvalidRequest},
		"about an empty subject":     {claims{"sub_id": person(claims{"sub": ""})}, event.InvalidRequest},
		"about a stream":             {claims{"sub_id": claims{"format": "opaque", "id": "stream-1"}}, event.InvalidRequest},
		"about a session of nobody":  {claims{"sub_id": claims{"format": "complex", "session": claims{"format": "opaque", "id": "s"}}}, event.InvalidRequest},
		"about a session without id": {claims{"sub_id": claims{"format": "complex", "user": person(nil), "session": claims{"format": "opaque"}}}, event.InvalidRequest},
		"about a strange session":    {claims{"sub_id": claims{"format": "complex", "user": person(nil), "session": claims{"format": "email", "id": "s"}}}, event.InvalidRequest},
	} {
		token := r.issuer.SET(issuertest.With(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}), c.change))
		r.want(name, r.sendSET(token), http.StatusBadRequest, c.code)
	}
	verification := issuertest.With(r.issuer.Verification("crypto", "stream-1", ""), claims{"sub_id": person(nil)})
	r.want("a verification of a person", r.sendSET(r.issuer.SET(verification)), http.StatusBadRequest, event.InvalidRequest)
	r.wantHandled(0)
}

// K6, K7 and K12 of the checks: other algorithms, keys that a token brings
// itself, and tokens of other kinds.
func TestForgeriesAreRefused(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	mallory, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&r.issuer.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	brought := jose.JSONWebKey{Key: &mallory.PublicKey, KeyID: "key-1", Algorithm: "ES256"}
	body := []byte(sale)
	kinds := map[string]struct {
		typ    string
		claims claims
		send   func(token string) answered
	}{
		"credential": {oauth.TypEvent, r.issuer.DeliveryClaims("alice", "crypto", body), func(token string) answered { return r.sendCredential(token, sale) }},
		"SET":        {oauth.TypSET, r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}), r.sendSET},
	}
	for kind, k := range kinds {
		r.issuer.Clock.Advance(30 * time.Second) // so that unknown keys can be told from new ones
		header := func(change claims) claims { return issuertest.With(claims{"kid": "key-1", "typ": k.typ}, change) }
		good := issuertest.Sign(jose.ES256, r.issuer.Key, header(nil), k.claims)
		parts := strings.Split(good, ".")
		unsigned := func(alg string) string {
			encoded, _ := json.Marshal(header(claims{"alg": alg}))
			return base64.RawURLEncoding.EncodeToString(encoded) + "." + parts[1] + "."
		}
		for name, c := range map[string]struct{ token, code string }{
			"another's signature": {issuertest.Sign(jose.ES256, mallory, header(nil), k.claims), event.AuthenticationFailed},
			"a key brought along": {issuertest.Sign(jose.ES256, mallory, header(claims{"jwk": brought}), k.claims), event.InvalidRequest},
			"a key's address":     {issuertest.Sign(jose.ES256, mallory, header(claims{"jku": r.url}), k.claims), event.InvalidRequest},
			"an unknown key":      {issuertest.Sign(jose.ES256, mallory, header(claims{"kid": "key-9"}), k.claims), event.InvalidKey},
			"no key":              {issuertest.Sign(jose.ES256, r.issuer.Key, claims{"typ": k.typ}, k.claims), event.InvalidKey},
			"another curve":       {issuertest.Sign(jose.ES384, p384, header(nil), k.claims), event.InvalidRequest},
			"the key as secret":   {issuertest.Sign(jose.HS256, public, header(nil), k.claims), event.InvalidRequest},
			"none":                {unsigned("none"), event.InvalidRequest},
			"nOnE":                {unsigned("nOnE"), event.InvalidRequest},
			"no signature":        {unsigned("ES256"), event.AuthenticationFailed},
			"a zero signature":    {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), event.AuthenticationFailed},
			"changed claims":      {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{}`)) + "." + parts[2], event.AuthenticationFailed},
			"no type":             {issuertest.Sign(jose.ES256, r.issuer.Key, claims{"kid": "key-1"}, k.claims), event.InvalidRequest},
			"nothing":             {"x", event.InvalidRequest},
			"a line break":        {good + "\n", event.InvalidRequest},
			"members twice":       {twice(r.issuer, k.typ, k.claims), event.InvalidRequest},
		} {
			if kind == "credential" && name == "a line break" {
				continue // no header can hold it
			}
			r.want(kind+", "+name, k.send(c.token), http.StatusBadRequest, c.code)
		}
		for _, typ := range []string{oauth.TypAccessToken, oauth.TypIDToken, oauth.TypLogout, oauth.TypEvent, oauth.TypSET, "", "EVENT+JWT"} {
			if typ == k.typ {
				continue
			}
			token := issuertest.Sign(jose.ES256, r.issuer.Key, header(claims{"typ": typ}), k.claims)
			r.want(kind+" of the type "+typ, k.send(token), http.StatusBadRequest, event.InvalidRequest)
		}
	}
	r.wantHandled(0)
}

// twice signs claims with a second iss.
func twice(issuer *issuertest.Issuer, typ string, c claims) string {
	encoded, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", "key-1")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: issuer.Key}, options)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign([]byte(`{"iss":"https://evil.example",` + string(encoded[1:])))
	if err != nil {
		panic(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return compact
}

// The issuer's other tokens, as they are.
func TestTokensOfOtherKindsAreRefused(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	i := r.issuer
	for name, token := range map[string]string{
		"ID token":     i.IDToken(i.IDClaims("crypto.web", "")),
		"access token": i.AccessToken(i.UserClaims("alice", "market-app.web", "crypto", "")),
		"logout token": i.LogoutToken(i.LogoutClaims("crypto.web")),
	} {
		r.want(name+" for a credential", r.sendCredential(token, sale), http.StatusBadRequest, event.InvalidRequest)
		r.want(name+" for a SET", r.sendSET(token), http.StatusBadRequest, event.InvalidRequest)
	}
}

func TestRequestsOfOtherFormsAreRefused(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	good := r.issuer.EventToken(r.issuer.DeliveryClaims("alice", "crypto", []byte(sale)))
	set := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}))
	const header, form = "Authorization", "Content-Type"
	for name, c := range map[string]struct {
		body    string
		headers []string
		code    string
	}{
		"no media type":            {sale, []string{header, "Bearer " + good}, event.InvalidRequest},
		"another media type":       {sale, []string{form, "text/plain", header, "Bearer " + good}, event.InvalidRequest},
		"a strange media type":     {sale, []string{form, ";", header, "Bearer " + good}, event.InvalidRequest},
		"two media types":          {sale, []string{form, "application/json", form, "text/plain", header, "Bearer " + good}, event.InvalidRequest},
		"a coding":                 {sale, []string{form, "application/json", "Content-Encoding", "gzip", header, "Bearer " + good}, event.InvalidRequest},
		"no credential":            {sale, []string{form, "application/json"}, event.AuthenticationFailed},
		"an empty credential":      {sale, []string{form, "application/json", header, "Bearer"}, event.AuthenticationFailed},
		"a password":               {sale, []string{form, "application/json", header, "Basic YTpi"}, event.AuthenticationFailed},
		"two credentials":          {sale, []string{form, "application/json", header, "Bearer " + good, header, "Bearer " + good}, event.InvalidRequest},
		"a large body":             {strings.Repeat(" ", 64<<10) + sale, []string{form, "application/json", header, "Bearer " + good}, event.InvalidRequest},
		"a SET as JSON":            {set, []string{form, "application/json", header, "Bearer " + set}, event.InvalidRequest},
		"a SET with two headers":   {set, []string{form, "application/secevent+jwt", header, "a", header, "b"}, event.InvalidRequest},
		"a credential as a SET":    {good, []string{form, "application/secevent+jwt"}, event.InvalidRequest},
		"a SET in a JSON string":   {`"` + set + `"`, []string{form, "application/secevent+jwt"}, event.InvalidRequest},
		"two SETs":                 {set + "\n" + set, []string{form, "application/secevent+jwt"}, event.InvalidRequest},
		"a challenge without sign": {`{"type":"verification","challenge":"c"}`, []string{form, "application/json"}, event.AuthenticationFailed},
	} {
		r.want(name, r.send(c.body, c.headers...), http.StatusBadRequest, c.code)
	}
	r.wantHandled(0)
	large := r.send(strings.Repeat(" ", 64<<10+1), form, "application/json", header, "Bearer "+good)
	if !strings.Contains(large.body, "64 KiB") {
		t.Errorf("a large body: answered %s", large.body)
	}
	cut := httptest.NewRequest(http.MethodPost, "/events", io.MultiReader(strings.NewReader(sale), iotest.ErrReader(io.ErrUnexpectedEOF)))
	cut.Header.Set(form, "application/json")
	cut.Header.Set(header, "Bearer "+good)
	answer := httptest.NewRecorder()
	r.receiver.ServeHTTP(answer, cut)
	if answer.Code != http.StatusBadRequest {
		t.Errorf("a body that breaks off: answered %d", answer.Code)
	}
	r.wantHandled(0)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodHead} {
		request, err := http.NewRequestWithContext(t.Context(), method, r.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: answered %d %v", method, response.StatusCode, response.Header)
		}
	}
}

func TestTheAgreedAuthorizationIsNeeded(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) { c.Authorization = "Bearer agreed-on" })
	set := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}))
	const form = "application/secevent+jwt"
	r.want("none", r.sendSET(set), http.StatusBadRequest, event.AuthenticationFailed)
	r.want("another", r.send(set, "Content-Type", form, "Authorization", "Bearer agreed-oN"), http.StatusBadRequest, event.AuthenticationFailed)
	r.wantHandled(0)
	r.want("the right one", r.send(set, "Content-Type", form, "Authorization", "Bearer agreed-on"), http.StatusAccepted, "")
	r.wantHandled(1)
}

// Q4 of the checks.
func TestUnknownKeysAreAskedForOncePerHalfMinute(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	for n := range 50 {
		header := claims{"kid": fmt.Sprint("invented-", n), "typ": oauth.TypSET}
		r.sendSET(issuertest.Sign(jose.ES256, r.issuer.Key, header, claims{}))
	}
	if got := r.issuer.Count("/oauth2/jwks"); got != 1 {
		t.Errorf("%d requests for keys, want the one at the start", got)
	}
}

// E3 of the checks: the key was rotated while the event waited, and goes on
// being published.
func TestAnEventSurvivesARotation(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	before := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}))
	r.issuer.Rotate("key-2")
	r.issuer.Clock.Advance(time.Minute)
	after := r.issuer.SET(r.issuer.SETClaims("alice", "crypto", issuertest.ItemSold, claims{}))
	r.want("signed after the rotation", r.sendSET(after), http.StatusAccepted, "")
	r.want("signed before it", r.sendSET(before), http.StatusAccepted, "")
	r.wantHandled(2)
}
