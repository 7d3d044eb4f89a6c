package signin

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// csrfField carries the form token of every page.
const csrfField = "csrf"

// readForm reads the form of one of our pages. A field the page does not have
// was put there by somebody: nothing is taken from a form that belongs to the
// stored request, and to send it is an error.
func (d *Door) readForm(w http.ResponseWriter, r *http.Request, fields ...string) (url.Values, error) {
	values, err := web.ParseForm(w, r, web.FormLimit)
	if err != nil {
		return nil, err
	}
	for name := range values {
		if name != csrfField && !slices.Contains(fields, name) {
			return nil, oauth.Refuse(oauth.InvalidRequest, "The form has a field that its page does not have.")
		}
	}
	return values, nil
}

// openForm reads the form of a page of a waiting request. Nothing has happened
// yet when it refuses a forged one.
func (d *Door) openForm(w http.ResponseWriter, r *http.Request, purpose func(*flow) string, fields ...string) (*flow, url.Values, error) {
	if d.Pages.KnownBrowser(r).Hash() == nil {
		return nil, nil, web.ErrForged
	}
	values, err := d.readForm(w, r, fields...)
	if err != nil {
		return nil, nil, err
	}
	f, err := d.open(r)
	if err != nil {
		return nil, nil, err
	}
	if err := d.Pages.CheckPost(r, f.browser, purpose(f), values.Get(csrfField)); err != nil {
		return nil, nil, err
	}
	return f, values, nil
}

// Purposes of form tokens. Where the form says something in the name of the
// person who is signed in, it is bound to that session.

func signInPurpose(f *flow) string { return "sign in\x00" + f.handle }

func verifyPurpose(f *flow) string {
	who := sessionName(f.session)
	if f.request.Proved != nil {
		who = f.request.Proved.Account
	}
	return "verify\x00" + f.handle + "\x00" + who
}

func signUpPurpose(f *flow) string { return "sign up\x00" + f.handle }

// consentPurpose is bound to the client and the scopes that were shown, too: if
// the group changes meanwhile, the person is asked again.
func consentPurpose(f *flow) string {
	return "consent\x00" + f.handle + "\x00" + sessionName(f.session) + "\x00" + f.request.ClientID + "\x00" + canonical(f.scopes)
}

// sessionForm reads a form that a page of the account was given for: no other site can
// have made it, and it was made for who is signed in. session is nil if nobody is.
func (d *Door) sessionForm(w http.ResponseWriter, r *http.Request, purpose func(*grant.Session) string, fields ...string) (session *grant.Session, values url.Values, err error) {
	if values, err = d.readForm(w, r, fields...); err != nil {
		return nil, nil, err
	}
	if session, err = d.session(r); err != nil {
		return nil, nil, err
	}
	err = d.Pages.CheckPost(r, d.Pages.KnownBrowser(r), purpose(session), values.Get(csrfField))
	return session, values, err
}
