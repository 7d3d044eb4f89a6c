package demo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/sekisho-id/sekisho/oauth"
)

// eventPatience is how long an event may take to arrive before the check calls it lost.
const eventPatience = 10 * time.Second

// sellTeapot sells what the person offers, and follows the event to the three
// systems that hear of it.
func (c *check) sellTeapot(ctx context.Context) error {
	ids, err := c.group.systems.page.ids(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		c.ids[id.System] = Person{System: id.System, Subject: id.Subject, Internal: id.Internal}
	}
	mark := c.mark()
	if err := c.press(ctx, partyApp, "sell"); err != nil {
		return err
	}
	sold := c.step(mark, partyApp, partyMarket, "/sale")
	c.verify(sold.Refusal == nil && sold.Number > 0, "the app told market that the teapot is sold")
	proofs := c.step(mark, partyMarket, partyServer, "proof of an event")
	subjects := map[string]bool{}
	for _, one := range c.group.systems.subscribers() {
		told, err := c.await(ctx, mark, partyMarket, one.party, "tells: "+eventSold)
		if err != nil {
			return err
		}
		proof, known := told.last(), c.ids[one.party]
		subjects[proof.Subject] = true
		c.verify(told.Refusal == nil && proof.Subject == known.Subject && fmt.Sprint(told.behind(one.party, "the seller")) == fmt.Sprint([]string{known.Internal}),
			"market told %s of the sale: the person is %s there, behind it %s", one.party, short(proof.Subject), known.Internal)
		kept, err := one.notices(ctx, known.Internal)
		c.verify(err == nil && kept == 1, "%s kept it once, under its own id", one.party)
	}
	c.verify(len(subjects) == 3, "one sale, three systems, three different ids")
	c.verify(proofs.Refusal == nil, "the proofs came from the authorization server, to market alone, for these receivers alone")
	return nil
}

// await waits for a step that has ended.
func (c *check) await(ctx context.Context, mark int, from, to, title string) (Step, error) {
	ctx, cancel := context.WithTimeout(ctx, eventPatience)
	defer cancel()
	for {
		_, revision := c.group.trace.all()
		if step := c.step(mark, from, to, title); step.Number > 0 && !step.Running {
			return step, nil
		}
		if _, _, err := c.group.trace.after(ctx, revision); err != nil {
			return Step{}, fmt.Errorf("%s → %s, %s: did not happen: %w", from, to, title, err)
		}
	}
}

// tryEvents sends crypto what it must not believe.
func (c *check) tryEvents(ctx context.Context) error {
	market, crypto, pay := c.group.systems.market, c.group.systems.crypto.hears, c.group.systems.pay.hears
	body := []byte(`{"item":1,"title":"Teapot","price":3200}`)
	digest := sha256.Sum256(body)
	asked := oauth.EventDetail{
		Type: oauth.DetailEvent, Receiver: partyCrypto, EventType: crypto.soldURI, EventID: "check-" + rand.Text(),
		BodySHA256: base64.RawURLEncoding.EncodeToString(digest[:]),
	}
	own := c.ids[partyMarket].Subject
	proved, err := market.client.EventCredentials(ctx, own, []oauth.EventDetail{asked})
	if err != nil || len(proved) != 1 {
		return fmt.Errorf("ask for a proof: %w", err)
	}
	proof := proved[0].IDToken

	before, err := crypto.notices(ctx, c.ids[partyCrypto].Internal)
	if err != nil {
		return err
	}
	first, second := c.tell(ctx, crypto, proof, body), c.tell(ctx, crypto, proof, body)
	after, err := crypto.notices(ctx, c.ids[partyCrypto].Internal)
	c.verify(err == nil && first == http.StatusAccepted && second == http.StatusAccepted && after == before+1,
		"replayed: crypto says yes to both and handles the event once")
	c.verify(c.tell(ctx, crypto, proof, []byte(`{"item":1,"title":"Teapot","price":99999}`)) == http.StatusBadRequest,
		"changed: a proof is of one body, and of no other")
	c.verify(c.tell(ctx, pay, proof, body) == http.StatusBadRequest, "foreign: pay refuses a proof that is for crypto")
	forged, err := forge(proof)
	if err != nil {
		return err
	}
	c.verify(c.tell(ctx, crypto, forged, body) == http.StatusBadRequest, "forged: a proof signed by somebody else is refused")
	c.verify(c.tell(ctx, crypto, "", body) >= http.StatusBadRequest, "bare: without a proof nothing is believed")

	_, err = c.group.systems.pay.client.EventCredentials(ctx, c.ids[partyPay].Subject, []oauth.EventDetail{asked})
	c.verify(codeOf(err) == oauth.InvalidTarget, "undeclared: pay gets no proof for an event of market's: %s", codeOf(err))
	asked.Receiver = partyApp
	_, err = market.client.EventCredentials(ctx, own, []oauth.EventDetail{asked})
	c.verify(codeOf(err) == oauth.InvalidTarget, "undeclared: market gets no proof for a receiver that the group file does not name: %s", codeOf(err))
	return nil
}

// tell sends an event as its publisher would, and answers the status.
func (c *check) tell(ctx context.Context, to *subscriber, proof string, body []byte) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	if proof != "" {
		request.Header.Set("Authorization", "Bearer "+proof)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, response.Body)
	if errors.Join(err, response.Body.Close()) != nil {
		return 0
	}
	return response.StatusCode
}

// forge makes a proof that says the same and names the same key, signed with
// another one.
func forge(proof string) (string, error) {
	parts := strings.Split(proof, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return "", err
	}
	var named struct {
		KeyID string `json:"kid"`
		Type  string `json:"typ"`
	}
	if err := json.Unmarshal(header, &named); err != nil {
		return "", err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: named.KeyID}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(named.Type)))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// refusedAtOnce holds that market refuses a token, good for minutes yet, whose
// session has ended. It checks tokens offline; what it knows, it was told.
func (c *check) refusedAtOnce(ctx context.Context, api *http.Client) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, eventPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var items []Item
		err := call{client: api, method: http.MethodGet, url: c.group.urls[partyMarket] + "/items"}.do(ctx, &items)
		if codeOf(err) == oauth.InvalidToken {
			c.verify(true, "market was told that the session has ended: %d ms later it refuses a token of it that lives for minutes yet",
				time.Since(began).Milliseconds())
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			c.verify(false, "market still takes a token of the session that has ended")
			return nil
		}
	}
}
