package demo

import (
	"fmt"
	"net/http"
)

// partner is another company's blog: "Sign in with Market". Its users are asked
// for consent, and what it may do ends at the systems it calls itself.
type partner struct {
	*visitors
	hears     *subscriber
	marketURL string
	payURL    string
}

func (p *partner) routes() map[string]http.Handler {
	visit := func(title string, handler http.HandlerFunc) http.Handler {
		return p.trace.visit(partyPartner, title, handler)
	}
	return map[string]http.Handler{
		"GET /{$}":            http.HandlerFunc(p.home),
		"GET /signin":         visit("wants to sign in with Market", p.startSignIn),
		"GET /callback":       visit("comes back with a code", p.finishSignIn),
		"POST /shelf":         visit("shows items on the blog", p.signedIn(p.shelf)),
		"POST /events":        p.hears.handler(),
		"POST /refused/chain": visit("buys from the blog", p.signedIn(p.buy)),
	}
}

func (p *partner) home(w http.ResponseWriter, r *http.Request) {
	who, ok := p.sessions.load(r)
	if !ok {
		p.show(w, http.StatusOK, sitePage{Notice: "You are not signed in here.", Actions: signInAction})
		return
	}
	person := p.person(who.subject, who.userID)
	p.show(w, http.StatusOK, sitePage{
		Person:  &person,
		Actions: []siteAction{{Method: http.MethodPost, Path: "shelf", Title: "Show my items on the blog"}},
	})
}

func (p *partner) shelf(w http.ResponseWriter, r *http.Request, who *session) error {
	api, err := who.api(r.Context(), p.client, p.marketURL)
	if err != nil {
		return err
	}
	var items []Item
	err = call{client: api, method: http.MethodGet, url: p.marketURL + "/items/mine"}.do(r.Context(), &items)
	if err != nil {
		return err
	}
	p.done(w, r, fmt.Sprintf("%d of your items are on the shelf.", len(items)))
	return nil
}
