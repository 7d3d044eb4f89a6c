package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// logoutView is what the confirmation page shows.
type logoutView struct {
	Action  string
	Account string
	Email   string
}

// leaving is a logout request (OIDC RP-Initiated Logout 1.0 §2).
type leaving struct {
	client    *registry.Client // that sends the person here, nil if it does not say
	returnURI string           // registered by the client; empty to stay here
	refused   *oauth.Error     // the address to return to is not registered
	state     string
	hinted    *mint.Hint     // nil without a hint of ours
	session   *grant.Session // nil when nobody is signed in
	locales   string
}

// Logout ends the session of the browser. A client that proves by an ID token
// whom it sends is believed; everybody else's person is asked first, since any
// page can send a browser here.
func (d *Door) Logout(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.logout) }

func (d *Door) logout(w http.ResponseWriter, r *http.Request) (answer, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return answer{}, refuseMethod(w, "GET, POST")
	}
	values, err := web.ReadParameters(w, r, web.FormLimit)
	if err != nil {
		return answer{}, err
	}
	if name := web.Repeated(values); name != "" {
		return answer{}, web.RefuseRepeated(name)
	}
	if r.Method == http.MethodPost && values.Has("confirm") {
		return d.confirmLogout(w, r, values)
	}
	if again, ok := d.withCookies(r, values); ok {
		return again, nil
	}
	l, err := d.readLeaving(r, values)
	if err != nil {
		return answer{}, err
	}
	switch {
	case l.session == nil || l.believed():
		if err := d.endSession(w, r, l.session); err != nil {
			return answer{}, err
		}
	case l.refused == nil:
		return d.askLogout(w, r, l)
	}
	if l.refused != nil {
		return answer{}, l.refused
	}
	return l.gone(), nil
}

// readLeaving reads a logout request. A hint that we did not make, or not for
// this client, counts as none. An address that is not registered is an error
// (§3): the person is never sent there. A client that is believed has signed
// them out all the same, as it could have done without an address.
func (d *Door) readLeaving(r *http.Request, values url.Values) (*leaving, error) {
	l := &leaving{locales: values.Get("ui_locales")}
	var err error
	if l.session, err = d.session(r); err != nil {
		return nil, err
	}
	if id := values.Get("client_id"); id != "" {
		if client, ok := d.Registry.Current().Client(id); ok {
			l.client = client
		}
	}
	if l.hinted, err = d.readLogoutHint(r.Context(), values.Get("id_token_hint")); err != nil {
		return nil, err
	}
	switch {
	case l.hinted == nil:
	case values.Get("client_id") == "":
		l.client = l.hinted.Client
	case l.client == nil || l.client.ID != l.hinted.Client.ID:
		l.hinted = nil
	}
	uri := values.Get("post_logout_redirect_uri")
	if uri == "" || l.client == nil {
		return l, nil
	}
	if !l.client.MatchPostLogoutRedirectURI(uri) {
		l.refused = oauth.Refuse(oauth.InvalidRequest,
			"The post_logout_redirect_uri is not registered for this client. It must be the same, byte for byte.")
		return l, nil
	}
	if l.hinted != nil {
		l.returnURI, l.state = uri, values.Get("state")
	}
	return l, nil
}

func (d *Door) readLogoutHint(ctx context.Context, text string) (*mint.Hint, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // a request without a hint is no error
	}
	hint, err := d.Mint.CheckIDTokenHint(ctx, text)
	if errors.Is(err, mint.ErrInvalid) {
		return nil, nil //nolint:nilnil // counts as none
	}
	return hint, err
}

// believed reports whether the client has shown an ID token of this very
// session. One without a session id must at least be about the same person.
func (l *leaving) believed() bool {
	if l.hinted == nil || l.session == nil {
		return false
	}
	if l.hinted.Session != nil {
		return *l.hinted.Session == l.session.ID
	}
	return l.hinted.Who == l.session.Ref
}

// gone is where a person is who has signed out: back at the client, or here.
func (l *leaving) gone() answer {
	switch {
	case l.returnURI == "":
		return answer{page: &web.Page{Name: "signedout", UILocales: l.locales}}
	case l.state == "":
		return answer{location: l.returnURI}
	default:
		return answer{location: withQuery(l.returnURI, []web.FormField{{Name: "state", Value: l.state}})}
	}
}

func (d *Door) askLogout(w http.ResponseWriter, r *http.Request, l *leaving) (answer, error) {
	who, err := d.person(r.Context(), l.session)
	if err != nil {
		return answer{}, err
	}
	browser := d.Pages.Browser(w, r)
	return answer{page: &web.Page{
		Name: "logout", UILocales: l.locales, CSRF: browser.Token(logoutPurpose(l.session)),
		Data: logoutView{Action: logoutPath, Account: accountPath, Email: who.Email},
	}}, nil
}

func logoutPurpose(session *grant.Session) string { return "sign out\x00" + sessionName(session) }

// confirmLogout takes the form of the confirmation page, or of the account page.
func (d *Door) confirmLogout(w http.ResponseWriter, r *http.Request, values url.Values) (answer, error) {
	session, err := d.session(r)
	if err != nil {
		return answer{}, err
	}
	if session == nil {
		return answer{location: logoutPath}, nil // signed out already, in another tab perhaps
	}
	if err := d.Pages.CheckPost(r, d.Pages.KnownBrowser(r), logoutPurpose(session), values.Get(csrfField)); err != nil {
		return answer{}, err
	}
	if err := d.endSession(w, r, session); err != nil {
		return answer{}, err
	}
	return answer{location: logoutPath}, nil // which says that nobody is signed in
}

// endSession ends the session, if there is one, with what hangs under it. The
// browser gets a new name too: pages that are still open in it are worth
// nothing.
func (d *Door) endSession(w http.ResponseWriter, r *http.Request, session *grant.Session) error {
	if session == nil {
		return nil
	}
	err := d.DB.Update(r.Context(), func(tx *db.Tx) error {
		return d.Grants.EndSession(r.Context(), tx, session.ID)
	})
	if err != nil {
		return err
	}
	d.Pages.ClearCookie(w, sessionCookie)
	d.Pages.NewBrowser(w)
	return nil
}
