package signin

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/sekisho-id/sekisho/internal/grant"
)

// Response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post §2, JARM §2.3).
const (
	modeQuery       = "query"
	modeFormPost    = "form_post"
	modeJWT         = "jwt" // for a code the same as query.jwt
	modeQueryJWT    = "query.jwt"
	modeFormPostJWT = "form_post.jwt"
)

// responseModes are the modes and those that they stand for.
var responseModes = map[string]string{
	"": modeQuery, modeQuery: modeQuery, modeFormPost: modeFormPost,
	modeJWT: modeQueryJWT, modeQueryJWT: modeQueryJWT, modeFormPostJWT: modeFormPostJWT,
}

// Request is an authorization request that has passed the checks, and how far
// the person has come with it. It is stored as JSON while a page is shown. The
// zero ClientID marks a sign-in for the account page, which no client asked for.
type Request struct {
	ClientID     string `json:"client_id,omitempty"`
	RedirectURI  string `json:"redirect_uri,omitempty"`
	ResponseMode string `json:"response_mode,omitempty"`
	State        string `json:"state,omitempty"`

	Scope     []string        `json:"scope,omitempty"`
	Resources []string        `json:"resources,omitempty"`
	Details   json.RawMessage `json:"authorization_details,omitempty"`
	Challenge string          `json:"code_challenge,omitempty"`
	Key       string          `json:"dpop_jkt,omitempty"` // that its code is bound to
	Nonce     string          `json:"nonce,omitempty"`
	Claims    string          `json:"claims,omitempty"` // as it was sent

	ACR       string `json:"acr,omitempty"` // the least level that is wished for; empty for any
	Prompt    Prompt `json:"prompt,omitzero"`
	MaxAge    *int64 `json:"max_age,omitempty"` // seconds
	ExactTime bool   `json:"exact_time,omitempty"`
	Account   string `json:"account,omitempty"` // the only one an answer may be about
	LoginHint string `json:"login_hint,omitempty"`
	UILocales string `json:"ui_locales,omitempty"`

	// Pushed is where the request is kept that a client has pushed, which is
	// answered once.
	Pushed []byte `json:"pushed,omitempty"`

	// Return is where a person goes who signs in for a page of their account; empty for
	// the account page itself.
	Return string `json:"return,omitempty"`

	// Proved is who has proved who they are in one way, where another way of proof is asked for,
	// too, before anybody is signed in.
	Proved *proved `json:"proved,omitempty"`

	// Linking is who came from a provider, and has an account that is not connected yet.
	Linking *linking `json:"linking,omitempty"`

	// What the person has done for this request, each by the session that did
	// it: a session of somebody else has done nothing.
	SignedIn  string `json:"signed_in,omitempty"`
	Chosen    string `json:"chosen,omitempty"`
	Consented string `json:"consented,omitempty"`
}

// Prompt is the prompt parameter (OIDC Core §3.1.2.1, Initiating User
// Registration 1.0 §4).
type Prompt struct {
	None          bool `json:"none,omitempty"`
	Login         bool `json:"login,omitempty"`
	Consent       bool `json:"consent,omitempty"`
	SelectAccount bool `json:"select_account,omitempty"`
	Create        bool `json:"create,omitempty"`
}

// byForm reports whether the answer is posted by a form.
func (r *Request) byForm() bool {
	return r.ResponseMode == modeFormPost || r.ResponseMode == modeFormPostJWT
}

// signed reports whether the answer is a signed token.
func (r *Request) signed() bool {
	return r.ResponseMode == modeQueryJWT || r.ResponseMode == modeFormPostJWT
}

// forAccount reports whether the person goes to their account page, not to a
// client.
func (r *Request) forAccount() bool { return r.ClientID == "" }

// tooOld reports whether the client wants a newer sign-in than the session's.
func (r *Request) tooOld(authTime, now time.Time) bool {
	return r.MaxAge != nil && now.Sub(authTime) > time.Duration(*r.MaxAge)*time.Second
}

// sessionName is how a Request names the session that did something for it.
func sessionName(s *grant.Session) string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.ID[:])
}
