package signin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// flow is a request with all that is known about it while one HTTP request is
// answered.
type flow struct {
	ticket  // zero while the request is not stored
	browser web.Browser
	request *Request
	session *grant.Session   // nil when nobody is signed in
	client  *registry.Client // nil for the account page
	scopes  grant.Scopes     // that the client would get
	details rar.Details      // and what it would do with them
	consent grant.Scopes     // that the person allowed it before
}

// errExpired is a page whose request is gone.
var errExpired = shown{&oauth.Error{
	Code: oauth.InvalidRequest, Status: http.StatusGone,
	Description: "This sign-in has expired, was already completed, or was begun in another browser. Go back and start again.",
}}

// begin makes the flow of a request that is not stored yet.
func (d *Door) begin(r *http.Request, request *Request) (*flow, error) {
	session, err := d.session(r)
	if err != nil {
		return nil, err
	}
	f := &flow{request: request, session: session}
	return f, d.situate(r.Context(), f)
}

// open makes the flow of a page from the request that waits under the handle in
// its URL.
func (d *Door) open(r *http.Request) (*flow, error) {
	browser := d.Pages.KnownBrowser(r)
	f := &flow{browser: browser, ticket: ticket{handle: r.PathValue("request"), owner: browser.Hash()}}
	if f.owner == nil {
		return nil, errExpired
	}
	err := d.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		f.request, err = loadRequest(r.Context(), tx, f.ticket, d.Now())
		return err
	})
	if errors.Is(err, db.ErrNotFound) {
		return nil, errExpired
	}
	if err != nil {
		return nil, err
	}
	web.Event(r.Context()).Set("client", f.request.ClientID)
	if f.session, err = d.session(r); err != nil {
		return nil, err
	}
	return f, d.situate(r.Context(), f)
}

// situate looks up what next needs to know. The group may have changed since the
// request was stored, so what it allows is asked anew.
func (d *Door) situate(ctx context.Context, f *flow) error {
	if f.request.forAccount() {
		return nil
	}
	group := d.Registry.Current()
	client, ok := group.Client(f.request.ClientID)
	if !ok || !client.MatchRedirectURI(f.request.RedirectURI) {
		return shown{oauth.Refuse(oauth.InvalidRequest, "The client or its redirect_uri is not registered any more.")}
	}
	f.client = client
	details, err := f.request.details()
	if err != nil {
		return err
	}
	f.details = details
	scopes, refusal := scopePolicy{group: group, client: client}.resolve(f.request.Scope, f.request.Resources, details)
	if refusal != nil {
		return redirected{refusal, f.request}
	}
	f.scopes = scopes
	if f.session == nil || !client.Subsystem.Scenario.NeedsConsent() {
		return nil
	}
	return d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		f.consent, err = d.Grants.Consent(ctx, tx, f.session.AccountID, client.ID)
		return err
	})
}

func (d *Door) next(f *flow) (step, *oauth.Error) {
	least := ""
	if f.client != nil {
		least = f.client.ACR
	}
	return next(situation{
		leastACR: least,
		request:  f.request, session: f.session, scopes: f.scopes, detailed: len(f.details) > 0, consent: f.consent, now: d.Now(),
		needsConsent: f.client != nil && f.client.Subsystem.Scenario.NeedsConsent(),
	})
}

// pageOf is where the page of a step is.
var pageOf = map[step]string{
	stepSignIn: "/signin/", stepVerify: "/verify/", stepChoose: "/signin/", stepSignUp: "/signup/", stepConsent: "/consent/",
}

// proceed goes to the next step: to its page, or to the end.
func (d *Door) proceed(w http.ResponseWriter, r *http.Request, f *flow) (answer, error) {
	at, refusal := d.next(f)
	web.Event(r.Context()).Set("next", string(at))
	switch {
	case refusal != nil:
		return answer{}, redirected{refusal, f.request}
	case at == stepFinish:
		return d.finish(w, r, f)
	}
	if f.handle == "" {
		if err := d.wait(w, r, f); err != nil {
			return answer{}, err
		}
	}
	return answer{location: pageOf[at] + url.PathEscape(f.handle)}, nil
}

// wait stores the request for this browser.
func (d *Door) wait(w http.ResponseWriter, r *http.Request, f *flow) error {
	f.browser = d.Pages.Browser(w, r)
	f.ticket = ticket{handle: secret.Token(""), owner: f.browser.Hash()}
	return d.DB.Update(r.Context(), func(tx *db.Tx) error {
		return insertRequest(r.Context(), tx, f.ticket, f.request, d.Now())
	})
}

// finish makes the grant and its code and takes the request out of the table, in
// one transaction.
func (d *Door) finish(w http.ResponseWriter, r *http.Request, f *flow) (answer, error) {
	ctx := r.Context()
	var code string
	err := d.DB.Update(ctx, func(tx *db.Tx) (err error) {
		if err := d.take(ctx, tx, f); err != nil || f.request.forAccount() {
			return err
		}
		code, err = d.Grants.Authorize(ctx, tx, grant.Authorization{
			Session: f.session, ClientID: f.client.ID, Scopes: f.scopes, Details: f.details, Offline: f.offline(),
			RedirectURI: f.request.RedirectURI, Challenge: f.request.Challenge, Key: f.request.Key,
			Nonce: f.request.Nonce, Claims: f.request.Claims, ExactAuthTime: f.request.ExactTime,
		})
		return err
	})
	if errors.Is(err, grant.ErrNoSession) {
		// Signed out in another tab a moment ago.
		f.session = nil
		return d.proceed(w, r, f)
	}
	if err != nil {
		return answer{}, err
	}
	if f.request.forAccount() {
		return answer{location: cmp.Or(f.request.Return, accountPath)}, nil
	}
	return d.respond(f.request, web.FormField{Name: "code", Value: code})
}

// take takes a stored request out of the tables, once.
func (d *Door) take(ctx context.Context, tx *db.Tx, f *flow) error {
	if f.request.Pushed != nil {
		taken, err := takePushed(ctx, tx, f.request.Pushed)
		if err != nil {
			return err
		}
		if !taken {
			return errNotPushed
		}
	}
	if f.handle == "" {
		return nil
	}
	taken, err := takeRequest(ctx, tx, f.ticket)
	if err == nil && !taken {
		return errExpired
	}
	return err
}

// deny ends a request with access_denied, because the person said so
// (RFC 6749 §4.1.2.1).
func (d *Door) deny(r *http.Request, f *flow, event audit.Event) (answer, error) {
	ctx := r.Context()
	err := d.DB.Update(ctx, func(tx *db.Tx) error {
		if err := d.take(ctx, tx, f); err != nil {
			return err
		}
		record := audit.Record{
			At: d.Now(), Event: event, Outcome: audit.Refused, Client: f.request.ClientID,
			Reason: "the person declined", Source: d.source(r).String(), Request: web.Event(ctx).ID,
		}
		if f.session != nil {
			record.Account = f.session.AccountID
		}
		return audit.Append(ctx, tx, record)
	})
	if err != nil {
		return answer{}, err
	}
	return d.respond(f.request,
		web.FormField{Name: "error", Value: string(oauth.AccessDenied)},
		web.FormField{Name: "error_description", Value: "The person did not allow it."})
}

// offline reports whether the client may act while the person is away.
func (f *flow) offline() bool {
	for _, scopes := range f.scopes {
		if oauth.Scopes(scopes).Has(oauth.ScopeOfflineAccess) {
			return true
		}
	}
	return false
}
