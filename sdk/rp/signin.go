package rp

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
)

// SignInConfig describes how people sign in to one web client.
type SignInConfig struct {
	Client      *Client
	RedirectURL string   // registered for the client; Finish is served there
	Scopes      []string // openid is always asked for
	Resources   []string // the APIs to be called for the person

	// Push sends each authorization request to the authorization server first
	// (RFC 9126), so that the browser carries no more than a reference to it and
	// nobody can change it on the way.
	Push bool

	// Sign signs each authorization request with the Key of the client (RFC 9101), so
	// that the authorization server can prove later what was asked of it.
	Sign bool

	// CookieKey is 32 random bytes, the same on every replica: it seals the
	// state of sign-ins under way into a cookie, so that any replica can
	// finish what another has started.
	CookieKey []byte
}

// SignIn sends people to the authorization server and takes them back.
type SignIn struct {
	config SignInConfig
	seal   cipher.AEAD
	secure bool // the site is https
}

// Ask says how a person shall sign in this time. The zero Ask asks nothing
// special.
type Ask struct {
	ReturnTo  string        // path of this site to go on to, given back in Identity
	Prompt    string        // none, login, consent or select_account
	MaxAge    time.Duration // not zero: the sign-in must be no older than this
	ACRValues string        // acr_values: how the person shall sign in, best first
	LoginHint string
	Locales   string // ui_locales, best first: "ja en"

	// Details are authorization_details (RFC 9396 §2): a slice of what is written as
	// JSON objects with a type that one of the Resources takes. Nil asks for none.
	Details any
}

// Identity is who has signed in. Subject means something only together with
// Issuer, and only to this subsystem.
type Identity struct {
	Issuer   string
	Subject  string
	Claims   oauth.IDTokenClaims
	Token    *oauth2.Token // access token, and refresh token where granted
	IDToken  string        // for LogoutURL
	ReturnTo string        // of Ask; "/" where none was asked for

	// Details are the authorization_details that the person allowed, as the access
	// token holds them (RFC 9396 §7); nil for none.
	Details json.RawMessage
}

// NewSignIn checks the configuration.
func NewSignIn(config SignInConfig) (*SignIn, error) {
	if config.Client == nil {
		return nil, errors.New("rp: SignInConfig.Client is nil")
	}
	if config.Client.Metadata.AuthorizationEndpoint == "" {
		return nil, errors.New("rp: the authorization server has no authorization endpoint")
	}
	if config.Push && config.Client.Metadata.PushedAuthorizationRequestEndpoint == "" {
		return nil, errors.New("rp: SignInConfig.Push: the authorization server takes no pushed authorization requests")
	}
	if config.Sign && config.Client.auth.requests == nil {
		return nil, errors.New("rp: SignInConfig.Sign: the client has no Key")
	}
	redirect, err := url.Parse(config.RedirectURL)
	if err != nil || redirect.Host == "" || redirect.Fragment != "" {
		return nil, fmt.Errorf("rp: SignInConfig.RedirectURL %q is not an absolute URL", config.RedirectURL)
	}
	if len(config.CookieKey) != cookieKeyBytes {
		return nil, errors.New("rp: SignInConfig.CookieKey must be 32 random bytes, the same on every replica")
	}
	block, err := aes.NewCipher(config.CookieKey)
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &SignIn{config: config, seal: seal, secure: redirect.Scheme == "https"}, nil
}

// Start sends the browser to the authorization server.
func (s *SignIn) Start(w http.ResponseWriter, r *http.Request) { s.StartWith(w, r, Ask{}) }

// StartWith sends the browser to the authorization server with something
// special to ask. Several sign-ins may be under way in one browser.
func (s *SignIn) StartWith(w http.ResponseWriter, r *http.Request, ask Ask) {
	pending := pendingSignIn{
		Nonce:    rand.Text(),
		Verifier: oauth2.GenerateVerifier(),
		ReturnTo: localPath(ask.ReturnTo),
		MaxAge:   int64(ask.MaxAge / time.Second),
		Started:  s.config.Client.now().Unix(),
	}
	details, err := json.Marshal(ask.Details)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	state := rand.Text()
	if err := s.keep(w, r, state, pending); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	request := s.authorizationRequest(state, pending, ask)
	if ask.Details != nil {
		request.Set("authorization_details", string(details))
	}
	query, err := s.prepare(r.Context(), request)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, s.authorizeURL(query), http.StatusSeeOther)
}

// prepare signs and pushes a request as the configuration has it, and gives what the
// browser carries.
func (s *SignIn) prepare(ctx context.Context, request url.Values) (url.Values, error) {
	if s.config.Sign {
		object, err := s.config.Client.auth.requestObject(request)
		if err != nil {
			return nil, fmt.Errorf("rp: signing the authorization request: %w", err)
		}
		request = url.Values{"client_id": {s.config.Client.ID}, "request": {object}}
	}
	if s.config.Push {
		return s.push(ctx, request)
	}
	return request, nil
}

// push leaves the request with the authorization server and gives what the browser
// carries instead (RFC 9126 §2, §4).
func (s *SignIn) push(ctx context.Context, request url.Values) (url.Values, error) {
	var answer struct {
		RequestURI string `json:"request_uri"`
	}
	client := s.config.Client
	if err := client.postForm(ctx, client.Metadata.PushedAuthorizationRequestEndpoint, request, &answer); err != nil {
		return nil, err
	}
	return url.Values{"client_id": {client.ID}, "request_uri": {answer.RequestURI}}, nil
}

// authorizationRequest is the request of RFC 6749 §4.1.1 with PKCE (RFC 7636 §4.3),
// nonce (OIDC Core §3.1.2.1) and resources (RFC 8707 §2.1).
func (s *SignIn) authorizationRequest(state string, pending pendingSignIn, ask Ask) url.Values {
	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {s.config.Client.ID},
		"redirect_uri":          {s.config.RedirectURL},
		"scope":                 {s.scope()},
		"state":                 {state},
		"nonce":                 {pending.Nonce},
		"code_challenge":        {oauth2.S256ChallengeFromVerifier(pending.Verifier)},
		"code_challenge_method": {"S256"},
	}
	for _, resource := range s.config.Resources {
		query.Add("resource", resource)
	}
	if pending.MaxAge > 0 {
		query.Set("max_age", strconv.FormatInt(pending.MaxAge, 10))
	}
	for name, value := range map[string]string{
		"prompt": ask.Prompt, "acr_values": ask.ACRValues, "login_hint": ask.LoginHint, "ui_locales": ask.Locales,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

func (s *SignIn) authorizeURL(query url.Values) string {
	endpoint := s.config.Client.Metadata.AuthorizationEndpoint
	separator := "?"
	if strings.Contains(endpoint, "?") {
		separator = "&"
	}
	return endpoint + separator + query.Encode()
}

func (s *SignIn) scope() string {
	scopes := oauth.Scopes{oauth.ScopeOpenID}
	for _, scope := range s.config.Scopes {
		if !scopes.Has(scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes.String()
}

// localPath keeps the way back on this site: browsers take //host and /\host
// for another one.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || len(path) > maxReturnBytes ||
		strings.ContainsFunc(path, func(c rune) bool { return c < 0x20 || c == '\\' || c == 0x7f }) {
		return "/"
	}
	return path
}
