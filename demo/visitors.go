package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// visitors are the people who sign in to a site with the authorization server,
// and nothing else: the app's and the partner's. Each site gives them ids of
// its own and keeps them in its own database.
type visitors struct {
	*site
	client   *rp.Client
	signIn   *rp.SignIn
	sessions *sessions[*session]
	people   *sql.DB
	idFormat string // how the site writes its own ids
	firstAPI string // the API that the token of a fresh sign-in is for
}

const visitorSchema = `
CREATE TABLE IF NOT EXISTS person (
	number  INTEGER PRIMARY KEY,
	subject TEXT NOT NULL UNIQUE
)`

// session is one browser signed in to a site.
type session struct {
	userID  string
	subject string
	idToken string

	mu      sync.Mutex
	refresh string
	tokens  map[string]*oauth2.Token // by resource and scopes
}

// tokenMargin keeps a token from being sent when it may die on the way.
const tokenMargin = 10 * time.Second

// api is an HTTP client that calls a resource for the person, with the token for
// it and the proof of its key.
func (s *session) api(ctx context.Context, client *rp.Client, resource string, scopes ...string) (*http.Client, error) {
	token, err := s.token(ctx, client, resource, scopes...)
	if err != nil {
		return nil, err
	}
	return client.TokenClient(token), nil
}

// token answers an access token for a resource out of what the sign-in
// granted, through the refresh token (RFC 8707 §2.2). Without scopes it holds
// all that was granted there.
func (s *session) token(ctx context.Context, client *rp.Client, resource string, scopes ...string) (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := tokenKey(resource, scopes)
	if held, ok := s.tokens[key]; ok && time.Until(held.Expiry) > tokenMargin {
		return held, nil
	}
	fresh, err := client.Refresh(ctx, s.refresh, resource, scopes...)
	if err != nil {
		return nil, err
	}
	s.refresh, s.tokens[key] = fresh.RefreshToken, fresh
	return fresh, nil
}

func tokenKey(resource string, scopes oauth.Scopes) string { return resource + " " + scopes.String() }

// signedIn hands the session to a handler, or sends the person to sign in.
func (v *visitors) signedIn(handler func(http.ResponseWriter, *http.Request, *session) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		held, ok := v.sessions.load(r)
		if !ok {
			v.startSignIn(w, r)
			return
		}
		v.trace.behind(r.Context(), v.person(held.subject, held.userID))
		if err := handler(w, r, held); err != nil {
			v.fail(w, r, err)
		}
	}
}

// startSignIn sends the browser to the authorization server. With prompt=none
// it only asks whether the person is signed in to the group, without showing
// anything (OIDC Core §3.1.2.1).
func (v *visitors) startSignIn(w http.ResponseWriter, r *http.Request) {
	ask := rp.Ask{ReturnTo: returnTo(r)}
	if r.FormValue("prompt") == "none" {
		ask.Prompt = "none"
	}
	v.signIn.StartWith(w, r, ask)
}

var signInAction = []siteAction{{Method: http.MethodGet, Path: "signin", Title: "Sign in with Market"}}

func (v *visitors) finishSignIn(w http.ResponseWriter, r *http.Request) {
	identity, err := v.signIn.Finish(w, r)
	if err != nil {
		v.show(w, http.StatusForbidden, sitePage{Notice: "Not signed in. " + err.Error(), Actions: signInAction})
		return
	}
	userID, err := v.userID(r.Context(), identity.Subject)
	if err != nil {
		v.fail(w, r, err)
		return
	}
	v.trace.behind(r.Context(), v.person(identity.Subject, userID))
	v.sessions.start(w, r, &session{
		userID: userID, subject: identity.Subject, idToken: identity.IDToken, refresh: identity.Token.RefreshToken,
		tokens: map[string]*oauth2.Token{tokenKey(v.firstAPI, nil): identity.Token},
	})
	v.goOn(w, identity.ReturnTo)
}

// userID finds the site's own id of a subject, and gives one at first sight.
func (v *visitors) userID(ctx context.Context, subject string) (string, error) {
	var number int64
	err := v.people.QueryRowContext(ctx,
		`INSERT INTO person (subject) VALUES ($1) ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject RETURNING number`,
		subject).Scan(&number)
	if err != nil {
		return "", fmt.Errorf("find the person: %w", err)
	}
	return fmt.Sprintf(v.idFormat, number), nil
}

// known finds the site's own id of a subject it has met.
func (v *visitors) known(ctx context.Context, subject string) (string, error) {
	var number int64
	err := v.people.QueryRowContext(ctx, `SELECT number FROM person WHERE subject = $1`, subject).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return fmt.Sprintf(v.idFormat, number), err
}
