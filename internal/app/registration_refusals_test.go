package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/jose"
)

// refusedMetadata is what no client may say of itself, and the code it is told.
// {name} stands for the member under test.
func refusedMetadata(t *testing.T) map[string]struct {
	code  string
	pairs []any
} {
	t.Helper()
	type refused = struct {
		code  string
		pairs []any
	}
	const redirect, metadata = "invalid_redirect_uri", "invalid_client_metadata"
	many := make([]string, 21)
	for i := range many {
		many[i] = readerCallback + strings.Repeat("x", i)
	}
	private := map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "k", "d": "AA", "x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43),
	}}}
	return map[string]refused{
		"no redirect URI":               {redirect, []any{"redirect_uris", nil}},
		"empty redirect URIs":           {redirect, []any{"redirect_uris", []string{}}},
		"redirect URI with fragment":    {redirect, []any{"redirect_uris", []string{readerCallback + "#x"}}},
		"an empty redirect URI":         {redirect, []any{"redirect_uris", []string{""}}},
		"too many redirect URIs":        {redirect, []any{"redirect_uris", many}},
		"a redirect URI twice":          {redirect, []any{"redirect_uris", []string{readerCallback, readerCallback}}},
		"a long redirect URI":           {redirect, []any{"redirect_uris", []string{readerCallback + strings.Repeat("x", 2048)}}},
		"a scheme of no app":            {redirect, []any{"redirect_uris", []string{"reader:/cb"}, "application_type", "native", "token_endpoint_auth_method", "none"}},
		"a text for redirect URIs":      {metadata, []any{"redirect_uris", readerCallback}},
		"a number for a name":           {metadata, []any{"client_name", 7}},
		"a name that is not seen":       {metadata, []any{"client_name", "Read\u202eer"}},
		"a long name":                   {metadata, []any{"client_name#ja", strings.Repeat("あ", 201)}},
		"keys by address":               {metadata, []any{"jwks_uri", "https://reader.test/keys"}},
		"sector by address":             {metadata, []any{"sector_identifier_uri", "https://reader.test/sector"}},
		"software statement":            {metadata, []any{"software_statement", "e30.e30.e30"}},
		"request objects":               {metadata, []any{"request_object_signing_alg", "RS256"}},
		"signed requests, no keys":      {metadata, []any{"require_signed_request_object", true}},
		"pushed requests, no page":      {metadata, []any{"require_pushed_authorization_requests", true, "redirect_uris", nil, "grant_types", []string{"client_credentials"}}},
		"request objects by address":    {metadata, []any{"request_uris", []string{"https://reader.test/request"}}},
		"encrypted ID tokens":           {metadata, []any{"id_token_encrypted_response_alg", "RSA-OAEP"}},
		"signed userinfo":               {metadata, []any{"userinfo_signed_response_alg", "RS256"}},
		"tokens bound to a certificate": {metadata, []any{"tls_client_certificate_bound_access_tokens", true}},
		"public subjects":               {metadata, []any{"subject_type", "public"}},
		"unsigned ID tokens":            {metadata, []any{"id_token_signed_response_alg", "none"}},
		"ID tokens with a secret":       {metadata, []any{"id_token_signed_response_alg", "HS256"}},
		"implicit":                      {metadata, []any{"response_types", []string{"id_token"}}},
		"hybrid":                        {metadata, []any{"response_types", []string{"code", "code id_token"}}},
		"grant type implicit":           {metadata, []any{"grant_types", []string{"authorization_code", "implicit"}}},
		"token exchange":                {metadata, []any{"grant_types", []string{"authorization_code", exchangeGrant}}},
		"password grant":                {metadata, []any{"grant_types", []string{"password"}, "redirect_uris", nil}},
		"itself without proof":          {metadata, []any{"grant_types", []string{"authorization_code", "client_credentials"}, "token_endpoint_auth_method", "none"}},
		"public and itself alone":       {metadata, []any{"grant_types", []string{"client_credentials"}, "token_endpoint_auth_method", "none", "redirect_uris", nil}},
		"places without the grant":      {metadata, []any{"grant_types", []string{"client_credentials"}}},
		"other application type":        {metadata, []any{"application_type", "service"}},
		"client_secret_jwt":             {metadata, []any{"token_endpoint_auth_method", "client_secret_jwt"}},
		"tls_client_auth":               {metadata, []any{"token_endpoint_auth_method", "tls_client_auth"}},
		"app with a secret":             {metadata, []any{"application_type", "native"}},
		"keys that are missing":         {metadata, []any{"token_endpoint_auth_method", "private_key_jwt"}},
		"keys that are private":         {metadata, []any{"token_endpoint_auth_method", "private_key_jwt", "jwks", private}},
		"private keys without use":      {metadata, []any{"jwks", private}},
		"symmetric keys":                {metadata, []any{"token_endpoint_auth_method", "private_key_jwt", "jwks", map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "AAAA"}}}}},
		"weak keys":                     {metadata, []any{"token_endpoint_auth_method", "private_key_jwt", "jwks", map[string]any{"keys": []any{map[string]any{"kty": "RSA", "n": strings.Repeat("A", 171), "e": "AQAB"}}}}},
		"keys that are none":            {metadata, []any{"token_endpoint_auth_method", "private_key_jwt", "jwks", "keys"}},
		"too many keys":                 {metadata, []any{"token_endpoint_auth_method", "private_key_jwt", "jwks", map[string]any{"keys": manyKeys(t, 21)}}},
		"sessions told to nowhere":      {metadata, []any{"backchannel_logout_session_required", true}},
		"sessions told to an app":       {metadata, []any{"application_type", "native", "token_endpoint_auth_method", "none", "backchannel_logout_uri", "https://reader.test/out"}},
		"sessions told over loopback":   {metadata, []any{"backchannel_logout_uri", "http://localhost:6379/"}},
	}
}

func manyKeys(t *testing.T, n int) []any {
	t.Helper()
	jwk, err := jose.PublicJWK(signerKey().Public(), "k1", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([]any, n)
	for i := range keys {
		keys[i] = jwk
	}
	return keys
}

// TestWhatNoRegistrationSays is the refusals of RFC 7591 §3.2.2, and checks K10
// and R4 where they are one value; at registration and at replacement alike.
func TestWhatNoRegistrationSays(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader())
	token := w.initialToken("partner")
	before := w.ask(http.MethodGet, made.URI, made.Token, nil).body
	for name, c := range refusedMetadata(t) {
		wantNotRegistered(t, name, w.ask(http.MethodPost, registerPath, token, reader(c.pairs...)), http.StatusBadRequest, c.code)
		wantNotRegistered(t, name+", replaced", w.ask(http.MethodPut, made.URI, made.Token, reader(append(c.pairs, "client_id", made.ID)...)), http.StatusBadRequest, c.code)
	}
	for range 5 { // what was refused has taken nothing from the hour
		w.register(token, reader())
	}
	if after := w.ask(http.MethodGet, made.URI, made.Token, nil).body; after != before {
		t.Errorf("refused replacements have changed it:\n%s\n%s", before, after)
	}
}

// TestNoURIOfARegistrationRunsOrLeads is check R4 for registration and
// replacement: one list for every URI there is.
func TestNoURIOfARegistrationRunsOrLeads(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader())
	token := w.initialToken("partner")
	for _, name := range []string{
		"redirect_uris", "post_logout_redirect_uris", "client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri", "backchannel_logout_uri",
	} {
		for _, uri := range []string{
			"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x", "file:///etc/passwd", "blob:https://reader.test/x",
			"https://reader.test/x#fragment", "https://*.reader.test/x", "https://reader.test/*", "http://reader.test/x", "http://127.0.0.1.reader.test/x",
			"//reader.test/x", "/x", "https://user@reader.test/x", `https://reader.test\@evil.test/`, "https://reader.test/../x", "https://reader.test/\nx",
		} {
			value, code := any(uri), "invalid_client_metadata"
			if strings.HasSuffix(name, "_uris") {
				value = []string{uri}
			}
			if name == "redirect_uris" {
				code = "invalid_redirect_uri"
			}
			wantNotRegistered(t, name+" "+uri, w.ask(http.MethodPost, registerPath, token, reader(name, value)), http.StatusBadRequest, code)
			wantNotRegistered(t, name+" "+uri+", replaced",
				w.ask(http.MethodPut, made.URI, made.Token, reader(name, value, "client_id", made.ID)), http.StatusBadRequest, code)
		}
	}
}

// Bodies that are no metadata at all.
func TestRegistrationReadsOneJSONObject(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader())
	token := w.initialToken("partner")
	for name, body := range map[string]string{
		"empty": "", "a list": "[]", "null": "null", "a text": `"x"`, "broken": `{"redirect_uris":[`, "two objects": `{}{}`, "a form": "redirect_uris=https://reader.test/cb",
		"a member twice":      `{"redirect_uris":["https://reader.test/a"],"redirect_uris":["https://reader.test/b"]}`,
		"a member in capital": `{"redirect_uris":["https://reader.test/a"],"Redirect_URIs":["https://reader.test/b"]}`,
		"deep":                `{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
		"no UTF-8":            "{\"redirect_uris\":[\"https://reader.test/cb\"],\"x\":\"\xff\"}",
	} {
		wantNotRegistered(t, name, w.ask(http.MethodPost, registerPath, token, body), http.StatusBadRequest, "invalid_client_metadata")
		wantNotRegistered(t, name+", replaced", w.ask(http.MethodPut, made.URI, made.Token, body), http.StatusBadRequest, "invalid_client_metadata")
	}
	large := `{"x":"` + strings.Repeat("x", 64<<10) + `"}`
	wantNotRegistered(t, "large", w.ask(http.MethodPost, registerPath, token, large), http.StatusRequestEntityTooLarge, "invalid_request")
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		if a := w.ask(method, registerPath, token, nil); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodHead, http.MethodOptions} {
		if a := w.ask(method, made.URI, made.Token, nil); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, PUT, DELETE" {
			t.Errorf("%s: %d %v", method, a.status, a.header)
		}
	}
	if a := w.browser().send(http.MethodPost, registerPath, map[string][]string{"x": {"y"}}); a.status != http.StatusUnauthorized {
		t.Errorf("a form without a token: %d", a.status)
	}
}

// A replacement names its client, and nothing that is the server's to say
// (RFC 7592 §2.2).
func TestReplacementChoosesNeitherIDNorSecret(t *testing.T) {
	t.Parallel()
	w := setup(t)
	initial := w.initialToken("partner")
	made, other := w.register(initial, reader()), w.register(initial, reader())
	for name, pairs := range map[string][]any{
		"no client_id":      {"client_id", nil},
		"another client_id": {"client_id", other.ID},
		"a declared one":    {"client_id", "partner.web"},
		"another secret":    {"client_secret", other.Secret},
		"a secret of hers":  {"client_secret", strings.Repeat("s", 43)},
		"access token":      {"registration_access_token", made.Token},
		"address":           {"registration_client_uri", made.URI},
		"end of the secret": {"client_secret_expires_at", 0},
		"date of the id":    {"client_id_issued_at", made.IssuedAt},
	} {
		metadata := reader(append([]any{"client_id", made.ID}, pairs...)...)
		wantNotRegistered(t, name, w.ask(http.MethodPut, made.URI, made.Token, metadata), http.StatusBadRequest, "invalid_client_metadata")
	}
	rp := &relyingParty{w: w, id: made.ID, given: made.Secret}
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "client_credentials", "scope", "settle"), "invalid_scope")
}

// What is not known, or says nothing, is passed over (RFC 7591 §2), also when it
// would choose what the server chooses.
func TestRegistrationPassesOverWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader(
		"contacts", []string{"ops@reader.test"}, "software_id", "reader", "software_version", "1", "scope", "openid settle", "default_max_age", 60,
		"client_id", "partner.web", "client_secret", "a-secret-of-the-askers-own-choice-0123", "rate", 100_000, "pkce", "optional", "type", "native", "auth", "none",
		"secret_sha256", []string{strings.Repeat("0", 64)}, "cors_origins", []string{"https://evil.test"}, "scenario", "app", "subsystem", "market",
		"jwks_uri", nil, "request_uris", []string{}, "require_signed_request_object", false, "policy_uri", "", "client_name#fr", "Lecteur",
	))
	if made.ID == "partner.web" || made.Secret == "a-secret-of-the-askers-own-choice-0123" || made.AuthMethod != "client_secret_basic" {
		t.Errorf("registered %+v", made)
	}
	client, ok := w.app.Registry.Current().Client(made.ID)
	if !ok || client.Rate != 50 || client.PKCEOptional || len(client.CORSOrigins) != 0 || client.Subsystem.Name != "partner" || len(client.SecretHashes) != 1 {
		t.Errorf("client %+v", client)
	}
}
