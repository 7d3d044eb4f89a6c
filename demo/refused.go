package demo

import (
	"errors"
	"net/http"

	"github.com/sekisho-id/sekisho/oauth"
)

// refusal is something the group file does not allow, with a button on the page
// that tries it all the same.
type refusal struct {
	Party string // whose site tries it; the batch is started by the page
	Path  string
	Title string
	Code  oauth.Code // what the trier is told
}

// refusals lists what is tried. Each is a real request by the system's own
// client; nothing in the example refuses by itself.
var refusals = []refusal{
	{partyCrypto, "refused/undeclared", "Crypto calls pay: no edge, no token", oauth.InvalidTarget},
	{partyApp, "refused/itself", "The app asks for a token for itself", oauth.UnauthorizedClient},
	{partyCrypto, "refused/convert", "Crypto asks to convert ids", oauth.InvalidScope},
	{partyPage, "refused/batch", "The batch reads a person's items", oauth.InsufficientScope},
	{partyApp, "refused/misaddressed", "Pay uses a token made for market", oauth.InvalidRequest},
	{partyApp, "refused/stolen", "A thief uses the app's token at pay", oauth.InvalidToken},
	{partyApp, "refused/when", "Pay exchanges a token without “charge”", oauth.InvalidScope},
	{partyPartner, "refused/chain", "The partner buys through pay", oauth.InvalidTarget},
}

var errNotRefused = errors.New("this should have been refused")

// mustRefuse ends a try: the refusal is the good outcome.
func (s *site) mustRefuse(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		err = errNotRefused
	}
	s.fail(w, r, err)
}

// askForItself tries client credentials as an app (R3 of scenario app: none).
func (a *app) askForItself(w http.ResponseWriter, r *http.Request) {
	_, err := a.client.ServiceToken(a.marketURL).Token()
	a.mustRefuse(w, r, err)
}

// misaddress sends pay a token whose audience is market: first to pay's API,
// whose guard refuses it, then to the handler that forgot its guard.
func (a *app) misaddress(w http.ResponseWriter, r *http.Request, who *session) error {
	api, err := who.api(r.Context(), a.client, a.marketURL)
	if err != nil {
		return err
	}
	var balance Receipt
	guarded := call{client: api, method: http.MethodGet, url: a.payURL + "/balance"}.do(r.Context(), &balance)
	var item Item
	careless := call{client: api, method: http.MethodPost, url: a.payURL + "/careless"}.do(r.Context(), &item)
	if guarded == nil || careless == nil {
		return errNotRefused
	}
	return errors.Join(guarded, careless)
}

// steal sends pay a good token without its key, as a thief would: as a bearer token,
// and with the proof of another key.
func (a *app) steal(w http.ResponseWriter, r *http.Request, who *session) error {
	token, err := who.token(r.Context(), a.client, a.payURL)
	if err != nil {
		return err
	}
	var balance Receipt
	plain := call{client: a.bare, method: http.MethodGet, url: a.payURL + "/balance", token: token.AccessToken}.do(r.Context(), &balance)
	proved := call{client: a.thief.TokenClient(token), method: http.MethodGet, url: a.payURL + "/balance"}.do(r.Context(), &balance)
	if plain == nil || proved == nil {
		return errNotRefused
	}
	return errors.Join(plain, proved)
}

// statement asks pay for a statement with a token that may read the balance and
// nothing else; pay cannot exchange it to ask market for the names of items.
func (a *app) statement(w http.ResponseWriter, r *http.Request, who *session) error {
	api, err := who.api(r.Context(), a.client, a.payURL, "balance.read")
	if err != nil {
		return err
	}
	var statement []Item
	err = call{client: api, method: http.MethodGet, url: a.payURL + "/statement"}.do(r.Context(), &statement)
	a.mustRefuse(w, r, err)
	return nil
}

// askForPay tries a call that is not declared.
func (c *crypto) askForPay(w http.ResponseWriter, r *http.Request) {
	_, err := c.client.ServiceToken(c.payURL, "charge").Token()
	c.mustRefuse(w, r, err)
}

// askToConvert tries what only services may: crypto knows its own subjects.
func (c *crypto) askToConvert(w http.ResponseWriter, r *http.Request) {
	_, err := c.client.Convert(r.Context(), partyCrypto, partyMarket, []string{"aaaaaaaaaaaaaaaaaaaaaaaaaa"})
	c.mustRefuse(w, r, err)
}

// buy tries to have pay call on to market in a chain another company began.
func (p *partner) buy(w http.ResponseWriter, r *http.Request, who *session) error {
	api, err := who.api(r.Context(), p.client, p.payURL, "charge")
	if err != nil {
		return err
	}
	var receipt Receipt
	err = call{client: api, method: http.MethodPost, url: p.payURL + "/charges", body: Order{Item: 1}}.do(r.Context(), &receipt)
	p.mustRefuse(w, r, err)
	return nil
}
