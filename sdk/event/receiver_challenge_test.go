package event_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/event"
)

const (
	oldSecret = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk"
	newSecret = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3"
)

// signature makes the headers of a request signed with a secret.
func (r *receiving) signature(secret, id, body string) []string {
	timestamp := strconv.FormatInt(r.issuer.Clock.Now().Unix(), 10)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		r.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return []string{
		"Content-Type", "application/json", "Webhook-Id", id, "Webhook-Timestamp", timestamp,
		"Webhook-Signature", "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}
}

func TestAChallengeIsAnsweredIfItIsSigned(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) { c.Secrets = []string{oldSecret, newSecret} })
	body := `{"type":"verification","challenge":"a \"challenge\""}`
	for _, secret := range []string{oldSecret, newSecret} {
		got := r.send(body, r.signature(secret, "check-1", body)...)
		if got.status != http.StatusOK || got.body != `{"challenge":"a \"challenge\""}`+"\n" || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("answered %d %s %v", got.status, got.body, got.header)
		}
	}
	refused := func(name string, got answered) {
		t.Helper()
		r.want(name, got, http.StatusBadRequest, event.AuthenticationFailed)
	}
	refused("another secret", r.send(body, r.signature("whsec_eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4", "check-1", body)...))
	refused("another body", r.send(body, r.signature(oldSecret, "check-1", body+" ")...))
	refused("no signature", r.send(body, "Content-Type", "application/json"))
	for _, other := range []string{`{"type":"verification"}`, `{"type":"x","challenge":"c"}`, `{"challenge":"c"}`, "{", "[]"} {
		refused(other, r.send(other, r.signature(oldSecret, "check-1", other)...))
	}
	stale := r.signature(oldSecret, "check-1", body)
	r.issuer.Clock.Advance(6 * time.Minute)
	refused("of six minutes ago", r.send(body, stale...))
}

func TestADeliverysSignatureIsCheckedWhereThereIsOne(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, func(c *event.Config) { c.Secrets = []string{oldSecret} })
	claims := r.issuer.DeliveryClaims("alice", "crypto", []byte(sale))
	bearer := []string{"Authorization", "Bearer " + r.issuer.EventToken(claims)}
	id := claims["jti"].(string)
	r.want("another secret", r.send(sale, append(r.signature(newSecret, id, sale), bearer...)...), http.StatusBadRequest, event.AuthenticationFailed)
	r.want("of another event", r.send(sale, append(r.signature(oldSecret, "other", sale), bearer...)...), http.StatusBadRequest, event.AuthenticationFailed)
	r.wantHandled(0)
	r.want("the right one", r.send(sale, append(r.signature(oldSecret, id, sale), bearer...)...), http.StatusAccepted, "")
	r.want("none: the credential proves it", r.sendCredential(bearer[1][len("Bearer "):], sale), http.StatusAccepted, "")
	r.wantHandled(1)
}

func TestSecretsMayBeSetLater(t *testing.T) {
	t.Parallel()
	r := setupReceiver(t, nil)
	body := `{"type":"verification","challenge":"c"}`
	r.want("before", r.send(body, r.signature(oldSecret, "check-1", body)...), http.StatusBadRequest, event.AuthenticationFailed)
	r.receiver.SetSecrets(newSecret, oldSecret)
	for _, secret := range []string{oldSecret, newSecret} {
		r.want("after", r.send(body, r.signature(secret, "check-1", body)...), http.StatusOK, "")
	}
	r.receiver.SetSecrets(newSecret)
	r.want("a day later", r.send(body, r.signature(oldSecret, "check-1", body)...), http.StatusBadRequest, event.AuthenticationFailed)
}
