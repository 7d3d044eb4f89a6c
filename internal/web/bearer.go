package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/sekisho-id/sekisho/oauth"
)

// BearerToken finds the access token of a request, in the header only
// (RFC 6750 §2.1).
func BearerToken(r *http.Request) (string, error) {
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return "", NoToken
	case 1:
	default:
		return "", oauth.Refuse(oauth.InvalidRequest, "There is more than one Authorization header.")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, oauth.Bearer) {
		return "", oauth.Refuse(oauth.InvalidRequest, "The Authorization header must be Bearer with an access token.")
	}
	return strings.TrimSpace(token), nil
}

// SentToken is an access token as a request brought it.
type SentToken struct {
	Token string
	DPoP  bool // under the scheme DPoP (RFC 9449 §7.1); else under Bearer
}

// AccessToken finds the access token of a request, in the header only (RFC 6750
// §2.1, RFC 9449 §7.1).
func AccessToken(r *http.Request) (SentToken, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 1 {
		if scheme, token, _ := strings.Cut(headers[0], " "); strings.EqualFold(scheme, oauth.DPoP) {
			return SentToken{strings.TrimSpace(token), true}, nil
		}
	}
	token, err := BearerToken(r)
	return SentToken{Token: token}, err
}

// ChallengeScope names the scope that a token lacks in the challenge, if that is
// what err refuses (RFC 6750 §3).
func ChallengeScope(w http.ResponseWriter, r *http.Request, err error, scope string) {
	var refusal *oauth.Error
	if errors.As(err, &refusal) && refusal.Code == oauth.InsufficientScope {
		w.Header().Set("WWW-Authenticate",
			scheme(r)+` error="insufficient_scope", error_description="`+refusal.Description+`", scope="`+scope+`"`)
	}
}
