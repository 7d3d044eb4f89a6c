package account_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/outgoing"
)

// TestPasswordElsewhere holds that the other system is asked until a person has signed in
// once, and that one which gives no clear word lets nobody in and counts nobody's attempt.
func TestPasswordElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked, answer, status := 0, `{"match": true}`, http.StatusOK
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		var question struct{ Email, Password string }
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil || question.Email != "old@example.com" || r.Header.Get("Authorization") != "Bearer the secret" {
			t.Errorf("asked for %+v, %v, as %q", question, err, r.Header.Get("Authorization"))
		}
		if status == http.StatusOK && answer == "" {
			answer = map[bool]string{true: `{"match":true}`, false: `{"match":false}`}[question.Password == "old one"]
			defer func() { answer = "" }()
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(other.Close)
	hook := &account.PasswordHook{URL: other.URL, Secret: "the secret", Client: outgoing.NewClient(outgoing.PolicyFor(other.URL, nil, nil))}
	people := []account.Imported{{Email: "old@example.com", PasswordElsewhere: true}}
	if err := people[0].Check(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Import(t.Context(), people, account.Origin{}); err != nil {
		t.Fatal(err)
	}
	try := func(password string) error { return b.attempt(t.Context(), "Old@example.com", password, home, "") }
	if err := try("old one"); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("without a hook: %v", err)
	}
	b.PasswordHook = hook
	for range 30 { // more than anybody may fail
		for _, unclear := range []struct {
			status int
			answer string
		}{{500, `{"match":true}`}, {200, `true`}, {200, `{}`}, {200, `{"match":"yes"}`}, {302, ``}} {
			status, answer = unclear.status, unclear.answer
			if err := try("old one"); !errors.Is(err, account.ErrElsewhere) {
				t.Fatalf("%d %s: %v", unclear.status, unclear.answer, err)
			}
		}
	}
	status, answer = 200, ""
	if err := try("a wrong one"); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := try("old one"); err != nil {
		t.Fatal(err)
	}
	before := asked
	other.Close()
	if err := try("old one"); err != nil || asked != before {
		t.Errorf("the second time: %v", err)
	}
	if err := try("another"); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("a wrong one the second time: %v", err)
	}
	both := account.Imported{Email: email, PasswordElsewhere: true, PasswordHash: djangoHash}
	if both.Check() == nil {
		t.Error("a person with a hash and a password elsewhere is taken")
	}
}
