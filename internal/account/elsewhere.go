package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/sekisho-id/sekisho/internal/outgoing"
)

// phcElsewhere stands in place of a password's hash that only the other system has, until
// the person first signs in.
const phcElsewhere = "$elsewhere$"

// ErrElsewhere says that the other system, which has a person's password, did not say
// whether it is right.
var ErrElsewhere = errors.New("account: the system that has the password does not answer")

// PasswordHook asks another system whether a password is right, of people who were
// imported with password_elsewhere and have not signed in since.
type PasswordHook struct {
	URL    string
	Secret string // sent as a bearer token (RFC 6750 §2.1)
	Client *http.Client
}

// hookQuestion and hookAnswer are what is sent and what must come back, as JSON.
type hookQuestion struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

type hookAnswer struct {
	Match *bool `json:"match"`
}

// check reports whether a password is right. Everything but a clear word is ErrElsewhere:
// a system that is down must look neither like a wrong password nor like a right one.
func (h *PasswordHook) check(ctx context.Context, email, password string) (bool, error) {
	body, err := json.Marshal(hookQuestion{email, password})
	if err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+h.Secret)
	response, err := h.Client.Do(request)
	if err != nil {
		return false, fmt.Errorf("%w: %s", ErrElsewhere, outgoing.Detail(err))
	}
	text, err := outgoing.ReadBody(response)
	if err != nil {
		return false, fmt.Errorf("%w: %s", ErrElsewhere, outgoing.Detail(err))
	}
	var answer hookAnswer
	if response.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil || answer.Match == nil {
		return false, fmt.Errorf("%w: status %d, and no member match that is true or false", ErrElsewhere, response.StatusCode)
	}
	return *answer.Match, nil
}

// verify does the work of checking a password, wherever it is known; rehash says that it
// is to be hashed anew. Who is not found, or is disabled, costs the same as a wrong password here.
func (p *People) verify(ctx context.Context, who *candidate, password string) (ok, rehash bool, err error) {
	if who.phc != phcElsewhere {
		return p.Hasher.Verify(ctx, who.phc, password)
	}
	if p.PasswordHook != nil && who.account.Active() {
		ok, err = p.PasswordHook.check(ctx, who.account.Email, password)
	}
	if err != nil || ok {
		return ok, ok, err
	}
	return p.Hasher.Verify(ctx, "", password)
}
