package token_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/oauth"
)

// answer is what an endpoint answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// into reads the body as JSON.
func into[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return v
}

// as says which client a request is from.
type as func(*http.Request, url.Values)

// basic authenticates with client_secret_basic.
func basic(clientID string) as {
	return func(r *http.Request, _ url.Values) { r.SetBasicAuth(clientID, secretOf(clientID)) }
}

// public names a public client.
func public(clientID string) as {
	return func(_ *http.Request, form url.Values) { form.Set("client_id", clientID) }
}

// post sends a form. Values come in pairs.
func (b *bundle) post(path string, who as, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, issuer+path, http.NoBody)
	if who != nil {
		who(r, form)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = io.NopCloser(strings.NewReader(form.Encode()))
	return b.send(r)
}

func (b *bundle) send(r *http.Request) answer {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// tokens sends a token request that must succeed.
func (b *bundle) tokens(who as, pairs ...string) oauth.TokenResponse {
	b.t.Helper()
	a := b.post(token.PathToken, who, pairs...)
	if a.status != http.StatusOK {
		b.t.Fatalf("token request %v: %d %s", pairs, a.status, a.body)
	}
	return into[oauth.TokenResponse](b.t, a)
}

// wantRefusal checks that a request was refused with the code, and that the
// description has the words and keeps to the characters of RFC 6749 §5.2.
func (b *bundle) wantRefusal(a answer, status int, code oauth.Code, words string) {
	b.t.Helper()
	refusal := into[oauth.Error](b.t, a)
	if a.status != status || refusal.Code != code || !strings.Contains(refusal.Description, words) {
		b.t.Errorf("answer %d %s, want %d %s with %q", a.status, a.body, status, code, words)
	}
	for _, c := range refusal.Description {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			b.t.Errorf("description %q has the character %q", refusal.Description, c)
		}
	}
	if a.header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("a refusal may be cached: %q", a.header.Get("Cache-Control"))
	}
}

// signIn is what a person allowed a client in a browser.
type signIn struct {
	client      string
	redirectURI string
	scopes      grant.Scopes
	details     string // authorization_details
	claims      string
	exact       bool
	noPKCE      bool
	offline     bool
}

// code signs the person in and gives the code that the client gets.
func (b *bundle) code(s signIn) string {
	b.t.Helper()
	ctx := b.t.Context()
	var code string
	err := b.db.Update(ctx, func(tx *db.Tx) error {
		session, _, err := b.grants.StartSession(ctx, tx, b.person.ID, grant.SignIn{
			AuthTime: b.clock.Now(), ACR: "aal1", AMR: []string{"pwd"},
		})
		if err != nil {
			return err
		}
		challenge := sha256.Sum256([]byte(verifier))
		a := grant.Authorization{
			Session: session, ClientID: s.client, Scopes: s.scopes, RedirectURI: s.redirectURI, Nonce: "n-1",
			Challenge: base64.RawURLEncoding.EncodeToString(challenge[:]), Claims: s.claims, ExactAuthTime: s.exact, Offline: s.offline,
		}
		if s.details != "" {
			if a.Details, err = rar.Parse(s.details); err != nil {
				return err
			}
		}
		if s.noPKCE {
			a.Challenge = ""
		}
		code, err = b.grants.Authorize(ctx, tx, a)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return code
}

// redemption are the parameters of a token request with a code.
func redemption(code, redirectURI string, more ...string) []string {
	return append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier}, more...)
}

const (
	webRedirect     = "https://market.test/callback"
	partnerRedirect = "https://partner.test/callback"
)

// appTokens are the tokens of the app in the browser, with the scopes given.
func (b *bundle) appTokens(scopes grant.Scopes, more ...string) oauth.TokenResponse {
	b.t.Helper()
	code := b.code(signIn{client: "market-app.web", redirectURI: webRedirect, scopes: scopes})
	return b.tokens(public("market-app.web"), redemption(code, webRedirect, more...)...)
}

// exchange are the parameters of a token exchange.
func exchange(subject, resource string, more ...string) []string {
	pairs := []string{
		"grant_type", string(oauth.GrantTokenExchange),
		"subject_token", subject, "subject_token_type", string(oauth.TokenTypeAccess),
	}
	if resource != "" {
		pairs = append(pairs, "resource", resource)
	}
	return append(pairs, more...)
}

// claims reads an access token that must be alive.
func (b *bundle) claims(accessToken string) *oauth.AccessTokenClaims {
	b.t.Helper()
	checked, err := b.mint.Check(b.t.Context(), accessToken)
	if err != nil {
		b.t.Fatalf("token is not alive: %v", err)
	}
	return checked.Claims()
}

// subject is the person's pairwise subject in a subsystem's sector.
func (b *bundle) subject(subsystem string) string {
	b.t.Helper()
	s, ok := b.registry.Current().Subsystem(subsystem)
	if !ok {
		b.t.Fatalf("no subsystem %s", subsystem)
	}
	return b.pairwise.Subject(s.Sector, b.person.Ref)
}

// introspect asks for a token and gives the body of the answer.
func (b *bundle) introspect(who as, accessToken string) oauth.Introspection {
	b.t.Helper()
	a := b.post(token.PathIntrospection, who, "token", accessToken)
	if a.status != http.StatusOK {
		b.t.Fatalf("introspection: %d %s", a.status, a.body)
	}
	return into[oauth.Introspection](b.t, a)
}

// bearer asks userinfo with a token in the header.
func (b *bundle) bearer(method, accessToken string) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, issuer+token.PathUserinfo, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	return b.send(r)
}

// headerOf reads the header of a JWT.
func headerOf(t testing.TB, jwt string) map[string]any { return segmentOf(t, jwt, 0) }

// payloadOf reads the claims of a JWT.
func payloadOf(t testing.TB, jwt string) map[string]any { return segmentOf(t, jwt, 1) }

func segmentOf(t testing.TB, jwt string, i int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	return members
}
