package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// eventGroup is the group of these tests: a publisher, receivers of each
// scenario that can be one. $LOGOUT stands for a receiver of logout tokens.
const eventGroup = `
issuer: $ISSUER
subsystems:
  market:
    scenario: service
    resource:
      audience: https://api.market.test
      scopes: { items.read: See your items }
    clients:
      backend: { secret_sha256: [$HASH_APP] }
      web: { secret_sha256: [$HASH_APP], redirect_uris: ["$RP/market"] }
  pay:
    scenario: service
    resource:
      audience: https://api.pay.test
      scopes: { charge: Pay with your balance }
    clients:
      backend: { secret_sha256: [$HASH_PAY] }
      web: { secret_sha256: [$HASH_PAY], redirect_uris: ["$RP/pay"], backchannel_logout_uri: $LOGOUT }
  crypto:
    scenario: backend
    clients:
      backend: { secret_sha256: [$HASH_CRYPTO], redirect_uris: ["$RP/crypto"] }
  ledger:
    scenario: backend
    clients:
      backend: { secret_sha256: [$HASH_CRYPTO], redirect_uris: ["$RP/ledger"] }
  partner:
    scenario: third_party
    clients:
      web: { secret_sha256: [$HASH_PARTNER], redirect_uris: ["$RP/partner"] }
calls:
  - { from: partner, to: market, user: [items.read] }
events:
  - { publisher: market, types: [item.sold], receivers: [pay, crypto, ledger, partner] }
  - { publisher: platform, types: [session-revoked], receivers: [crypto, partner] }
`

// What docs/events.md calls by name.
const (
	itemSold           = marketAPI + "/events/item.sold"
	streamVerification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	sessionRevoked     = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	deliveryPush       = "urn:ietf:rfc:8935"
	deliveryPoll       = "urn:ietf:rfc:8936"
	deliveryIDToken    = "urn:sekisho:event:delivery:id-token"
	subjectTokenType   = "urn:sekisho:params:oauth:token-type:subject"
	requestedIDToken   = "urn:ietf:params:oauth:token-type:id_token"
)

// eventStory is a server with the group, and a person who is known to its
// members.
type eventStory struct {
	t       *testing.T
	as      *server
	site    *site
	someone *person
}

func newEventStory(t *testing.T, logout string) *eventStory {
	t.Helper()
	site := newSite(t)
	as := newServer(t, strings.Replace(site.fill(eventGroup), "$LOGOUT", logout, 1)).start(t)
	return &eventStory{t: t, as: as, site: site, someone: newPerson(t)}
}

// signedIn is what a client learns of the person.
type signedIn struct {
	Subject string `json:"sub"`
	Session string `json:"sid"`
	ID      string // the ID token itself
	Access  string
}

// signIn brings the person to a client, who allows it what it asks for.
func (s *eventStory) signIn(client, secret string, scopes ...string) signedIn {
	s.t.Helper()
	subsystem, _, _ := strings.Cut(client, ".")
	config := &oauth2.Config{
		ClientID: client, ClientSecret: secret, RedirectURL: s.site.URL + "/" + subsystem, Scopes: append(scopes, "openid"),
		Endpoint: oauth2.Endpoint{AuthURL: s.as.Issuer + "/oauth2/authorize", TokenURL: s.as.Issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
	verifier := oauth2.GenerateVerifier()
	s.someone.comply(s.someone.open(config.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier))))
	answer := await(s.t, s.site.answers, "sign-in at "+client)
	token, err := config.Exchange(s.t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		s.t.Fatalf("%s: %v (%v)", client, err, answer)
	}
	got := signedIn{Access: token.AccessToken}
	got.ID, _ = token.Extra("id_token").(string)
	decodePart(s.t, got.ID, 1, &got)
	return got
}

// decodePart reads the header (0) or the claims (1) of a token, unverified.
func decodePart(t *testing.T, token string, part int, into any) {
	t.Helper()
	if err := json.Unmarshal(rawPart(t, token, part), into); err != nil {
		t.Fatal(err)
	}
}

// published is an event as POST /events takes it.
type published struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	Subject string            `json:"subject"`
	People  map[string]string `json:"people,omitempty"`
	At      int64             `json:"happened_at,omitempty"`
	Data    any               `json:"data,omitempty"`
}

// publish hands an event of the market to the hub, as docs/events.md says.
func (s *eventStory) publish(t *testing.T, event published) {
	t.Helper()
	token := post(t, s.as.Issuer+"/oauth2/token", "market.backend", appSecret, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"events:publish"},
	})
	text, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.as.Issuer+"/events", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = bearer(token.AccessToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var kept published
	if err := json.NewDecoder(response.Body).Decode(&kept); err != nil || response.StatusCode != http.StatusAccepted || kept.ID != event.ID {
		t.Fatalf("POST /events: %s %+v %v", response.Status, kept, err)
	}
}

// eventDetail is an element of authorization_details: what is asked of, and
// what is given with it.
type eventDetail struct {
	Type       string `json:"type"`
	Receiver   string `json:"receiver"`
	EventType  string `json:"event_type"`
	EventID    string `json:"event_id"`
	BodyDigest string `json:"body_sha256"`
	HappenedAt int64  `json:"happened_at"`
	IDToken    string `json:"id_token,omitempty"`
}

// happenedAt is when all that these tests tell has happened.
var happenedAt = time.Now().Unix() - 60

// prove asks for the proofs of one event of the market for several receivers.
// A receiver that must not hear of the person has none.
func (s *eventStory) prove(t *testing.T, subject, id, body string, receivers ...string) map[string]string {
	t.Helper()
	wanted := make([]eventDetail, len(receivers))
	for i, receiver := range receivers {
		wanted[i] = eventDetail{Type: "event", Receiver: receiver, EventType: itemSold, EventID: id, BodyDigest: digest(body), HappenedAt: happenedAt}
	}
	details, err := json.Marshal(wanted)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		tokenAnswer
		Details []eventDetail `json:"authorization_details"`
	}
	form := url.Values{
		"grant_type": {exchangeGrant}, "requested_token_type": {requestedIDToken},
		"subject_token": {subject}, "subject_token_type": {subjectTokenType}, "authorization_details": {string(details)},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.as.Issuer+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("market.backend", appSecret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("token exchange: %s %s %v", response.Status, answer.Description, err)
	}
	proofs := map[string]string{}
	for _, detail := range answer.Details {
		proofs[detail.Receiver] = detail.IDToken
	}
	return proofs
}

// streams is clients/event-streams.js: a receiver's side of Shared Signals.
type streams struct {
	t *testing.T
	*script
}

// streamAnswer is what the server said to it.
type streamAnswer struct {
	Status int `json:"status"`
	Body   struct {
		StreamID  string            `json:"stream_id"`
		Audience  string            `json:"aud"`
		Status    string            `json:"status"`
		Sets      map[string]string `json:"sets"`
		More      bool              `json:"moreAvailable"`
		Delivered []string          `json:"events_delivered"`
	} `json:"body"`
}

func (s *eventStory) streamsOf(client, secret string) streams {
	s.t.Helper()
	it := streams{s.t, startScript(s.t, "event-streams.js", map[string]string{"issuer": s.as.Issuer, "client": client, "secret": secret})}
	s.t.Cleanup(func() {
		it.say(map[string]string{"do": "end"})
		if complaint := it.end(); complaint != "" {
			s.t.Errorf("streams of %s: %s", client, complaint)
		}
	})
	return it
}

// do lets the receiver do something and checks the status.
func (s streams) do(status int, deed string, with map[string]any) streamAnswer {
	s.t.Helper()
	order := map[string]any{"do": deed}
	maps.Copy(order, with)
	s.say(order)
	if !s.out.Scan() {
		s.t.Fatalf("%s: %s", deed, s.end())
	}
	var answer streamAnswer
	if err := json.Unmarshal(s.out.Bytes(), &answer); err != nil {
		s.t.Fatal(err)
	}
	if answer.Status != status {
		s.t.Fatalf("%s %v: %s", deed, with, s.out.Text())
	}
	return answer
}

func rawPart(t *testing.T, token string, part int) []byte {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// digest is body_sha256 of docs/events.md.
func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s streams) create(delivery map[string]string) streamAnswer {
	s.t.Helper()
	return s.do(http.StatusCreated, "create", map[string]any{"delivery": delivery})
}

// verify has the server send a verification event and sees it arrive.
func (s streams) verify(t *testing.T, made streamAnswer, at *eventProgram) {
	t.Helper()
	state := rand.Text()
	s.do(http.StatusNoContent, "verify", map[string]any{"state": state})
	heard := at.next(t)
	var data struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(heard.Data, &data); err != nil {
		t.Fatal(err)
	}
	if heard.Type != streamVerification || data.State != state || heard.subject(t) != made.Body.StreamID {
		t.Errorf("%s heard %+v %s", at.name, heard, heard.Data)
	}
}

// expect polls for what is there now, and checks that it is these.
func (s streams) expect(t *testing.T, with map[string]any, ids ...string) streamAnswer {
	t.Helper()
	message := map[string]any{"returnImmediately": true}
	maps.Copy(message, with)
	answer := s.do(http.StatusOK, "poll", map[string]any{"message": message})
	if got := slices.Sorted(maps.Keys(answer.Body.Sets)); !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
		t.Errorf("after %v there are %q, want %q", with, got, ids)
	}
	return answer
}

// pollFor polls, waiting each time, until so many SETs are there.
func (s streams) pollFor(t *testing.T, count int) streamAnswer {
	t.Helper()
	for range 20 {
		answer := s.do(http.StatusOK, "poll", map[string]any{"message": map[string]any{"maxEvents": 50}})
		if len(answer.Body.Sets) >= count {
			return answer
		}
	}
	t.Fatalf("%d SETs do not come", count)
	return streamAnswer{}
}
