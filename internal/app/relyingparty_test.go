package app_test

import (
	"encoding/json"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// relyingParty is a client as the certification suite is one. Its steps make
// the checks that the suite makes in every module, so that each test has only
// to make its own.
type relyingParty struct {
	w        *world
	id       string
	given    string // its secret, where the group file does not have it
	inBody   bool   // client_secret_post instead of client_secret_basic
	mode     string
	redirect string
	prover   *prover // holds a key and proves it; nil for none
}

const suiteCallback = "https://suite.test/test/a/sekisho/callback"

func (w *world) suite(mode string) *relyingParty {
	return &relyingParty{w: w, id: "suite.basic", mode: mode, redirect: suiteCallback}
}

// inBothModes runs a test as Basic OP does, and as Form Post OP does, which is
// the same list with response_mode=form_post.
func inBothModes(t *testing.T, test func(t *testing.T, rp *relyingParty)) {
	t.Helper()
	for name, mode := range map[string]string{"query": "", "form_post": "form_post"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, setup(t).suite(mode))
		})
	}
}

const (
	usualState = "Zx9-state"
	usualNonce = "Qw7-nonce"
)

// ask is an authorization request, with parameters changed by pairs; an empty
// value leaves one out.
func (rp *relyingParty) ask(pairs ...string) url.Values {
	values := url.Values{
		"client_id": {rp.id}, "redirect_uri": {rp.redirect}, "response_type": {"code"},
		"scope": {"openid"}, "state": {usualState}, "nonce": {usualNonce},
	}
	if rp.mode != "" {
		values.Set("response_mode", rp.mode)
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		}
	}
	return values
}

func (rp *relyingParty) open(b *browser, pairs ...string) answer {
	rp.w.t.Helper()
	return b.get("/oauth2/authorize?" + rp.ask(pairs...).Encode())
}

// callback is the authorization response: by the redirect or by the form, and
// by nothing else; with iss, with the state as it was sent, and with no
// parameter that nobody knows.
func (rp *relyingParty) callback(b *browser, a answer, state string) url.Values {
	rp.w.t.Helper()
	var values url.Values
	if rp.mode == "form_post" {
		if a.status != http.StatusOK || a.location != nil {
			rp.w.t.Fatalf("%d %v, want a form\n%s", a.status, a.location, a.body)
		}
		var action string
		action, values = b.form(a, "continue")
		if action != rp.redirect || !strings.Contains(a.body, `method="post"`) {
			rp.w.t.Errorf("the form goes to %s, want a POST to %s", action, rp.redirect)
		}
	} else {
		if a.status != http.StatusSeeOther || a.location == nil || !strings.HasPrefix(a.location.String(), rp.redirect+"?") {
			rp.w.t.Fatalf("%d %v %s, want a redirect to %s", a.status, a.location, a.text("error-description"), rp.redirect)
		}
		if a.location.Fragment != "" {
			rp.w.t.Errorf("fragment %q", a.location.Fragment)
		}
		values = a.location.Query()
	}
	known := []string{"code", "error", "error_description", "state", "iss"}
	for name, list := range values {
		if !slices.Contains(known, name) || len(list) != 1 {
			rp.w.t.Errorf("parameter %s: %q", name, list)
		}
	}
	if values.Get("iss") != issuer || values.Get("state") != state || values.Has("state") != (state != "") {
		rp.w.t.Errorf("iss %q state %q, want state %q", values.Get("iss"), values.Get("state"), state)
	}
	if values.Has("code") == values.Has("error") || !plain(values.Get("error_description")) {
		rp.w.t.Errorf("callback %v", values)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		rp.w.t.Errorf("the response may be kept or referred from: %v", a.header)
	}
	return values
}

// code is the code of a successful response. It is long enough, and looks
// random.
func (rp *relyingParty) code(b *browser, a answer, state string) string {
	rp.w.t.Helper()
	values := rp.callback(b, a, state)
	if values.Has("error") {
		rp.w.t.Fatalf("callback %v, want a code", values)
	}
	wantUnguessable(rp.w.t, "code", values.Get("code"))
	return values.Get("code")
}

// wantError checks that the request was refused with one of the codes.
func (rp *relyingParty) wantError(b *browser, a answer, state string, codes ...string) {
	rp.w.t.Helper()
	if values := rp.callback(b, a, state); !slices.Contains(codes, values.Get("error")) {
		rp.w.t.Errorf("callback %v, want one of %v", values, codes)
	}
}

// post sends a form to an endpoint, authenticated as the client.
func (rp *relyingParty) post(path string, pairs ...string) answer {
	rp.w.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	if rp.inBody {
		form.Set("client_id", rp.id)
		form.Set("client_secret", rp.secret())
	}
	r, err := http.NewRequestWithContext(rp.w.t.Context(), http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		rp.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if rp.prover != nil {
		rp.prover.prove(r, "")
	}
	if !rp.inBody {
		r.SetBasicAuth(url.QueryEscape(rp.id), url.QueryEscape(rp.secret()))
	}
	return rp.w.do(r)
}

func (rp *relyingParty) secret() string {
	if rp.given != "" {
		return rp.given
	}
	return secrets[rp.id]
}

// do sends a request that is no browser's.
func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	response, err := w.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}
}

// tokens is a token response.
type tokens struct {
	AccessToken  string  `json:"access_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    float64 `json:"expires_in"`
	RefreshToken string  `json:"refresh_token"`
	IDToken      string  `json:"id_token"`
	Scope        string  `json:"scope"`
}

// redeem redeems a code.
func (rp *relyingParty) redeem(code string, more ...string) tokens {
	rp.w.t.Helper()
	pairs := append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", rp.redirect}, more...)
	return rp.wantTokens(rp.post("/oauth2/token", pairs...))
}

// tokenCharacters are those a refresh token may have (RFC 6749 appendix A.17),
// without the ones that some client would have to escape.
var tokenCharacters = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]*$`)

// wantTokens checks a successful token response.
func (rp *relyingParty) wantTokens(a answer) tokens {
	rp.w.t.Helper()
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != http.StatusOK || media != "application/json" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
		rp.w.t.Fatalf("token response %d %v %s", a.status, a.header, a.body)
	}
	got := decode[tokens](rp.w.t, a.body)
	if !strings.EqualFold(got.TokenType, rp.tokenType()) || got.ExpiresIn < 1 || got.ExpiresIn > 31_536_000 || got.AccessToken == "" {
		rp.w.t.Errorf("token response %+v", got)
	}
	wantUnguessable(rp.w.t, "access token", got.AccessToken)
	if got.RefreshToken != "" {
		wantUnguessable(rp.w.t, "refresh token", got.RefreshToken)
		if !tokenCharacters.MatchString(got.RefreshToken) {
			rp.w.t.Errorf("characters of the refresh token %q", got.RefreshToken)
		}
	}
	return got
}

// wantRefused checks an error of the token endpoint: 400, or 401 with
// invalid_client, as JSON that nobody keeps.
func (rp *relyingParty) wantRefused(a answer, code string) {
	rp.w.t.Helper()
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	got := decode[map[string]any](rp.w.t, a.body)
	description, _ := got["error_description"].(string)
	if a.status != status || got["error"] != code || media != "application/json" || !plain(description) || a.header.Get("Cache-Control") != "no-store" {
		rp.w.t.Errorf("%d %v %s, want %d %s", a.status, a.header, a.body, status, code)
	}
}

// idTokenClaims are the claims that an ID token may have unless others are
// asked for by name.
var idTokenClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "s_hash", "nbf", "jti", "sid", "txn",
}

// idToken checks an ID token with another implementation, and gives its claims.
func (rp *relyingParty) idToken(t tokens, nonce string, asked ...string) map[string]any {
	rp.w.t.Helper()
	ctx := oidc.ClientContext(rp.w.t.Context(), &http.Client{Transport: rp.w})
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		rp.w.t.Fatal(err)
	}
	parsed, err := provider.Verifier(&oidc.Config{ClientID: rp.id, Now: rp.w.clock.Now}).Verify(ctx, t.IDToken)
	if err != nil {
		rp.w.t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(&claims); err != nil {
		rp.w.t.Fatal(err)
	}
	for name := range claims {
		if !slices.Contains(idTokenClaims, name) && !slices.Contains(asked, name) {
			rp.w.t.Errorf("the ID token has the claim %s, which was not asked of it", name)
		}
	}
	now := rp.w.clock.Now()
	switch authTime, dated := claims["auth_time"].(float64); {
	case parsed.IssuedAt.Sub(now).Abs().Minutes() > 5, parsed.Expiry.Sub(now).Hours() > 50*365*24:
		rp.w.t.Errorf("iat %s exp %s", parsed.IssuedAt, parsed.Expiry)
	case dated && (int64(authTime) > now.Unix() || now.Unix()-int64(authTime) > 365*24*3600):
		rp.w.t.Errorf("auth_time %v", authTime)
	case claims["acr"] == "", len(parsed.Subject) > 255, !plain(parsed.Subject):
		rp.w.t.Errorf("claims %v", claims)
	case parsed.AccessTokenHash != "" && parsed.VerifyAccessToken(t.AccessToken) != nil:
		rp.w.t.Error("at_hash is of another access token")
	}
	if got, has := claims["nonce"]; has != (nonce != "") || nonce != "" && got != nonce {
		rp.w.t.Errorf("nonce %v, want %q", got, nonce)
	}
	return claims
}

// wantUserinfo checks an answer of the userinfo endpoint.
func (rp *relyingParty) wantUserinfo(a answer) map[string]any {
	rp.w.t.Helper()
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != http.StatusOK || media != "application/json" {
		rp.w.t.Fatalf("userinfo %d %v %s", a.status, a.header, a.body)
	}
	return decode[map[string]any](rp.w.t, a.body)
}

func (rp *relyingParty) userinfo(t tokens) map[string]any {
	rp.w.t.Helper()
	return rp.wantUserinfo(rp.w.bearer(http.MethodGet, "/oauth2/userinfo", t.AccessToken))
}

// bearer sends a request with an access token in the header.
func (w *world) bearer(method, path, token string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, issuer+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return w.do(r)
}

// login is what a whole flow gave.
type login struct {
	tokens   tokens
	id       map[string]any
	userinfo map[string]any
}

// finish redeems the code of an answer and checks all that comes of it.
func (rp *relyingParty) finish(b *browser, a answer) login {
	rp.w.t.Helper()
	return rp.finishWith(b, a, usualState, usualNonce)
}

func (rp *relyingParty) finishWith(b *browser, a answer, state, nonce string, asked ...string) login {
	rp.w.t.Helper()
	got := rp.redeem(rp.code(b, a, state))
	l := login{tokens: got, id: rp.idToken(got, nonce, asked...), userinfo: rp.userinfo(got)}
	if l.id["sub"] != l.userinfo["sub"] {
		rp.w.t.Errorf("sub %v in the ID token and %v at userinfo", l.id["sub"], l.userinfo["sub"])
	}
	return l
}

func decode[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return v
}

// wantUnguessable checks that a secret has room for 128 bits and looks like 96
// at least, as the suite estimates it: by how often each character occurs.
func wantUnguessable(t testing.TB, what, value string) {
	t.Helper()
	count := map[rune]float64{}
	for _, c := range value {
		count[c]++
	}
	bits, n := 0.0, float64(len(value))
	for _, times := range count {
		bits -= times * math.Log2(times/n)
	}
	if n*6 < 128 || bits < 96 {
		t.Errorf("%s of %v characters and %.0f bits", what, n, bits)
	}
}
