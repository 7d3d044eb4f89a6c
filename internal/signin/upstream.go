package signin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/upstream"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// linkLife is how long a person who came from a provider has to prove that the account
// with the same address is theirs.
const linkLife = 10 * time.Minute

// linking is an identity that is connected once its person has proved to have the account.
type linking struct {
	Provider string           `json:"provider"`
	Identity account.Identity `json:"identity"`
	At       time.Time        `json:"at"`
}

// linking is what is to be connected; nil for nothing, or when it took too long.
func (r *Request) linking(now time.Time) *linking {
	if r.Linking == nil || now.Sub(r.Linking.At) > linkLife {
		return nil
	}
	return r.Linking
}

// mustBeFresh reports whether the client wants a sign-in that was made for it: at a
// provider, too, that is.
func (r *Request) mustBeFresh() bool { return r.Prompt.Login || r.MaxAge != nil }

// providerLink is a provider as pages show it.
type providerLink struct {
	ID   string
	Name string
	Link string
}

// providers are those that people can be sent to, with links below base.
func (d *Door) providers(r *http.Request, base, locales string) []providerLink {
	if d.Upstream == nil {
		return nil
	}
	var links []providerLink
	for _, p := range d.Registry.Current().Providers() {
		if d.Upstream.Offered(p) {
			links = append(links, providerLink{ID: p.Name, Name: p.DisplayName.In(web.Language(r, locales)), Link: base + "/" + p.Name})
		}
	}
	return links
}

// provider is the one in the address of a page.
func (d *Door) provider(r *http.Request) (*registry.Provider, error) {
	if d.Upstream != nil {
		if p, ok := d.Registry.Current().Provider(r.PathValue("provider")); ok {
			return p, nil
		}
	}
	return nil, shown{&oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusNotFound, Description: "There is no such provider."}}
}

// signInTrip is the way of a waiting request to a provider and back.
func (d *Door) signInTrip(r *http.Request, f *flow, p *registry.Provider) upstream.Trip {
	return upstream.Trip{
		Provider: p, Page: f.handle, Purpose: signInPurpose(f) + "\x00" + string(f.owner),
		Fresh: f.request.mustBeFresh(), Language: web.Language(r, f.request.UILocales),
	}
}

// SignInWith sends a person to a provider. It changes nothing here.
func (d *Door) SignInWith(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.signInWith) }

func (d *Door) signInWith(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, err := d.open(r)
	if err != nil {
		return answer{}, err
	}
	at, refusal := d.next(f)
	if refusal != nil || !at.signsIn() {
		return d.proceed(w, r, f)
	}
	p, err := d.provider(r)
	if err != nil {
		return answer{}, err
	}
	location, err := d.Upstream.Begin(r.Context(), d.signInTrip(r, f, p))
	if err != nil {
		return d.upstreamFailed(r, f, at, err)
	}
	return answer{location: location}, nil
}

// FromUpstream is where a provider sends people back to.
func (d *Door) FromUpstream(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.fromUpstream) }

func (d *Door) fromUpstream(w http.ResponseWriter, r *http.Request) (answer, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return answer{}, refuseMethod(w, "GET, POST")
	}
	said, err := web.ReadParameters(w, r, web.FormLimit)
	if err != nil {
		return answer{}, shown{err}
	}
	if r.Method == http.MethodPost {
		// Our cookies do not come with a form of another site: it is sent around once.
		said.Del("user") // of Apple, who may tell a name there that nobody vouches for
		query := said.Encode()
		if len(query) > longestQuery {
			return answer{}, shown{oauth.Refuse(oauth.InvalidRequest, "The answer of the provider is too long.")}
		}
		return answer{location: r.URL.Path + "?" + query}, nil
	}
	p, err := d.provider(r)
	if err != nil {
		return answer{}, err
	}
	if upstream.Page(said) == connectPage {
		return d.connectAnswered(w, r, p, said)
	}
	r.SetPathValue("request", upstream.Page(said))
	f, err := d.open(r)
	if err != nil {
		return answer{}, err
	}
	at, refusal := d.next(f)
	if refusal != nil || !at.signsIn() {
		return d.proceed(w, r, f)
	}
	id, err := d.Upstream.Finish(r.Context(), d.signInTrip(r, f, p), said)
	if err != nil {
		return d.upstreamFailed(r, f, at, err)
	}
	who, err := d.People.CheckIdentity(r.Context(), id, d.origin(r, f.request.ClientID))
	switch {
	case errors.Is(err, account.ErrUnknown):
		return d.firstTime(w, r, f, at, p, id)
	case errors.Is(err, account.ErrCredentials):
		return d.upstreamFailed(r, f, at, upstream.ErrRefused)
	case err != nil:
		return answer{}, err
	}
	return d.firstProof(w, r, f, who.ID, byUpstream(d.Now(), f.request.mustBeFresh()))
}

// firstTime is for an identity that no account is connected with: it gets one of its own,
// or is connected once its person has proved to have the account with its address.
func (d *Door) firstTime(w http.ResponseWriter, r *http.Request, f *flow, at step, p *registry.Provider, id *account.Identity) (answer, error) {
	if f.request.Account != "" || f.session != nil && at == stepSignIn {
		// Somebody was to prove who they are, and this is nobody.
		return d.upstreamProblem(r, f, at, web.Say("problem.upstream-unknown"), http.StatusUnprocessableEntity)
	}
	profile := account.Profile{Name: id.Name}
	if profile.Validate() != nil {
		profile = account.Profile{}
	}
	made, err := d.People.SignUp(r.Context(), account.NewAccount{
		Email: id.Email, EmailVerified: id.EmailVerified, Identity: id, Profile: profile, Origin: d.origin(r, f.request.ClientID),
	})
	if errors.Is(err, account.ErrEmailTaken) && id.EmailVerified {
		f.request.Linking = &linking{Provider: p.Name, Identity: *id, At: d.Now()}
		if err := d.save(r, f, nil); err != nil {
			return answer{}, err
		}
		return answer{location: pageOf[stepSignIn] + url.PathEscape(f.handle)}, nil
	}
	if errors.Is(err, account.ErrIdentityKnown) { // two tabs, and the other was faster
		return d.upstreamFailed(r, f, at, upstream.ErrRefused)
	}
	if errors.Is(err, account.ErrEmailInvalid) {
		return d.upstreamProblem(r, f, at, web.Say("problem.upstream-email"), http.StatusUnprocessableEntity)
	}
	if problem, status, ok := signUpProblem(w, err); ok {
		return d.upstreamProblem(r, f, at, problem, status)
	}
	if err != nil {
		return answer{}, err
	}
	if !made.EmailVerified {
		if err := d.askToConfirm(r, made.ID); err != nil {
			return answer{}, err
		}
	}
	return d.signedIn(w, r, f, made.ID, byUpstream(d.Now(), f.request.mustBeFresh()))
}

// link connects the identity that a person came with, now that they have proved to have
// the account with its address.
func (d *Door) link(r *http.Request, pending *linking, accountID string) error {
	if pending == nil {
		return nil
	}
	who, _, err := d.personWithMethods(r.Context(), accountID)
	if err != nil || !who.SameEmail(pending.Identity.Email) {
		return err
	}
	err = d.People.LinkIdentity(r.Context(), accountID, &pending.Identity, d.origin(r, ""))
	if errors.Is(err, account.ErrIdentityKnown) || errors.Is(err, account.ErrIdentitiesFull) {
		return nil
	}
	return err
}

// upstreamFailed shows the sign-in page again, with what went wrong.
func (d *Door) upstreamFailed(r *http.Request, f *flow, at step, err error) (answer, error) {
	problem, status, ok := upstreamProblem(err)
	if !ok {
		return answer{}, err
	}
	web.Event(r.Context()).Set("cause", err.Error())
	return d.upstreamProblem(r, f, at, problem, status)
}

func (d *Door) upstreamProblem(r *http.Request, f *flow, at step, problem web.Message, status int) (answer, error) {
	a, err := d.showSignIn(r, f, at, problem, "")
	if err == nil {
		a.page.Status = status
	}
	return a, err
}

// upstreamProblem says what the person is told when a provider proved nothing.
func upstreamProblem(err error) (problem web.Message, status int, ok bool) {
	switch {
	case errors.Is(err, upstream.ErrUnavailable):
		return web.Say("problem.upstream-unavailable"), http.StatusServiceUnavailable, true
	case errors.Is(err, upstream.ErrDeclined):
		return web.Say("problem.upstream-declined"), http.StatusOK, true
	case errors.Is(err, upstream.ErrStale):
		return web.Say("problem.upstream-stale"), http.StatusUnprocessableEntity, true
	case errors.Is(err, upstream.ErrRefused):
		return web.Say("problem.upstream"), http.StatusUnprocessableEntity, true
	}
	return web.Message{}, 0, false
}

// byUpstream is a sign-in at a provider; fresh, if it vouches for one that was made for it.
func byUpstream(now time.Time, fresh bool) grant.SignIn {
	how := grant.SignIn{AuthTime: now, ACR: acrPassword, AMR: []string{amrFederated}}
	if fresh {
		how.AMR = append(how.AMR, amrPresence)
	}
	return how
}

// present reports whether the person did something themselves to sign in. A provider that
// has a session of them sends them back without a word, and so would a thief's click.
func present(s *grant.Session) bool { return !slices.Equal(s.AMR, []string{amrFederated}) }
