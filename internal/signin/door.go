package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/upstream"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// Config is what the door needs. All fields but TrustProxy, Post and Upstream are required.
type Config struct {
	Issuer     string
	DB         *db.DB
	Registry   *registry.Registry
	People     *account.People
	Grants     *grant.Grants
	Mint       *mint.Mint
	Pages      *web.Pages
	Audit      *audit.Log
	Post       *mail.Post         // nil: no letters are sent, and nothing that needs them is offered
	Upstream   *upstream.Upstream // nil: people sign in here alone
	TrustProxy []netip.Prefix     // peers whose X-Forwarded-For is believed
	Now        func() time.Time
}

// Door answers browsers.
type Door struct{ Config }

// New makes the door.
func New(c Config) *Door { return &Door{c} }

// Cookies, beside the browser's own.
const (
	sessionCookie = "session"
	deviceCookie  = "device"
	trustedCookie = "trusted" // by which no code of an app is asked for
)

// answer is what a handler wants sent: exactly one of the four.
type answer struct {
	page     *web.Page
	location string    // where to go on, by status 303 (RFC 9700 §4.12)
	formPost *formPost // an authorization response in a form
	download []byte    // JSON to be kept as a file
}

type formPost struct {
	target string
	fields []web.FormField
}

// serve runs a handler and sends its answer, or its error: to the client where
// the check table says so, as a page otherwise.
func (d *Door) serve(w http.ResponseWriter, r *http.Request, handle func(http.ResponseWriter, *http.Request) (answer, error)) {
	a, err := handle(w, r)
	if err != nil {
		a, err = d.tellClient(r, err)
	}
	if err != nil {
		d.Pages.WriteRefusal(w, r, err)
		return
	}
	switch {
	case a.page != nil:
		d.Pages.Write(w, r, *a.page)
	case a.formPost != nil:
		d.Pages.WriteFormPost(w, r, a.formPost.target, a.formPost.fields)
	case a.download != nil:
		w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
		web.WriteRawJSON(w, http.StatusOK, a.download)
	default:
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", a.location)
		w.WriteHeader(http.StatusSeeOther)
	}
}

// tellClient turns an error that the client is to be told into the answer that
// tells it; any other error it gives back. Only refusals travel: a failure of
// ours is shown, so that the person can try again.
func (d *Door) tellClient(r *http.Request, err error) (answer, error) {
	var told redirected
	var refusal *oauth.Error
	if !errors.As(err, &told) || !errors.As(err, &refusal) {
		return answer{}, err
	}
	web.Refusal(r.Context(), refusal) // noted in the request's event
	record := audit.Record{
		Event: audit.AuthorizeRefused, Outcome: audit.Refused, Client: told.request.ClientID,
		Reason: string(refusal.Code), Source: d.source(r).String(), Request: web.Event(r.Context()).ID,
	}
	if err := d.Audit.Enqueue(record); err != nil {
		return answer{}, err
	}
	return d.respond(told.request, web.FormField{Name: "error", Value: string(refusal.Code)},
		web.FormField{Name: "error_description", Value: refusal.Description})
}

// NotFound is the page for every URL there is not.
func (d *Door) NotFound(w http.ResponseWriter, r *http.Request) {
	d.Pages.WriteRefusal(w, r, &oauth.Error{
		Code: oauth.InvalidRequest, Status: http.StatusNotFound, Description: "There is no such page.",
	})
}

func (d *Door) source(r *http.Request) netip.Addr { return web.ClientIP(r, d.TrustProxy) }

// origin says for the audit where an attempt comes from.
func (d *Door) origin(r *http.Request, clientID string) account.Origin {
	return account.Origin{Source: d.source(r), Client: clientID, Request: web.Event(r.Context()).ID}
}

// session loads the session of the browser, nil when nobody is signed in.
func (d *Door) session(r *http.Request) (*grant.Session, error) {
	cookie := d.Pages.Cookie(r, sessionCookie)
	if cookie == "" {
		return nil, nil //nolint:nilnil // nobody is signed in, and that is no error
	}
	var session *grant.Session
	err := d.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		session, err = d.Grants.LoadSession(r.Context(), tx, cookie)
		return err
	})
	if errors.Is(err, grant.ErrNoSession) {
		return nil, nil //nolint:nilnil // as above
	}
	if err != nil {
		return nil, err
	}
	web.Event(r.Context()).Set("account", session.AccountID)
	return session, nil
}

// person is who a session belongs to.
func (d *Door) person(ctx context.Context, session *grant.Session) (*account.Account, error) {
	var who *account.Account
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = d.People.ByID(ctx, tx, session.AccountID)
		return err
	})
	return who, err
}

// canonical is a text that differs wherever scopes differ.
func canonical(scopes grant.Scopes) string {
	text, err := json.Marshal(scopes)
	if err != nil {
		panic("signin: scopes cannot be written as JSON: " + err.Error()) // texts and lists always can
	}
	return string(text)
}
