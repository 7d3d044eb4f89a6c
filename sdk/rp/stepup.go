package rp

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/oauth"
)

// StepUp tells whether an API answers that the person must sign in again, or in a
// stronger way (RFC 9470 §3), and what to ask for: SignIn.StartWith does.
func StepUp(response *http.Response) (ask Ask, needed bool) {
	if response.StatusCode != http.StatusUnauthorized {
		return Ask{}, false
	}
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		if parameter(challenge, "error") != string(oauth.InsufficientUserAuthentication) {
			continue
		}
		ask.ACRValues = parameter(challenge, "acr_values")
		if seconds, err := strconv.ParseInt(parameter(challenge, "max_age"), 10, 32); err == nil && seconds > 0 {
			ask.MaxAge = time.Duration(seconds) * time.Second
		}
		return ask, true
	}
	return Ask{}, false
}

// parameter finds name="value" in a challenge (RFC 9110 §11.2). A value with a quote in
// it is none of ours.
func parameter(challenge, name string) string {
	for _, separator := range []string{" ", ","} {
		if _, rest, found := strings.Cut(challenge, separator+name+`="`); found {
			value, _, _ := strings.Cut(rest, `"`)
			return value
		}
	}
	return ""
}
