package issuertest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
)

// client authenticates the asker in one of the three ways.
func (i *Issuer) client(w http.ResponseWriter, r *http.Request) (string, bool) {
	if err := r.ParseForm(); err != nil {
		refuse(w, oauth.InvalidRequest, "no form")
		return "", false
	}
	if user, password, ok := r.BasicAuth(); ok {
		id, _ := url.QueryUnescape(user)
		secret, _ := url.QueryUnescape(password)
		if secret == Secret {
			return id, true
		}
	} else if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
		if id, ok := i.assertion(assertion); ok && r.PostForm.Get("client_assertion_type") == oauth.AssertionJWTBearer {
			return id, true
		}
	} else if id := r.PostForm.Get("client_id"); id != "" {
		return id, true
	}
	refuse(w, oauth.InvalidClient, "client authentication failed")
	return "", false
}

func (i *Issuer) assertion(compact string) (string, bool) {
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"` // a list is refused
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	if json.Unmarshal(parsed.UnsafePayloadWithoutVerification(), &claims) != nil {
		return "", false
	}
	key := i.ClientKeys[claims.Subject]
	if key == nil || parsed.Signatures[0].Header.KeyID == "" {
		return "", false
	}
	if _, err := parsed.Verify(key); err != nil {
		return "", false
	}
	now := i.Clock.Now().Unix()
	good := claims.Issuer == claims.Subject && claims.Audience == i.URL && claims.ID != "" &&
		claims.IssuedAt <= now && claims.Expires > now && claims.Expires <= now+300
	return claims.Subject, good
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	client, ok := i.client(w, r)
	if !ok {
		return
	}
	form := r.PostForm
	i.mu.Lock()
	i.forms = append(i.forms, form)
	i.number++
	number := i.number
	i.mu.Unlock()
	if i.Answer != nil && i.Answer(w, form) {
		return
	}
	answer := oauth.TokenResponse{TokenType: oauth.Bearer, ExpiresIn: int64(i.Life / time.Second)}
	answer.Scope, _ = oauth.ParseScopes(form.Get("scope"))
	switch oauth.GrantType(form.Get("grant_type")) {
	case oauth.GrantClientCredentials:
		if form.Get("scope") == oauth.ScopeReissue && !i.Rekeyed {
			refuse(w, oauth.InvalidScope, "nothing was re-keyed")
			return
		}
		answer.AccessToken = fmt.Sprintf("service-%d", number)
	case oauth.GrantTokenExchange:
		if form.Get("requested_token_type") == string(oauth.TokenTypeID) {
			i.events(w, form, client)
			return
		}
		answer.AccessToken = fmt.Sprintf("exchanged-%d", number)
		answer.IssuedTokenType = oauth.TokenTypeAccess
	case oauth.GrantRefreshToken:
		answer.AccessToken = fmt.Sprintf("refreshed-%d", number)
	case oauth.GrantAuthorizationCode:
		i.redeem(w, form, client)
		return
	default:
		refuse(w, oauth.UnsupportedGrantType, "no such grant")
		return
	}
	write(w, http.StatusOK, answer)
}

func (i *Issuer) redeem(w http.ResponseWriter, form url.Values, client string) {
	i.mu.Lock()
	code := form.Get("code")
	held, ok := i.codes[code]
	delete(i.codes, code)
	i.mu.Unlock()
	if !ok || held.client != client || held.redirect != form.Get("redirect_uri") ||
		held.challenge != challengeOf(form.Get("code_verifier")) {
		refuse(w, oauth.InvalidGrant, "the code is not good")
		return
	}
	write(w, http.StatusOK, oauth.TokenResponse{
		AccessToken: "access-" + code, TokenType: oauth.Bearer, ExpiresIn: int64(i.Life / time.Second),
		RefreshToken: "refresh-" + code, IDToken: i.IDToken(i.IDClaims(client, held.nonce)),
	})
}

// IDClaims are the claims of a good ID token for alice.
func (i *Issuer) IDClaims(client, nonce string) map[string]any {
	now := i.Clock.Now()
	return map[string]any{
		"iss": i.URL, "sub": Subject("alice", client), "aud": client, "nonce": nonce, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(i.Life).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
	}
}

// IDToken signs claims as the issuer signs ID tokens.
func (i *Issuer) IDToken(claims map[string]any) string {
	return Sign(jose.ES256, i.Key, map[string]any{"kid": i.KeyID, "typ": "JWT"}, claims)
}
