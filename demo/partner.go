package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/sdk/rp"
)

// partner is another company's blog: "Sign in with Market". Its users are asked
// for consent, and what it may do ends at the systems it calls itself.
type partner struct {
	*site
	client    *rp.Client
	signIn    *rp.SignIn
	sessions  *sessions[*appSession]
	readers   *sql.DB
	api       *http.Client
	marketURL string
	payURL    string
}

const partnerSchema = `
CREATE TABLE IF NOT EXISTS reader (
	number  INTEGER PRIMARY KEY,
	subject TEXT NOT NULL UNIQUE
)`

func (p *partner) routes() map[string]http.Handler {
	visit := func(title string, handler http.HandlerFunc) http.Handler {
		return p.trace.visit(partyPartner, title, handler)
	}
	return map[string]http.Handler{
		"GET /{$}":            http.HandlerFunc(p.home),
		"GET /signin":         visit("wants to sign in with Market", p.startSignIn),
		"GET /callback":       visit("comes back with a code", p.finishSignIn),
		"POST /shelf":         visit("shows items on the blog", p.signedIn(p.shelf)),
		"POST /refused/chain": visit("buys from the blog", p.signedIn(p.buy)),
	}
}

func (p *partner) signedIn(handler func(http.ResponseWriter, *http.Request, *appSession) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, ok := p.sessions.load(r)
		if !ok {
			p.startSignIn(w, r)
			return
		}
		p.trace.behind(r.Context(), p.person(session.subject, session.userID))
		if err := handler(w, r, session); err != nil {
			p.fail(w, r, err)
		}
	}
}

func (p *partner) startSignIn(w http.ResponseWriter, r *http.Request) {
	p.signIn.StartWith(w, r, rp.Ask{ReturnTo: returnTo(r), Prompt: promptOf(r)})
}

func (p *partner) finishSignIn(w http.ResponseWriter, r *http.Request) {
	identity, err := p.signIn.Finish(w, r)
	if err != nil {
		p.show(w, http.StatusForbidden, sitePage{Notice: "Not signed in. " + err.Error(), Actions: signInAction})
		return
	}
	userID, err := p.userID(r.Context(), identity.Subject)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.trace.behind(r.Context(), p.person(identity.Subject, userID))
	p.sessions.start(w, r, &appSession{
		userID: userID, subject: identity.Subject, idToken: identity.IDToken,
		refresh: identity.Token.RefreshToken, tokens: map[string]*oauth2.Token{p.marketURL + " ": identity.Token},
	})
	p.goOn(w, identity.ReturnTo)
}

func (p *partner) userID(ctx context.Context, subject string) (string, error) {
	var number int64
	err := p.readers.QueryRowContext(ctx,
		`INSERT INTO reader (subject) VALUES ($1) ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject RETURNING number`,
		subject).Scan(&number)
	if err != nil {
		return "", fmt.Errorf("find the reader: %w", err)
	}
	return readerID(number), nil
}

func readerID(number int64) string { return fmt.Sprintf("reader:%03d", number) }

// known finds the partner's own id of a subject it has met.
func (p *partner) known(ctx context.Context, subject string) (string, error) {
	var number int64
	err := p.readers.QueryRowContext(ctx, `SELECT number FROM reader WHERE subject = $1`, subject).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return readerID(number), err
}

func (p *partner) home(w http.ResponseWriter, r *http.Request) {
	session, ok := p.sessions.load(r)
	if !ok {
		p.show(w, http.StatusOK, sitePage{Notice: "You are not signed in here.", Actions: []siteAction{
			{Method: http.MethodGet, Path: "signin", Title: "Sign in with Market"},
		}})
		return
	}
	person := p.person(session.subject, session.userID)
	p.show(w, http.StatusOK, sitePage{
		Person:  &person,
		Actions: []siteAction{{Method: http.MethodPost, Path: "shelf", Title: "Show my items on the blog"}},
	})
}

func (p *partner) shelf(w http.ResponseWriter, r *http.Request, session *appSession) error {
	token, err := session.token(r.Context(), p.client, p.marketURL)
	if err != nil {
		return err
	}
	var items []Item
	err = call{client: p.api, method: http.MethodGet, url: p.marketURL + "/items/mine", token: token}.do(r.Context(), &items)
	if err != nil {
		return err
	}
	p.done(w, r, fmt.Sprintf("%d of your items are on the shelf.", len(items)))
	return nil
}
