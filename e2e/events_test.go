package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// cast are the receivers of a story, each a program that nobody wrote with the
// SDK, and who the person is to each.
type cast struct {
	*eventStory
	pay, crypto, ledger, poller *eventProgram // ledger is nil without Python
	payRelay                    *relay
	market, atPay, atCrypto     signedIn
	partner                     signedIn
	payStream, partnerStream    streams
	ledgerStream                streams
	partnerID                   string // of the stream of the partner
}

// TestEventsForeignReceivers tells receivers in Node and Python what a
// publisher without the SDK says, both ways, in all forms.
func TestEventsForeignReceivers(t *testing.T) {
	t.Parallel()
	clientsDir(t)
	logoutAt := freeAddress(t)
	c := &cast{eventStory: newEventStory(t, "http://"+logoutAt)}
	logout := startEventProgram(t, logoutAt, nil, "node", "logout-receiver.js", c.as.Issuer, "pay.web")
	c.pay = startNodeReceiver(t, c.as.Issuer, "pay")
	c.crypto = startNodeReceiver(t, c.as.Issuer, "crypto")
	c.ledger = startPythonReceiver(t, c.as.Issuer, "ledger")
	c.payRelay = newRelay(t, c.pay)
	c.market = c.signIn("market.web", appSecret)
	c.atPay = c.signIn("pay.web", paySecret)
	c.atCrypto = c.signIn("crypto.backend", cryptoSecret)

	t.Run("streams", c.streams)
	t.Run("hub", c.hub)
	t.Run("consent", c.consent)
	t.Run("direct", c.direct)
	t.Run("retry", c.retry)
	t.Run("paused", c.paused)
	t.Run("subjects", c.subjects)
	t.Run("misdirected", c.misdirected)
	t.Run("logout", func(t *testing.T) { c.logout(t, logout) })
	t.Run("deleted", c.deleted)
	if c.ledger == nil {
		t.Log("without Python: PyJWT is missing, see make prerequisites")
	}
}

// streams are made by the receivers over HTTP, and verified.
func (c *cast) streams(t *testing.T) {
	const header = "Bearer a-secret-of-the-receiver"
	c.payStream = c.streamsOf("pay.backend", paySecret)
	made := c.payStream.create(map[string]string{"method": deliveryPush, "endpoint_url": c.payRelay.URL, "authorization_header": header})
	if made.Body.Audience != "pay" || !slices.Equal(made.Body.Delivered, []string{itemSold}) {
		t.Errorf("stream of pay: %+v", made.Body)
	}
	c.payStream.verify(t, made, c.pay)
	pushed := await(t, c.payRelay.passed, "verification")
	if got := pushed.Header.Get("Authorization"); got != header {
		t.Errorf("authorization_header: %q", got)
	}
	likePrinted(t, "verification", pushed.token())
	c.payStream.do(http.StatusTooManyRequests, "verify", map[string]any{"state": "so soon"})

	withTokens := c.streamsOf("crypto.backend", cryptoSecret)
	withTokens.verify(t, withTokens.create(map[string]string{"method": deliveryIDToken, "endpoint_url": c.crypto.URL}), c.crypto)

	if c.ledger != nil {
		inPython := c.streamsOf("ledger.backend", cryptoSecret)
		inPython.verify(t, inPython.create(map[string]string{"method": deliveryIDToken, "endpoint_url": c.ledger.URL}), c.ledger)
		c.ledgerStream = inPython
	}

	c.partnerStream = c.streamsOf("partner.web", partnerSecret)
	c.partnerID = c.partnerStream.create(map[string]string{"method": deliveryPoll}).Body.StreamID
	c.partnerStream.do(http.StatusNoContent, "verify", map[string]any{"state": "by poll"})
	for jti, set := range c.partnerStream.pollFor(t, 1).Body.Sets {
		if claims := string(rawPart(t, set, 1)); !strings.Contains(claims, `{"`+streamVerification+`":{"state":"by poll"}}`) {
			t.Errorf("verification by poll: %s", claims)
		}
		c.partnerStream.expect(t, map[string]any{"ack": []string{jti}})
	}
}

// all are the receivers that hear at once, with how they know the person.
func (c *cast) all() []*eventProgram {
	if c.ledger == nil {
		return []*eventProgram{c.pay, c.crypto}
	}
	return []*eventProgram{c.pay, c.crypto, c.ledger}
}

// hub: one call, and each receiver hears of the person under its own id.
func (c *cast) hub(t *testing.T) {
	c.publish(t, published{
		ID: "sale-1", Type: "item.sold", Subject: c.market.Subject, At: happenedAt,
		People: map[string]string{"seller": c.market.Subject}, Data: map[string]any{"item": 1},
	})
	likePrinted(t, "set", await(t, c.payRelay.passed, "SET").token())
	ids := map[string]string{c.market.Subject: "market"}
	for _, receiver := range c.all() {
		heard := receiver.next(t)
		var data struct {
			Item   int               `json:"item"`
			People map[string]string `json:"people"`
		}
		if err := json.Unmarshal(heard.Data, &data); err != nil {
			t.Fatal(err)
		}
		id := heard.subject(t)
		if heard.Type != itemSold || data.Item != 1 || data.People["seller"] != id {
			t.Errorf("%s heard %+v %s", receiver.name, heard, heard.Data)
		}
		if other, known := ids[id]; known {
			t.Errorf("%s and %s know the person by the same id", receiver.name, other)
		}
		ids[id] = receiver.name
	}
	if ids[c.atPay.Subject] != c.pay.name || ids[c.atCrypto.Subject] != c.crypto.name {
		t.Errorf("the ids of events are not those of sign-ins: %v", ids)
	}
}

// consent: a third party hears of people from when they consent on, and gets a
// SET until it acknowledges it.
func (c *cast) consent(t *testing.T) {
	c.partnerStream.expect(t, nil) // nothing of somebody who has not consented
	if proofs := c.prove(t, c.market.Subject, "sale-1", "{}", "pay", "partner"); proofs["partner"] != "" || proofs["pay"] == "" {
		t.Errorf("proofs before consent: %v", proofs)
	}
	c.partner = c.signIn("partner.web", partnerSecret, "items.read")
	for item := range 3 {
		c.sell(t, "consented-"+strconv.Itoa(item), item)
	}
	ids := make([]string, 3) // by item
	for jti, set := range c.partnerStream.pollFor(t, 3).Body.Sets {
		var claims struct {
			About  subjectID `json:"sub_id"`
			Events map[string]struct {
				Item int `json:"item"`
			} `json:"events"`
		}
		decodePart(t, set, 1, &claims)
		if claims.About.Subject != c.partner.Subject {
			t.Errorf("SET %s, but the person is %s", rawPart(t, set, 1), c.partner.Subject)
		}
		ids[claims.Events[itemSold].Item] = jti
	}
	c.partnerStream.expect(t, map[string]any{"ack": []string{ids[0], "of-nobody"}}, ids[1:]...)
	c.partnerStream.expect(t, nil, ids[1:]...)
	if first := c.partnerStream.expect(t, map[string]any{"maxEvents": 1}, ids[1]); !first.Body.More {
		t.Error("one of two, and moreAvailable is false")
	}
	refused := map[string]any{ids[1]: map[string]string{"err": "invalid_request", "description": "for the test"}}
	c.partnerStream.expect(t, map[string]any{"setErrs": refused}, ids[2])
	c.poller = startEventProgram(c.t, "", []string{"SECRET=" + partnerSecret}, "node", "event-poller.js", c.as.Issuer, "partner", "partner.web")
	if third := c.poller.next(t); third.JTI != ids[2] || third.subject(t) != c.partner.Subject {
		t.Errorf("the poller got %+v", third)
	}
}

// sell publishes a sale and sees it arrive at those who hear at once.
func (c *cast) sell(t *testing.T, id string, item int, receivers ...*eventProgram) {
	t.Helper()
	c.publish(t, published{ID: id, Type: "item.sold", Subject: c.market.Subject, Data: map[string]any{"item": item}})
	if receivers == nil {
		receivers = c.all()
	}
	for _, receiver := range receivers {
		receiver.sold(t, item)
	}
}

// sold checks that the next the program hears is a sale of this item.
func (p *eventProgram) sold(t *testing.T, item int) eventReceived {
	t.Helper()
	heard := p.next(t)
	var data struct {
		Item int `json:"item"`
	}
	if err := json.Unmarshal(heard.Data, &data); err != nil || heard.Type != itemSold || data.Item != item {
		t.Fatalf("%s heard %s %s, want item %d", p.name, heard.Type, heard.Data, item)
	}
	return heard
}

// direct: the market delivers itself; the hub's jti of the same event is the
// same, so it counts once.
func (c *cast) direct(t *testing.T) {
	const body = `{"item":10}`
	proofs := c.prove(t, c.market.Subject, "direct-1", body, "pay", "crypto", "ledger", "partner")
	for _, to := range []struct {
		name     string
		receiver *eventProgram
		subject  string
	}{{"pay", c.pay, c.atPay.Subject}, {"crypto", c.crypto, c.atCrypto.Subject}, {"ledger", c.ledger, ""}} {
		if to.receiver == nil {
			continue
		}
		if status := to.receiver.post(t, withToken(proofs[to.name], body)); status != http.StatusAccepted {
			t.Fatalf("%s answered %d", to.name, status)
		}
		if heard := to.receiver.sold(t, 10); to.subject != "" && heard.Subject != to.subject {
			t.Errorf("%s heard of %s, who is %s", to.name, heard.Subject, to.subject)
		}
	}
	var partner struct {
		Subject string `json:"sub"`
	}
	if decodePart(t, proofs["partner"], 1, &partner); partner.Subject != c.partner.Subject {
		t.Errorf("the partner is to hear of %s, who is %s", partner.Subject, c.partner.Subject)
	}

	likePrinted(t, "proof", proofs["pay"])
	again := c.prove(t, c.market.Subject, "direct-1", body, "crypto")["crypto"]
	if again == proofs["crypto"] || jti(t, again) != jti(t, proofs["crypto"]) {
		t.Error("a proof that is asked for again is to be a new one with the same jti")
	}
	if status := c.crypto.post(t, withToken(again, body)); status != http.StatusAccepted {
		t.Errorf("the same event again: %d", status)
	}
	c.publish(t, published{ID: "direct-1", Type: "item.sold", Subject: c.market.Subject, Data: map[string]any{"item": 10}})
	c.sell(t, "after-direct-1", 11) // so nothing was heard twice
	c.poller.sold(t, 10)
	c.poller.sold(t, 11)
}

func jti(t *testing.T, token string) string {
	t.Helper()
	var claims struct {
		JTI string `json:"jti"`
	}
	decodePart(t, token, 1, &claims)
	return claims.JTI
}

// retry: a message that comes again has the same jti.
func (c *cast) retry(t *testing.T) {
	c.payRelay.drain()
	c.payRelay.busy.Store(true)
	c.sell(t, "retried", 20, c.crypto)
	turnedAway := await(t, c.payRelay.passed, "first try")
	c.payRelay.busy.Store(false)
	if jti(t, await(t, c.payRelay.passed, "second try").token()) != jti(t, turnedAway.token()) {
		t.Error("the second try has another jti")
	}
	c.pay.sold(t, 20)
	c.poller.sold(t, 20)
	if c.ledger != nil {
		c.ledger.sold(t, 20)
	}
}

// paused: the stream keeps what happens, in order.
func (c *cast) paused(t *testing.T) {
	c.payStream.do(http.StatusOK, "become", map[string]any{"status": "paused"})
	if now := c.payStream.do(http.StatusOK, "status", nil); now.Body.Status != "paused" {
		t.Errorf("status: %+v", now)
	}
	c.sell(t, "held-1", 30, c.crypto, c.poller)
	c.sell(t, "held-2", 31, c.crypto, c.poller)
	c.pay.quiet(t)
	c.payStream.do(http.StatusOK, "become", map[string]any{"status": "enabled"})
	c.pay.sold(t, 30)
	c.pay.sold(t, 31)
	if c.ledger != nil {
		// Now Python is pushed SETs.
		c.ledger.sold(t, 30)
		c.ledger.sold(t, 31)
		c.ledgerStream.do(http.StatusOK, "change", map[string]any{"delivery": map[string]string{"method": deliveryPush, "endpoint_url": c.ledger.URL}})
	}
	c.sell(t, "after-pause", 32)
	c.poller.sold(t, 32)
}

// subjects: the receiver says whom it does not want to hear of.
func (c *cast) subjects(t *testing.T) {
	person := map[string]any{"subject": subjectID{Format: "iss_sub", Issuer: c.as.Issuer, Subject: c.atPay.Subject}}
	c.payStream.do(http.StatusNoContent, "remove", person)
	c.sell(t, "unheard", 40, c.crypto, c.poller)
	c.payStream.do(http.StatusOK, "add", person)
	c.sell(t, "heard", 41, c.pay, c.crypto, c.poller)
	if c.ledger != nil {
		if heard := c.ledger.sold(t, 40); heard.about(t).Format != "iss_sub" {
			t.Errorf("Python heard %+v", heard)
		}
		c.ledger.sold(t, 41)
	}
}

// misdirected are genuine tokens of the server that are no message to the
// receiver they are sent to.
func (c *cast) misdirected(t *testing.T) {
	const body = `{"item":50}`
	proofs := c.prove(t, c.market.Subject, "direct-2", body, "pay", "crypto")
	c.payRelay.drain()
	c.sell(t, "direct-3", 51)
	c.poller.sold(t, 51)
	pushed := await(t, c.payRelay.passed, "SET for pay").token()
	for name, message := range map[string]eventMessage{
		"a sign-in ID token":          withToken(c.atCrypto.ID, body),
		"an access token":             withToken(c.market.Access, body),
		"a proof for another":         withToken(proofs["pay"], body),
		"another body":                withToken(proofs["crypto"], `{"item":52}`),
		"a SET for another":           pushedSET(pushed),
		"a SET as the proof":          withToken(pushed, body),
		"a proof as a SET":            pushedSET(proofs["crypto"]),
		"a sign-in ID token as a SET": pushedSET(c.atCrypto.ID),
	} {
		if status := c.crypto.post(t, message); status != http.StatusBadRequest {
			t.Errorf("%s: crypto answered %d", name, status)
		}
	}
	for name, message := range map[string]eventMessage{
		"a proof for another": withToken(proofs["crypto"], body), "its sign-in ID token as a SET": pushedSET(c.atPay.ID),
	} {
		if status := c.pay.post(t, message); status != http.StatusBadRequest {
			t.Errorf("%s: pay answered %d", name, status)
		}
	}
	c.crypto.quiet(t)
	c.foreign(t)
}

// foreign: a receiver has nothing to do with the stream of another.
func (c *cast) foreign(t *testing.T) {
	token := post(t, c.as.Issuer+"/oauth2/token", "crypto.backend", cryptoSecret, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"ssf.manage"},
	}).AccessToken
	for path, body := range map[string]string{
		"/ssf/status":              `{"stream_id":"$STREAM","status":"paused"}`,
		"/ssf/verify":              `{"stream_id":"$STREAM"}`,
		"/ssf/poll/" + c.partnerID: `{"returnImmediately":true}`,
	} {
		message := eventMessage{bearer(token), strings.Replace(body, "$STREAM", c.partnerID, 1)}
		message.Header.Set("Content-Type", "application/json")
		if status := message.send(t, c.as.Issuer+path); status != http.StatusNotFound {
			t.Errorf("%s of another receiver's stream: %d", path, status)
		}
	}
}

// logout: the session is named as each client knows it.
func (c *cast) logout(t *testing.T, receiver *eventProgram) {
	c.someone.comply(c.someone.open(c.as.Issuer + "/oauth2/logout"))
	told := receiver.next(t)
	if told.Subject != c.atPay.Subject || told.Session != c.atPay.Session || told.Session == "" {
		t.Errorf("logout token: %+v, signed in as %s in session %s", told, c.atPay.Subject, c.atPay.Session)
	}
	revoked := c.crypto.next(t)
	var data struct {
		Session string `json:"sid"`
	}
	if err := json.Unmarshal(revoked.Data, &data); err != nil {
		t.Fatal(err)
	}
	if revoked.Type != sessionRevoked || revoked.Subject != c.atCrypto.Subject || data.Session != c.atCrypto.Session {
		t.Errorf("crypto heard %+v, signed in as %s in session %s", revoked, c.atCrypto.Subject, c.atCrypto.Session)
	}
	revoked = c.poller.next(t)
	about := revoked.about(t)
	if revoked.Type != sessionRevoked || about.Format != "complex" || about.User.Subject != c.partner.Subject || about.Session.ID != c.partner.Session {
		t.Errorf("the partner heard %+v, signed in as %s in session %s", about, c.partner.Subject, c.partner.Session)
	}
}

func (c *cast) deleted(t *testing.T) {
	c.payStream.do(http.StatusNoContent, "delete", nil)
	c.payStream.do(http.StatusNotFound, "read", nil)
	c.sell(t, "after-deletion", 60, c.crypto, c.poller)
	c.pay.quiet(t)
}
