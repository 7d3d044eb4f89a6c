package app_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The demands of the certification plan Third-Party-Initiated Login OP, which
// registers its client itself, and those of RFC 7591 and RFC 7592.

const (
	registerPath   = "/oauth2/register"
	readerCallback = "https://reader.test/callback"
)

func TestRegistrationIsInTheMetadata(t *testing.T) {
	t.Parallel()
	metadata := decode[map[string]any](t, setup(t).browser().get("/.well-known/openid-configuration").body)
	if metadata["registration_endpoint"] != issuer+registerPath {
		t.Errorf("registration_endpoint %v", metadata["registration_endpoint"])
	}
}

func TestInitiateLoginURIIsInTheRegistrationAndAtItsAddress(t *testing.T) {
	t.Parallel()
	w := setup(t)
	request := suiteRequest(t)
	made := w.register(w.initialToken("partner"), request)
	if made.InitiateLoginURI != request["initiate_login_uri"] || !slices.Equal(made.RedirectURIs, []string{suiteCallback}) {
		t.Errorf("registered %+v", made)
	}
	held := w.wantRegistered(w.ask(http.MethodGet, made.URI, made.Token, nil), http.StatusOK)
	if held.InitiateLoginURI != request["initiate_login_uri"] || held.ID != made.ID || held.Token != made.Token || held.Secret != "" {
		t.Errorf("held %+v", held)
	}
}

func TestInitiateLoginURIMustBeHTTPS(t *testing.T) {
	t.Parallel()
	w := setup(t)
	token := w.initialToken("partner")
	for _, uri := range []string{"http://suite.test/test/a/sekisho/initiate_login", "http://127.0.0.1:8080/login", "http://localhost/login", "com.example:/login"} {
		request := suiteRequest(t)
		request["initiate_login_uri"] = uri
		wantNotRegistered(t, uri, w.ask(http.MethodPost, registerPath, token, request), http.StatusBadRequest, "invalid_client_metadata")
	}
}

func TestRegistrationTellsTheSecretOnceAndWhenItEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader())
	wantUnguessable(t, "secret", made.Secret)
	wantUnguessable(t, "registration access token", made.Token)
	if made.IssuedAt != w.clock.Now().Unix() || made.AuthMethod != "client_secret_basic" || made.ApplicationType != "web" || made.SubjectType != "pairwise" ||
		made.IDTokenAlg != "RS256" || !slices.Equal(made.ResponseTypes, []string{"code"}) || !slices.Contains(made.GrantTypes, "refresh_token") {
		t.Errorf("what is in force is not told: %+v", made)
	}
	for range 2 {
		if a := w.ask(http.MethodGet, made.URI, made.Token, nil); strings.Contains(a.body, made.Secret) || strings.Contains(a.body, "client_secret\"") {
			t.Errorf("the secret is told again: %s", a.body)
		}
	}
	for method, metadata := range map[string]map[string]any{
		"none":            reader("token_endpoint_auth_method", "none"),
		"none, native":    reader("token_endpoint_auth_method", "none", "application_type", "native", "redirect_uris", []string{"com.example.reader:/cb", "http://127.0.0.1/cb"}),
		"private_key_jwt": reader("token_endpoint_auth_method", "private_key_jwt", "jwks", publicKeys(t)),
	} {
		other := w.register(w.initialToken("partner"), metadata)
		if other.Secret != "" || (other.JWKS != nil) != (method == "private_key_jwt") || !strings.HasPrefix(method, other.AuthMethod) {
			t.Errorf("%s: %+v", method, other)
		}
	}
}

func TestDeletedClientIsGone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader())
	a := w.ask(http.MethodDelete, made.URI, made.Token, nil)
	if a.status != http.StatusNoContent || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		wantNotRegistered(t, method, w.ask(method, made.URI, made.Token, reader("client_id", made.ID)), http.StatusUnauthorized, "invalid_token")
	}
	rp := &relyingParty{w: w, id: made.ID, given: made.Secret, redirect: readerCallback}
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "client_credentials"), "invalid_client")
	wantErrorPage(t, rp.open(w.browser()), "invalid_request")
}

// withPKCE is the authorization request of a client that is not excused from
// PKCE: none that registers itself is.
func withPKCE(scope string) []string {
	return []string{"scope", scope, "code_challenge", challenge, "code_challenge_method", "S256"}
}

// TestRegisteredClientSignsPeopleIn, with their consent, to what the group file
// gives its subsystem, and to nothing more.
func TestRegisteredClientSignsPeopleIn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader())
	rp := &relyingParty{w: w, id: made.ID, given: made.Secret, redirect: readerCallback}
	b := w.browser()
	page := b.signIn(rp.open(b, withPKCE("openid profile items.read offline_access")...))
	if !strings.Contains(page.body, "Reader (Partner)") {
		t.Errorf("consent does not tell whose client it is\n%s", page.body)
	}
	got := rp.redeem(rp.code(b, b.fill(page, "consent-form", "decision", "allow"), usualState), "code_verifier", verifier, "resource", issuer)
	claims := rp.idToken(got, usualNonce)
	if userinfo := rp.userinfo(got); userinfo["name"] != "Aiko Mori" || userinfo["sub"] != claims["sub"] {
		t.Errorf("userinfo %v", userinfo)
	}

	// The same person has the same identifier at the declared client.
	declared := &relyingParty{w: w, id: "partner.web", redirect: "https://partner.test/callback"}
	there := declared.redeem(declared.code(b, b.fill(declared.open(b, withPKCE("openid")...), "consent-form", "decision", "allow"), usualState), "code_verifier", verifier)
	if declared.idToken(there, usualNonce)["sub"] != claims["sub"] {
		t.Error("the two clients of a subsystem do not see the same identifier")
	}

	// No PKCE, no way; what has no edge is refused; prompt=none is silent now.
	rp.wantError(b, rp.open(b), usualState, "invalid_request")
	rp.wantError(b, rp.open(b, withPKCE("openid charge")...), usualState, "invalid_scope")
	rp.wantError(b, rp.open(b, withPKCE("openid email")...), usualState, "invalid_scope")
	rp.code(b, rp.open(b, append(withPKCE("openid profile items.read"), "prompt", "none")...), usualState)
	rp.wantRefused(rp.post("/oauth2/token", exchange(got.AccessToken, market)...), "unauthorized_client")
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "client_credentials", "scope", "settle"), "invalid_scope")

	// In another process too, and after a restart.
	other := start(t, w.path, w.clock)
	elsewhere := &relyingParty{w: other, id: made.ID, given: made.Secret, redirect: readerCallback}
	refreshed := elsewhere.wantTokens(elsewhere.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", got.RefreshToken, "resource", market))

	// Deleted: what it held is dead at once.
	if a := w.ask(http.MethodDelete, made.URI, made.Token, nil); a.status != http.StatusNoContent {
		t.Fatal(a.status)
	}
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "refresh_token", "refresh_token", refreshed.RefreshToken), "invalid_client")
	gateway := &relyingParty{w: w, id: "market.gateway"}
	if a := gateway.post("/oauth2/introspect", "token", refreshed.AccessToken); a.body != `{"active":false}` {
		t.Errorf("its access token: %s", a.body)
	}
	if page := b.get("/account"); page.has("withdraw-" + made.ID) {
		t.Error("its consent is still there")
	}
}

// What a replacement leaves out is gone (RFC 7592 §2.2).
func TestReplacementIsWhole(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.register(w.initialToken("partner"), reader("post_logout_redirect_uris", []string{"https://reader.test/bye"}, "initiate_login_uri", "https://reader.test/start"))
	put := func(metadata map[string]any) registered {
		t.Helper()
		return w.wantRegistered(w.ask(http.MethodPut, made.URI, made.Token, metadata), http.StatusOK)
	}
	got := put(reader("client_id", made.ID, "client_secret", made.Secret, "client_name", nil, "initiate_login_uri", "https://reader.test/other"))
	if got.ID != made.ID || got.Token != made.Token || got.Secret != "" || got.Name != "" || len(got.PostLogoutRedirects) != 0 || got.InitiateLoginURI != "https://reader.test/other" {
		t.Errorf("replaced: %+v", got)
	}
	rp := &relyingParty{w: w, id: made.ID, given: made.Secret, redirect: readerCallback}
	rp.wantRefused(rp.post("/oauth2/token", "grant_type", "client_credentials", "scope", "settle"), "invalid_scope") // it is still itself
	if again := put(reader("client_id", made.ID)); again.Name != "Reader" || again.InitiateLoginURI != "" {
		t.Errorf("again: %+v", again)
	}
}

// Each token opens its own door and no other, and the
// answers do not tell which clients there are.
func TestRegistrationTokensOpenTheirOwnDoorOnly(t *testing.T) {
	t.Parallel()
	w := setup(t)
	initial := w.initialToken("partner")
	one, two := w.register(initial, reader()), w.register(initial, reader())
	for name, token := range map[string]string{
		"unknown": "sek_ia_" + strings.Repeat("A", 43), "registration access token": one.Token, "secret": one.Secret, "empty": " ",
	} {
		wantNotRegistered(t, name, w.ask(http.MethodPost, registerPath, token, reader()), http.StatusUnauthorized, "invalid_token")
	}
	if a := w.ask(http.MethodPost, registerPath, "", reader()); a.status != http.StatusUnauthorized || a.body != "" || a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("no token: %d %v %s", a.status, a.header, a.body)
	}
	same := map[string]bool{}
	for name, c := range map[string][2]string{
		"another's": {two.URI, one.Token}, "initial": {one.URI, initial}, "unknown client": {issuer + registerPath + "/partner.0" + strings.Repeat("0", 32), one.Token},
		"declared client": {issuer + registerPath + "/partner.web", one.Token}, "no such thing": {issuer + registerPath + "/x", one.Token},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			a := w.ask(method, c[0], c[1], reader("client_id", two.ID))
			wantNotRegistered(t, name+" "+method, a, http.StatusUnauthorized, "invalid_token")
			same[a.body+a.header.Get("WWW-Authenticate")] = true
		}
	}
	if len(same) != 1 {
		t.Errorf("the answers differ: %v", slices.Collect(maps.Keys(same)))
	}
	w.clock.Advance(24 * time.Hour)
	wantNotRegistered(t, "expired", w.ask(http.MethodPost, registerPath, initial, reader()), http.StatusUnauthorized, "invalid_token")
	w.wantRegistered(w.ask(http.MethodGet, one.URI, one.Token, nil), http.StatusOK)
}

// A token gives no more by being used everywhere at once: five an hour over two
// processes.
func TestRegistrationsOfOneTokenTwoProcesses(t *testing.T) {
	t.Parallel()
	both := replicas(t)
	token := both[0].initialToken("partner")
	got := atOnce(both, 30, func(w *world, _ int) answer { return w.ask(http.MethodPost, registerPath, token, reader()) })
	if len(got[http.StatusCreated]) != 5 || len(got[http.StatusTooManyRequests]) != 25 {
		t.Fatalf("%d times created, %d times too many, of 30", len(got[http.StatusCreated]), len(got[http.StatusTooManyRequests]))
	}
	refused := got[http.StatusTooManyRequests][0]
	wantNotRegistered(t, "sixth", refused, http.StatusTooManyRequests, "temporarily_unavailable")
	if refused.header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After %s", refused.header.Get("Retry-After"))
	}
	both[0].clock.Advance(time.Hour)
	both[1].register(token, reader())
	ids := map[string]bool{}
	for _, a := range got[http.StatusCreated] {
		ids[decode[registered](t, a.body).ID] = true
	}
	if len(ids) != 5 {
		t.Errorf("ids %v", ids)
	}
}

// TestRegistrationsAreBounded is check Q5.
func TestRegistrationsAreBounded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for range 20 {
		token := w.initialToken("partner")
		for range 5 {
			w.register(token, reader())
		}
	}
	wantNotRegistered(t, "the 101st", w.ask(http.MethodPost, registerPath, w.initialToken("partner"), reader()), http.StatusForbidden, "access_denied")
}

func TestRegistrationLimitsOneSource(t *testing.T) {
	t.Parallel()
	w := setup(t)
	knock := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+registerPath+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer guess")
		return w.do(r).status
	}
	for range 30 {
		if status := knock(); status != http.StatusUnauthorized {
			t.Fatal(status)
		}
	}
	if status := knock(); status != http.StatusTooManyRequests {
		t.Errorf("the 31st in one second: %d", status)
	}
	w.clock.Advance(time.Second)
	if status := knock(); status != http.StatusUnauthorized {
		t.Errorf("a second later: %d", status)
	}
}

// TestRegisteredCredentialsAreKeptNowhere is check K14 for what registration
// gives out, and A4 for the operator's list.
func TestRegisteredCredentialsAreKeptNowhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	initial := w.initialToken("partner")
	made := w.register(initial, reader())
	w.ask(http.MethodPut, made.URI, made.Token, reader("client_id", made.ID, "client_secret", made.Secret))
	w.ask(http.MethodPut, made.URI, made.Token, reader("client_id", made.ID, "client_secret", made.Secret+"x"))
	clients, tokens, err := w.app.Registry.Registrations(t.Context())
	if err != nil || len(clients) != 1 || len(tokens) != 1 {
		t.Fatalf("%v %v %v", clients, tokens, err)
	}
	listed, err := json.Marshal([]any{clients, tokens})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.app.Audit.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	places := w.dump()
	places["log"], places["list"] = []byte(w.log.String()), listed
	for place, content := range places {
		for _, value := range []string{initial, made.Secret, made.Token} {
			for _, trace := range traces(value) {
				if bytes.Contains(content, trace) {
					t.Errorf("%s holds %.12s…", place, value)
				}
			}
		}
	}
}
