package event_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/event"
	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
)

// E3: a credential is made when it is sent, so that keys may change while an
// event waits.
func TestKeysChangeWhileAnEventWaits(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	h.answers(status(500))
	f.publish(f.sold("alice", "lamp"))
	f.deliver()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.issuer.Key, f.issuer.KeyID = key, "key-2"
	f.issuer.Publish(issuertest.PublicKey(key, "key-2"))
	h.answers(nil)
	f.pass(time.Minute)
	calls := h.got()
	parsed, err := jose.ParseSignedCompact(strings.TrimPrefix(calls[1].header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(&key.PublicKey); err != nil || parsed.Signatures[0].Header.KeyID != "key-2" {
		t.Errorf("signed with %s: %v", parsed.Signatures[0].Header.KeyID, err)
	}
	if calls[0].credential(t)["jti"] != calls[1].credential(t)["jti"] {
		t.Error("another jti")
	}
}

// A receiver that the group file does not declare has no credential. The others
// of the event get theirs, and the subscription is paused with the reason.
func TestAReceiverThatIsNotDeclaredIsPaused(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	f.issuer.Declared = func(_, receiver, _ string) bool { return receiver != "crypto" }
	pay, crypto := f.hook("pay"), f.hook("crypto")
	f.publish(f.sold("alice", "1"), f.sold("alice", "2"))
	f.deliver()
	pay.want("1 2")
	crypto.want("")
	if state, reason := f.state("crypto", crypto.id); state != event.Paused || reason != "The group file does not declare that crypto receives item.sold." {
		t.Errorf("got %s: %s", state, reason)
	}
	f.issuer.Declared = nil
	if status, answer := f.ask("crypto", http.MethodPost, crypto.id+"/verify", ""); status != http.StatusTooManyRequests {
		t.Errorf("got %d %v", status, answer) // it was verified just now
	}
	f.pass(time.Minute)
	if status, answer := f.ask("crypto", http.MethodPost, crypto.id+"/verify", ""); status != http.StatusOK {
		t.Errorf("got %d %v", status, answer)
	}
	f.deliver()
	crypto.want("1 2")
}

// An authorization server that is away is no receiver's fault: nothing is
// counted, and all goes on when it is back.
func TestTheAuthorizationServerIsAway(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	f.publish(f.sold("alice", "1"), f.sold("bob", "2"))
	f.issuer.Away(true)
	f.deliver()
	asked := f.issuer.Count("/oauth2/token")
	for range 600 {
		f.pass(time.Second)
	}
	if tries := f.issuer.Count("/oauth2/token") - asked; tries > 80 || tries < 20 {
		t.Errorf("asked %d times in ten minutes", tries)
	}
	h.want("")
	f.issuer.Away(false)
	f.pass(time.Minute)
	if n := len(h.got()); n != 2 {
		t.Errorf("%d came", n)
	}
	// A refusal of this one event alone is final.
	f.issuer.Answer = func(w http.ResponseWriter, form map[string][]string) bool {
		if !strings.Contains(strings.Join(form["authorization_details"], ""), "sale-bad") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"invalid_request","error_description":"No."}`)
		return true
	}
	f.publish(f.sold("alice", "bad"), f.sold("alice", "3"))
	f.deliver()
	letters := f.dead()
	if len(letters) != 1 || letters[0].Fault != string(oauth.InvalidRequest)+": No." {
		t.Errorf("dead: %v", letters)
	}
	if got := h.items(); !strings.HasSuffix(got, " 3") {
		t.Errorf("got %q", got)
	}
}

// An event that has not happened yet for the server, since a clock is ahead, is
// tried again, and nobody else waits for it.
func TestAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	h := f.hook("pay")
	ahead := f.issuer.Clock.Now()
	f.issuer.Answer = func(w http.ResponseWriter, form map[string][]string) bool {
		early := strings.Contains(strings.Join(form["authorization_details"], ""), "sale-early")
		if !early || f.issuer.Clock.Now().After(ahead.Add(2*time.Minute)) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":"invalid_authorization_details","error_description":"Not yet."}`)
		return true
	}
	f.publish(f.sold("alice", "early"), f.sold("alice", "next"), f.sold("bob", "b"))
	f.deliver()
	h.want("b")
	for range 8 {
		f.pass(time.Minute)
	}
	h.want("b early next")
}

// Credentials come fifty at a time.
func TestManyReceiversOfOneEvent(t *testing.T) {
	t.Parallel()
	f := setupPublisher(t)
	var hooks []*hook
	for n := range 60 {
		hooks = append(hooks, f.hook(fmt.Sprintf("subsystem%d", n)))
	}
	twice := f.hook("subsystem0") // one receiver, two webhooks
	asked := f.issuer.Count("/oauth2/token")
	f.publish(f.sold("alice", "lamp"))
	f.deliver()
	for n, h := range append(hooks, twice) {
		h.want("lamp")
		if n < 60 && h.got()[0].credential(t)["sub"] != fmt.Sprintf("alice.subsystem%d", n) {
			t.Errorf("subsystem%d got %v", n, h.got()[0].credential(t))
		}
	}
	if tries := f.issuer.Count("/oauth2/token") - asked; tries != 2 {
		t.Errorf("%d requests for 60 credentials", tries)
	}
	if diff := cmp.Diff(hooks[0].got()[0].header["Authorization"], twice.got()[0].header["Authorization"]); diff != "" {
		t.Error(diff)
	}
}
