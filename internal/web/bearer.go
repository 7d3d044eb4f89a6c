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

// ChallengeScope names the scope that a token lacks in the challenge, if that is
// what err refuses (RFC 6750 §3).
func ChallengeScope(w http.ResponseWriter, err error, scope string) {
	var refusal *oauth.Error
	if errors.As(err, &refusal) && refusal.Code == oauth.InsufficientScope {
		w.Header().Set("WWW-Authenticate",
			`Bearer error="insufficient_scope", error_description="`+refusal.Description+`", scope="`+scope+`"`)
	}
}
