package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
)

// codeOf is the error code of a refusal; empty where there was none.
func codeOf(err error) oauth.Code {
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return refused.Code
	}
	return ""
}

// buyLamp follows a purchase through app, pay and market.
func (c *check) buyLamp(ctx context.Context) error {
	mark := c.mark()
	if err := c.press(ctx, partyApp, "buy"); err != nil {
		return err
	}
	charged := c.step(mark, partyApp, partyPay, "POST /charges")
	if charged.Refusal != nil {
		return fmt.Errorf("the charge was refused: %s %s", charged.Refusal.Code, charged.Refusal.Why)
	}
	c.verify(charged.last().Subject == c.ids[partyApp].Subject && slices.Equal(charged.last().Audience, []string{c.group.urls[partyPay]}),
		"the app called pay with a token for pay alone: sub %s", short(charged.last().Subject))

	exchanged := c.step(mark, partyPay, partyServer, "exchanges")
	before, after := exchanged.token("token it was called with"), exchanged.token("access token")
	c.verify(after.Subject != "" && after.Subject != before.Subject,
		"pay exchanged the app's token: sub %s → %s", short(before.Subject), short(after.Subject))
	c.verify(slices.Equal(after.Chain, []string{clientPay, clientWeb}),
		"the chain is kept in order: act %s", strings.Join(after.Chain, " ← "))
	c.verify(slices.Equal(after.Audience, []string{c.group.urls[partyMarket]}) && slices.Equal(after.Scopes, []string{"items.read"}),
		"the new token is for market, with items.read and nothing else")
	c.verify(before.Bound != "" && after.Bound != "" && before.Bound != after.Bound,
		"both are bound, each to the key of whoever holds it: %s → %s", short(before.Bound), short(after.Bound))
	c.verify(after.Expires > 0 && after.Expires <= before.Expires, "it ends no later than the app's token")

	asked := c.step(mark, partyPay, partyMarket, "GET /items/")
	c.verify(asked.Refusal == nil && asked.last().Subject == after.Subject, "market was asked in pay's terms: sub %s", short(after.Subject))
	members, wallets := asked.behind(partyMarket, "the person"), charged.behind(partyPay, "the person")
	if len(members) != 1 || len(wallets) != 1 {
		return errors.New("market and pay did not say who the person is to them")
	}
	c.ids[partyPay] = Person{System: partyPay, Subject: after.Subject, Internal: wallets[0]}
	c.ids[partyMarket] = Person{System: partyMarket, Internal: members[0]}
	c.verify(true, "the same person is %s to pay and %s to market", wallets[0], members[0])
	c.sellerBothWays(charged)
	return nil
}

// sellerBothWays: the seller came to pay as the app knows them and as market
// tells pay; both must be the same wallet.
func (c *check) sellerBothWays(charged Step) {
	wallets := charged.behind(partyPay, "the seller")
	different := len(charged.People) == 3 && charged.People[1].Subject != charged.People[2].Subject
	c.verify(different && len(wallets) == 2 && wallets[0] == wallets[1],
		"the seller reached pay under two names, from market and from the app, and both are the wallet %s", strings.Join(wallets[:min(1, len(wallets))], ""))
}

// settleNightly runs the batch from the page.
func (c *check) settleNightly(ctx context.Context) error {
	mark := c.mark()
	if err := c.press(ctx, partyPage, "batch"); err != nil {
		return err
	}
	settled := c.step(mark, partyBatch, partyMarket, "POST /settlements")
	token := settled.last()
	c.verify(settled.Refusal == nil && token.Service && token.Subject == clientNightly && len(token.Chain) == 0,
		"the batch settled in service context: sub %s, no act, no person", token.Subject)
	c.verify(slices.Contains(settled.behind(partyMarket, "the buyer"), c.ids[partyMarket].Internal),
		"the buyer whom the batch named as pay knows them is %s to market", c.ids[partyMarket].Internal)
	return nil
}

// tryRefusals presses every button of what is refused.
func (c *check) tryRefusals(ctx context.Context) error {
	for _, one := range refusals {
		mark := c.mark()
		if err := c.press(ctx, one.Party, one.Path); err != nil {
			return err
		}
		var got []string
		for _, step := range c.steps(mark) {
			if step.Refusal != nil {
				got = append(got, step.Refusal.Code)
			}
		}
		c.verify(slices.Contains(got, string(one.Code)), "%s: refused with %s (seen: %s)", one.Title, one.Code, strings.Join(got, ", "))
	}
	return c.mixUpContexts(ctx)
}

// mixUpContexts shows that neither kind of token passes for the other.
func (c *check) mixUpContexts(ctx context.Context) error {
	held, ok := c.group.systems.app.sessions.find(func(s *session) bool { return s.subject == c.ids[partyApp].Subject })
	if !ok {
		return errors.New("the app holds no session of the person")
	}
	marketURL := c.group.urls[partyMarket]
	app := c.group.systems.app.client
	person, err := held.token(ctx, app, marketURL)
	if err != nil {
		return err
	}
	var settled Settled
	err = call{client: app.TokenClient(person), method: http.MethodPost, url: marketURL + "/settlements", body: []Settlement{}}.do(ctx, &settled)
	c.verify(codeOf(err) == oauth.InsufficientScope, "a person's token does not open what is for services: %s", codeOf(err))

	service, err := c.group.systems.batch.client.ServiceToken(marketURL, "settle").Token()
	if err != nil {
		return err
	}
	_, err = c.group.systems.market.client.Exchange(ctx, service.AccessToken, c.group.urls[partyPay])
	c.verify(codeOf(err) == oauth.InvalidRequest, "a service's token cannot be exchanged as if a person had called: %s", codeOf(err))

	var items []Item
	forged := call{client: app.TokenClient(&oauth2.Token{AccessToken: tamper(person.AccessToken)}), method: http.MethodGet, url: marketURL + "/items"}.do(ctx, &items)
	c.verify(codeOf(forged) == oauth.InvalidToken, "a token with one changed letter opens nothing: %s", codeOf(forged))
	return nil
}

// tamper changes one letter of a token's signature.
func tamper(token string) string {
	at := strings.LastIndexByte(token, '.') + 5
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}

// compareIDs reads the table of the page: ten ids of one person, all different.
func (c *check) compareIDs(ctx context.Context) error {
	if err := c.browser.open(ctx, c.group.PageURL()+"/"); err != nil {
		return err
	}
	ids, err := c.group.systems.page.ids(ctx)
	if err != nil {
		return err
	}
	shown := c.browser.text("ids")
	for _, id := range ids {
		known := c.ids[id.System]
		c.verify(id.Subject != "" && id.Internal == known.Internal && (known.Subject == "" || id.Subject == known.Subject) &&
			strings.Contains(shown, id.Subject) && strings.Contains(shown, id.Internal),
			"%-10s is told %s and means %s", id.System, id.Subject, id.Internal)
	}
	c.verify(countIDs(ids) == 10, "five systems, %d ids, no two the same", countIDs(ids))
	source, err := c.browser.source()
	if err != nil {
		return err
	}
	c.verify(!strings.Contains(source, "eyJ") && !strings.Contains(source, "sek_"), "the page shows what tokens say, and never a token")
	return nil
}

// convertIDs asks for conversions along edges and across them.
func (c *check) convertIDs(ctx context.Context) error {
	market, pay := c.group.systems.market.client, c.group.systems.pay.client
	appSubject := c.ids[partyApp].Subject
	own, err := market.Convert(ctx, partyApp, partyMarket, []string{appSubject, "aaaaaaaaaaaaaaaaaaaaaaaaaa", c.ids[partyCrypto].Subject})
	if err != nil {
		return err
	}
	c.verify(own[0] != "" && own[0] != appSubject, "market turned the app's %s into its own %s", short(appSubject), short(own[0]))
	c.verify(own[1] == "" && own[2] == "", "a made-up id, and crypto's id passed off as the app's, name nobody")
	back, err := market.Convert(ctx, partyMarket, partyApp, own[:1])
	if err != nil {
		return err
	}
	c.verify(back[0] == appSubject, "and back: %s is %s again", short(own[0]), short(back[0]))
	_, err = market.Convert(ctx, partyApp, partyCrypto, []string{appSubject})
	c.verify(err != nil, "market may not convert between two others: %v", err)
	_, err = pay.Convert(ctx, partyCrypto, partyPay, []string{c.ids[partyCrypto].Subject})
	c.verify(err != nil, "pay may not convert for crypto, which does not call it: %v", err)
	return nil
}
