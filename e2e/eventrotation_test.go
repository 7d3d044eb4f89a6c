package e2e_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TestEventsKeyRotation turns the signing keys while messages of both forms
// wait for a receiver that is away.
func TestEventsKeyRotation(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	s := newEventStory(t, "http://"+freeAddress(t))
	market := s.signIn("market.web", appSecret)
	pay, crypto := startNodeReceiver(t, s.as.Issuer, "pay"), startNodeReceiver(t, s.as.Issuer, "crypto")
	payRelay, cryptoRelay := newRelay(t, pay), newRelay(t, crypto)
	s.streamsOf("pay.backend", paySecret).create(map[string]string{"method": deliveryPush, "endpoint_url": payRelay.URL})
	s.streamsOf("crypto.backend", cryptoSecret).create(map[string]string{"method": deliveryIDToken, "endpoint_url": cryptoRelay.URL})

	for item, flags := range [][]string{nil, {"--emergency"}} {
		payRelay.drain()
		cryptoRelay.drain()
		payRelay.busy.Store(true)
		cryptoRelay.busy.Store(true)
		s.publish(t, published{ID: "sale-" + strconv.Itoa(item), Type: "item.sold", Subject: market.Subject, Data: map[string]any{"item": item}})
		set, token := await(t, payRelay.passed, "SET").token(), await(t, cryptoRelay.passed, "token").token()
		s.rotate(t, flags...)
		if flags != nil {
			// A receiver that has just fetched the keys would say 503 for a
			// while, until it may fetch them again.
			pay, crypto = startNodeReceiver(t, s.as.Issuer, "pay"), startNodeReceiver(t, s.as.Issuer, "crypto")
			payRelay.lead(pay)
			cryptoRelay.lead(crypto)
		}
		payRelay.busy.Store(false)
		cryptoRelay.busy.Store(false)
		if heard := pay.sold(t, item); heard.JTI != jti(t, set) {
			t.Errorf("rotate %q: the SET %s came again as %s", flags, jti(t, set), heard.JTI)
		}
		if heard := crypto.sold(t, item); heard.JTI != jti(t, token) {
			t.Errorf("rotate %q: the token %s came again as %s", flags, jti(t, token), heard.JTI)
		}
	}
}

// rotate turns the signing keys by the command and returns when the server
// publishes what has become of them.
func (s *eventStory) rotate(t *testing.T, flags ...string) {
	t.Helper()
	before := s.keyIDs(t)
	args := append([]string{"keys", "rotate", "--dev", "--database", filepath.Join(s.as.Dir, "sekisho.db")}, flags...)
	if said, code := sekisho(t, "", args...); code != 0 {
		t.Fatalf("keys rotate: %s", said)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	tooLate := time.After(eventPatience)
	for slices.Equal(before, s.keyIDs(t)) {
		select {
		case <-again.C:
		case <-tooLate:
			t.Fatalf("rotate %q changes nothing", flags)
		}
	}
}

// keyIDs are those of the keys that the server publishes.
func (s *eventStory) keyIDs(t *testing.T) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.as.Issuer+"/oauth2/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range set.Keys {
		ids = append(ids, set.Keys[i].KeyID)
	}
	return ids
}
