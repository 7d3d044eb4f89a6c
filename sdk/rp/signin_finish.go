package rp

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/oauth"
)

// ErrNotStarted means that this browser has no such sign-in under way: it took
// too long, was finished already, or was started elsewhere. Offer to sign in
// again.
var ErrNotStarted = errors.New("rp: this browser has no such sign-in under way")

// errMixUp means that an answer names another server than the one asked.
var errMixUp = errors.New("rp: the answer is not the authorization server's own")

// Finish takes the browser back at RedirectURL and answers who has signed in.
// A refusal by the server or the person is an *oauth.Error; ErrNotStarted asks
// for another try. Nothing of an answer is used before its state, its issuer
// (RFC 9207) and the ID token are checked.
func (s *SignIn) Finish(w http.ResponseWriter, r *http.Request) (*Identity, error) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		return nil, errors.New("rp: the browser comes back by GET")
	}
	answer, err := parseCallback(r.URL.Query())
	if err != nil {
		return nil, err
	}
	pending, ok := s.take(w, r, answer.state)
	if !ok {
		return nil, ErrNotStarted
	}
	if err := s.checkIssuer(answer); err != nil {
		return nil, err
	}
	if answer.err != nil {
		return nil, answer.err
	}
	if answer.code == "" {
		return nil, errors.New("rp: the answer has neither a code nor an error")
	}
	return s.redeem(r, answer.code, pending)
}

// callback is the authorization response (RFC 6749 §4.1.2).
type callback struct {
	state, code, issuer string
	err                 *oauth.Error
}

func parseCallback(query url.Values) (callback, error) {
	for _, name := range [...]string{"state", "code", "iss", "error", "error_description"} {
		if len(query[name]) > 1 {
			return callback{}, fmt.Errorf("rp: the answer repeats %s", name) // RFC 6749 §3.1
		}
	}
	answer := callback{state: query.Get("state"), code: query.Get("code"), issuer: query.Get("iss")}
	if answer.state == "" {
		return callback{}, ErrNotStarted
	}
	if code := query.Get("error"); code != "" {
		answer.err = oauth.Refuse(oauth.Code(code), query.Get("error_description"))
	}
	return answer, nil
}

// checkIssuer is RFC 9207 §2.4: where the server says that it names itself,
// an answer without the name is as bad as one with another's.
func (s *SignIn) checkIssuer(answer callback) error {
	client := s.config.Client
	if answer.issuer == "" && !client.Metadata.AuthorizationResponseISSParameterSupported {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(answer.issuer), []byte(client.Issuer)) != 1 {
		return errMixUp
	}
	return nil
}

// redeem turns the code into tokens (RFC 6749 §4.1.3). With one resource or
// none the server knows what the token is for; of several the first is asked
// for, and the others through Refresh.
func (s *SignIn) redeem(r *http.Request, code string, pending pendingSignIn) (*Identity, error) {
	client := s.config.Client
	form := url.Values{
		"grant_type":    {string(oauth.GrantAuthorizationCode)},
		"code":          {code},
		"redirect_uri":  {s.config.RedirectURL},
		"code_verifier": {pending.Verifier},
	}
	if len(s.config.Resources) > 1 {
		form.Set("resource", s.config.Resources[0])
	}
	token, answer, err := client.token(r.Context(), form)
	if err != nil {
		return nil, err
	}
	claims, err := client.verifyIDToken(r.Context(), idTokenCheck{
		raw: answer.IDToken, nonce: pending.Nonce, accessToken: token.AccessToken, maxAge: pending.MaxAge,
	})
	if err != nil {
		return nil, err
	}
	return &Identity{
		Issuer: claims.Issuer, Subject: claims.Subject, Claims: *claims,
		Token: token, IDToken: answer.IDToken, ReturnTo: pending.ReturnTo,
		Details: answer.AuthorizationDetails,
	}, nil
}
