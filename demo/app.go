package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sekisho-id/sekisho/sdk/rp"
)

// app is the group's own web site (scenario 1): people sign in, no consent is
// asked, and it calls market and pay with tokens for the person. It has no
// tokens for itself.
type app struct {
	*visitors
	bare      *http.Client // brings no token
	thief     *rp.Client   // the same client with another key
	marketURL string
	payURL    string
	ownURL    string
}

func (a *app) routes() map[string]http.Handler {
	visit := func(title string, handler http.HandlerFunc) http.Handler {
		return a.trace.visit(partyApp, title, handler)
	}
	return map[string]http.Handler{
		"GET /{$}":                   http.HandlerFunc(a.home),
		"GET /signin":                visit("wants to sign in", a.startSignIn),
		"GET /callback":              visit("comes back with a code", a.finishSignIn),
		"POST /offer":                visit("offers an item", a.signedIn(a.offer)),
		"POST /buy":                  visit("buys a lamp", a.signedIn(a.buy)),
		"POST /sell":                 visit("sells the teapot", a.signedIn(a.sell)),
		"POST /signout":              visit("signs out", a.signedIn(a.signOut)),
		"POST /refused/itself":       visit("lets the app ask for a token of its own", a.askForItself),
		"POST /refused/misaddressed": visit("lets the app send pay a token made for market", a.signedIn(a.misaddress)),
		"POST /refused/stolen":       visit("lets a thief use the app's token", a.signedIn(a.steal)),
		"POST /refused/when":         visit("lets the app ask pay for a statement", a.signedIn(a.statement)),
	}
}

var appActions = []siteAction{
	{Method: http.MethodPost, Path: "buy", Title: "Buy a lamp"},
	{Method: http.MethodPost, Path: "offer", Title: "Offer", Fields: []siteField{
		{"title", "What you sell", "text", "off"}, {"price", "Price in yen", "number", "off"},
	}},
	{Method: http.MethodPost, Path: "sell", Title: "Sell the teapot"},
	{Method: http.MethodPost, Path: "signout", Title: "Sign out"},
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	who, ok := a.sessions.load(r)
	if !ok {
		a.show(w, http.StatusOK, sitePage{Notice: "You are not signed in here.", Actions: signInAction})
		return
	}
	items, err := a.items(r.Context(), who)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	person := a.person(who.subject, who.userID)
	a.show(w, http.StatusOK, sitePage{
		Person: &person, Items: items, Actions: appActions,
	})
}

// items asks market what is for sale. The sellers in the answer are named as
// this app knows them.
func (a *app) items(ctx context.Context, who *session) ([]Item, error) {
	api, err := who.api(ctx, a.client, a.marketURL)
	if err != nil {
		return nil, err
	}
	var items []Item
	err = call{client: api, method: http.MethodGet, url: a.marketURL + "/items"}.do(ctx, &items)
	return items, err
}

func (a *app) offer(w http.ResponseWriter, r *http.Request, who *session) error {
	api, err := who.api(r.Context(), a.client, a.marketURL)
	if err != nil {
		return err
	}
	price, err := strconv.ParseInt(r.PostFormValue("price"), 10, 64)
	if err != nil || price <= 0 || r.PostFormValue("title") == "" {
		return errors.New("an offer needs a title and a price")
	}
	offer := Item{Title: r.PostFormValue("title"), Price: price}
	var offered Item
	err = call{client: api, method: http.MethodPost, url: a.marketURL + "/items", body: offer}.do(r.Context(), &offered)
	if err != nil {
		return err
	}
	a.done(w, r, offered.Title+" is for sale.")
	return nil
}

// sell tells market that the person's teapot is sold. Market tells others.
func (a *app) sell(w http.ResponseWriter, r *http.Request, who *session) error {
	api, err := who.api(r.Context(), a.client, a.marketURL)
	if err != nil {
		return err
	}
	var own []Item
	err = call{client: api, method: http.MethodGet, url: a.marketURL + "/items/mine"}.do(r.Context(), &own)
	if err != nil {
		return err
	}
	teapot, ok := findItem(own, "Teapot")
	if !ok {
		return errors.New("you offer no teapot")
	}
	var sale Sale
	err = call{client: api, method: http.MethodPost, url: fmt.Sprintf("%s/items/%d/sale", a.marketURL, teapot.ID)}.do(r.Context(), &sale)
	if err != nil {
		return err
	}
	a.done(w, r, sale.Title+" is sold.")
	return nil
}

// buy finds a lamp at market and pays for it at pay, naming the seller as this
// app knows them.
func (a *app) buy(w http.ResponseWriter, r *http.Request, who *session) error {
	items, err := a.items(r.Context(), who)
	if err != nil {
		return err
	}
	lamp, ok := findItem(items, "Lamp")
	if !ok {
		return errors.New("no lamp is for sale")
	}
	api, err := who.api(r.Context(), a.client, a.payURL, "charge")
	if err != nil {
		return err
	}
	var receipt Receipt
	order := Order{Item: lamp.ID, Seller: lamp.Seller}
	err = call{client: api, method: http.MethodPost, url: a.payURL + "/charges", body: order}.do(r.Context(), &receipt)
	if err != nil {
		return err
	}
	a.done(w, r, fmt.Sprintf("The lamp is yours. %d yen are left.", receipt.Balance))
	return nil
}

func findItem(items []Item, title string) (Item, bool) {
	for _, item := range items {
		if item.Title == title {
			return item, true
		}
	}
	return Item{}, false
}

// signOut ends the session here and sends the browser to end that of the group.
func (a *app) signOut(w http.ResponseWriter, r *http.Request, who *session) error {
	leave, err := a.client.LogoutURL(who.idToken, a.ownURL+"/", "")
	if err != nil {
		return err
	}
	a.sessions.end(w, r)
	http.Redirect(w, r, leave, http.StatusSeeOther)
	return nil
}
