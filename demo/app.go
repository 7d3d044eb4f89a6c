package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// app is the group's own web site (scenario 1): people sign in, no consent is
// asked, and it calls market and pay with tokens for the person. It has no
// tokens for itself.
type app struct {
	*site
	client    *rp.Client
	signIn    *rp.SignIn
	sessions  *sessions[*appSession]
	people    *sql.DB
	api       *http.Client
	marketURL string
	payURL    string
	ownURL    string
}

// Its people: the app's own id beside the subject it is told.
const appSchema = `
CREATE TABLE IF NOT EXISTS person (
	number  INTEGER PRIMARY KEY,
	subject TEXT NOT NULL UNIQUE
)`

// appSession is one browser signed in to the app.
type appSession struct {
	userID  string
	subject string
	idToken string

	mu      sync.Mutex
	refresh string
	tokens  map[string]*oauth2.Token // by resource and scopes
}

// tokenMargin keeps a token from being sent when it may die on the way.
const tokenMargin = 10 * time.Second

// token answers an access token for a resource out of what the sign-in
// granted, through the refresh token (RFC 8707 §2.2). Without scopes it holds
// all that was granted there.
func (s *appSession) token(ctx context.Context, client *rp.Client, resource string, scopes ...string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := resource + " " + oauth.Scopes(scopes).String()
	if held, ok := s.tokens[key]; ok && time.Until(held.Expiry) > tokenMargin {
		return held.AccessToken, nil
	}
	fresh, err := client.Refresh(ctx, s.refresh, resource, scopes...)
	if err != nil {
		return "", err
	}
	s.refresh, s.tokens[key] = fresh.RefreshToken, fresh
	return fresh.AccessToken, nil
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
		"POST /signout":              visit("signs out", a.signedIn(a.signOut)),
		"POST /refused/itself":       visit("lets the app ask for a token of its own", a.askForItself),
		"POST /refused/misaddressed": visit("lets the app send pay a token made for market", a.signedIn(a.misaddress)),
		"POST /refused/when":         visit("lets the app ask pay for a statement", a.signedIn(a.statement)),
	}
}

// signedIn hands the session to a handler, or sends the person to sign in.
func (a *app) signedIn(handler func(http.ResponseWriter, *http.Request, *appSession) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, ok := a.sessions.load(r)
		if !ok {
			a.startSignIn(w, r)
			return
		}
		a.trace.behind(r.Context(), a.person(session.subject, session.userID))
		if err := handler(w, r, session); err != nil {
			a.fail(w, r, err)
		}
	}
}

func (a *app) startSignIn(w http.ResponseWriter, r *http.Request) {
	a.signIn.StartWith(w, r, rp.Ask{ReturnTo: returnTo(r), Prompt: promptOf(r)})
}

// promptOf passes on prompt=none, by which a site asks whether the person is
// signed in to the group without showing anything (OIDC Core §3.1.2.1).
func promptOf(r *http.Request) string {
	if r.FormValue("prompt") == "none" {
		return "none"
	}
	return ""
}

func (a *app) finishSignIn(w http.ResponseWriter, r *http.Request) {
	identity, err := a.signIn.Finish(w, r)
	if err != nil {
		a.show(w, http.StatusForbidden, sitePage{Notice: "Not signed in. " + err.Error(), Actions: signInAction})
		return
	}
	userID, err := a.userID(r.Context(), identity.Subject)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.trace.behind(r.Context(), a.person(identity.Subject, userID))
	a.sessions.start(w, r, &appSession{
		userID: userID, subject: identity.Subject, idToken: identity.IDToken,
		refresh: identity.Token.RefreshToken, tokens: map[string]*oauth2.Token{a.marketURL + " ": identity.Token},
	})
	a.goOn(w, identity.ReturnTo)
}

// userID finds the app's own id of a subject, and gives one at first sight.
func (a *app) userID(ctx context.Context, subject string) (string, error) {
	var number int64
	err := a.people.QueryRowContext(ctx,
		`INSERT INTO person (subject) VALUES ($1) ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject RETURNING number`,
		subject).Scan(&number)
	if err != nil {
		return "", fmt.Errorf("find the person: %w", err)
	}
	return appUserID(number), nil
}

func appUserID(number int64) string { return fmt.Sprintf("user-%d", 7000+number) }

// known finds the app's own id of a subject it has met.
func (a *app) known(ctx context.Context, subject string) (string, error) {
	var number int64
	err := a.people.QueryRowContext(ctx, `SELECT number FROM person WHERE subject = $1`, subject).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return appUserID(number), err
}

var (
	signInAction = []siteAction{{Method: http.MethodGet, Path: "signin", Title: "Sign in"}}
	appActions   = []siteAction{
		{Method: http.MethodPost, Path: "buy", Title: "Buy a lamp"},
		{Method: http.MethodPost, Path: "offer", Title: "Offer", Fields: []siteField{
			{"title", "What you sell", "text", "off"}, {"price", "Price in yen", "number", "off"},
		}},
		{Method: http.MethodPost, Path: "signout", Title: "Sign out"},
	}
)

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	session, ok := a.sessions.load(r)
	if !ok {
		a.show(w, http.StatusOK, sitePage{Notice: "You are not signed in here.", Actions: signInAction})
		return
	}
	items, err := a.items(r.Context(), session)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	person := a.person(session.subject, session.userID)
	a.show(w, http.StatusOK, sitePage{
		Person: &person, Items: items, Actions: appActions,
	})
}

// items asks market what is for sale. The sellers in the answer are named as
// this app knows them.
func (a *app) items(ctx context.Context, session *appSession) ([]Item, error) {
	token, err := session.token(ctx, a.client, a.marketURL)
	if err != nil {
		return nil, err
	}
	var items []Item
	err = call{client: a.api, method: http.MethodGet, url: a.marketURL + "/items", token: token}.do(ctx, &items)
	return items, err
}

func (a *app) offer(w http.ResponseWriter, r *http.Request, session *appSession) error {
	token, err := session.token(r.Context(), a.client, a.marketURL)
	if err != nil {
		return err
	}
	price, err := strconv.ParseInt(r.PostFormValue("price"), 10, 64)
	if err != nil || price <= 0 || r.PostFormValue("title") == "" {
		return errors.New("an offer needs a title and a price")
	}
	offer := Item{Title: r.PostFormValue("title"), Price: price}
	var offered Item
	err = call{client: a.api, method: http.MethodPost, url: a.marketURL + "/items", token: token, body: offer}.do(r.Context(), &offered)
	if err != nil {
		return err
	}
	a.done(w, r, offered.Title+" is for sale.")
	return nil
}

// buy finds a lamp at market and pays for it at pay, naming the seller as this
// app knows them.
func (a *app) buy(w http.ResponseWriter, r *http.Request, session *appSession) error {
	items, err := a.items(r.Context(), session)
	if err != nil {
		return err
	}
	lamp, ok := findItem(items, "Lamp")
	if !ok {
		return errors.New("no lamp is for sale")
	}
	token, err := session.token(r.Context(), a.client, a.payURL, "charge")
	if err != nil {
		return err
	}
	var receipt Receipt
	order := Order{Item: lamp.ID, Seller: lamp.Seller}
	err = call{client: a.api, method: http.MethodPost, url: a.payURL + "/charges", token: token, body: order}.do(r.Context(), &receipt)
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
func (a *app) signOut(w http.ResponseWriter, r *http.Request, session *appSession) error {
	leave, err := a.client.LogoutURL(session.idToken, a.ownURL+"/", "")
	if err != nil {
		return err
	}
	a.sessions.end(w, r)
	http.Redirect(w, r, leave, http.StatusSeeOther)
	return nil
}
