package event

import (
	"encoding/json"
	"net/http"
	"slices"
)

// SetSecrets replaces Config.Secrets: a publisher gives the secret when this
// receiver subscribes, and another when it is changed. The one before is good
// for a day from then on, so set both.
func (r *Receiver) SetSecrets(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = slices.Clone(secrets)
}

// answerChallenge shows a publisher that this address is ours: it gets back
// what it sent, if it signed it with a secret that both know.
func (r *Receiver) answerChallenge(request *http.Request, body []byte) (any, error) {
	var challenge struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(body, &challenge); err != nil || challenge.Type != "verification" || challenge.Challenge == "" {
		return nil, refuse(AuthenticationFailed, "The request has no event credential in an Authorization header.")
	}
	if !r.signed(request, body) {
		return nil, refuse(AuthenticationFailed, "The challenge is not signed with a secret known here.")
	}
	return struct {
		Challenge string `json:"challenge"`
	}{challenge.Challenge}, nil
}

// checkSignature judges the signature of a delivery that has one, where there
// are secrets to judge it by. It must be over this event.
func (r *Receiver) checkSignature(request *http.Request, id string, body []byte) error {
	if len(r.known()) == 0 || request.Header.Get(headerSignature) == "" {
		return nil
	}
	if request.Header.Get(headerID) != id || !r.signed(request, body) {
		return refuse(AuthenticationFailed, "The signature of the request is not right.")
	}
	return nil
}

// signed reports whether one of the secrets has signed the request.
func (r *Receiver) signed(request *http.Request, body []byte) bool {
	return VerifySignature(r.known(), request.Header, body, r.now()) == nil
}

// known are the secrets as they are now.
func (r *Receiver) known() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.secrets
}
