package signin

import (
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/upstream"
	"github.com/sekisho-id/sekisho/internal/web"
)

// connectPage is the word by which an answer of a provider is known to be for the account
// of who is signed in. No handle of a request is so short.
const connectPage = "account"

// connectView is what the page shows on which a person confirms what is connected.
type connectView struct {
	Action   string
	Provider string
	Email    string // as the provider has it
	Sealed   string
	Back     string
}

func connectPurpose(session *grant.Session) string { return "connect\x00" + sessionName(session) }

// connectTrip is the way of who is signed in to a provider and back.
func (d *Door) connectTrip(r *http.Request, session *grant.Session, p *registry.Provider) upstream.Trip {
	return upstream.Trip{
		Provider: p, Page: connectPage, Purpose: connectPurpose(session) + "\x00" + string(d.Pages.KnownBrowser(r).Hash()),
		Language: web.Language(r, ""),
	}
}

// ConnectWith sends a person to a provider, to connect what they have there with their
// account. It changes nothing here.
func (d *Door) ConnectWith(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.connectWith) }

func (d *Door) connectWith(w http.ResponseWriter, r *http.Request) (answer, error) {
	session, again, err := d.freshSession(w, r, securityPath)
	if err != nil || session == nil {
		return again, err
	}
	p, err := d.provider(r)
	if err != nil {
		return answer{}, err
	}
	location, err := d.Upstream.Begin(r.Context(), d.connectTrip(r, session, p))
	if err != nil {
		return d.connectFailed(w, r, session, err)
	}
	return answer{location: location}, nil
}

// connectAnswered asks the person whether the account at the provider is theirs: somebody
// else may have signed them in there.
func (d *Door) connectAnswered(w http.ResponseWriter, r *http.Request, p *registry.Provider, said url.Values) (answer, error) {
	session, again, err := d.freshSession(w, r, securityPath)
	if err != nil || session == nil {
		return again, err
	}
	id, err := d.Upstream.Finish(r.Context(), d.connectTrip(r, session, p), said)
	if err == nil && !id.EmailVerified {
		err = account.ErrIdentityUnproven
	}
	if err != nil {
		return d.connectFailed(w, r, session, err)
	}
	sealed, err := d.Upstream.Seal(id, connectPurpose(session))
	if err != nil {
		return answer{}, err
	}
	return answer{page: &web.Page{
		Name: "connect", CSRF: d.Pages.Browser(w, r).Token(connectPurpose(session)),
		Data: connectView{
			Action: securityPath + "/" + p.Name, Provider: p.DisplayName.In(web.Language(r, "")),
			Email: id.Email, Sealed: sealed, Back: securityPath,
		},
	}}, nil
}

// Connect connects what a person has at a provider with their account.
func (d *Door) Connect(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.connect) }

func (d *Door) connect(w http.ResponseWriter, r *http.Request) (answer, error) {
	_, values, err := d.sessionForm(w, r, connectPurpose, "sealed")
	if err != nil {
		return answer{}, err
	}
	session, again, err := d.freshSession(w, r, securityPath)
	if err != nil || session == nil {
		return again, err
	}
	p, err := d.provider(r)
	if err != nil {
		return answer{}, err
	}
	id, err := d.Upstream.Unseal(values.Get("sealed"), connectPurpose(session))
	if err == nil && id.Issuer != p.Issuer {
		err = upstream.ErrRefused
	}
	if err == nil {
		err = d.People.LinkIdentity(r.Context(), session.AccountID, id, d.origin(r, ""))
	}
	if err != nil {
		return d.connectFailed(w, r, session, err)
	}
	return answer{location: securityPath + "?done=identity-added"}, nil
}

func (d *Door) connectFailed(w http.ResponseWriter, r *http.Request, session *grant.Session, err error) (answer, error) {
	web.Event(r.Context()).Set("cause", err.Error())
	if problem, status, ok := upstreamProblem(err); ok {
		return d.securityAgain(w, r, session, problem, status)
	}
	if problem, ok := securityProblem(err); ok {
		return d.securityAgain(w, r, session, problem, http.StatusUnprocessableEntity)
	}
	return answer{}, err
}

// identityRow is what a person has at a provider, as the page of the ways to sign in
// shows it.
type identityRow struct {
	Provider string
	Email    string
	Issuer   string
	Subject  string
	Since    string
	Next     int // of the rows; 0 for the first
	Used     string
}

// identityRows are those, and the providers that may be connected beside.
func (d *Door) identityRows(r *http.Request, held []account.Identity) (rows []identityRow, more []providerLink) {
	names, connected := map[string]string{}, map[string]bool{}
	for _, p := range d.Registry.Current().Providers() {
		names[p.Issuer] = p.DisplayName.In(web.Language(r, ""))
	}
	for i := range held {
		id := &held[i]
		name := names[id.Issuer]
		if name == "" {
			name = id.Issuer // the group has it no more
		}
		connected[id.Issuer] = true
		rows = append(rows, identityRow{
			Provider: name, Email: id.Email, Issuer: id.Issuer, Subject: id.Subject, Next: i, Since: day(id.LinkedAt), Used: day(id.UsedAt),
		})
	}
	for _, link := range d.providers(r, securityPath, "") {
		if p, ok := d.Registry.Current().Provider(link.ID); ok && p.TrustEmail && !connected[p.Issuer] {
			more = append(more, link)
		}
	}
	return rows, more
}
