package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// signInView is what the sign-in page shows.
type signInView struct {
	Action         string
	SignUp         string
	Client         string // where the person goes on to; empty for the account page
	Email          string
	Current        string // the account that can be chosen without a password
	Recover        string // where a forgotten password is replaced; empty where no letters are sent
	Passkey        string // options for the browser; empty where it has none for this server
	Providers      []providerLink
	Linking        string // the provider that the person has come from
	Reauthenticate bool   // the person is signed in and must prove it again
	Problem        web.Message
}

// SignInPage shows the form for e-mail address and password.
func (d *Door) SignInPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.signInPage) }

func (d *Door) signInPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, err := d.open(r)
	if err != nil {
		return answer{}, err
	}
	switch at, refusal := d.next(f); {
	case refusal == nil && (at == stepSignIn || at == stepChoose || at == stepSignUp):
		return d.showSignIn(r, f, at, web.Message{}, "")
	default:
		return d.proceed(w, r, f)
	}
}

// showSignIn makes the page. The e-mail address is the one that was typed, else
// the hint of the client, else that of the person who must prove it again.
func (d *Door) showSignIn(r *http.Request, f *flow, at step, problem web.Message, typed string) (answer, error) {
	view := signInView{
		Action: "/signin/" + url.PathEscape(f.handle), SignUp: "/signup/" + url.PathEscape(f.handle),
		Client: f.clientName(r), Email: typed, Problem: problem,
	}
	if d.Post != nil {
		view.Recover = recoverPath
	}
	if d.People.TakesPasskeys() {
		view.Passkey = d.People.PasskeyOptions(signInPurpose(f), nil)
	}
	view.Providers = d.providers(r, pageOf[stepSignIn]+url.PathEscape(f.handle), f.request.UILocales)
	if pending := f.request.linking(d.Now()); pending != nil {
		view.Linking, view.Providers = pending.Provider, nil
		if p, ok := d.Registry.Current().Provider(pending.Provider); ok {
			view.Linking = p.DisplayName.In(web.Language(r, f.request.UILocales))
		}
		if view.Email == "" {
			view.Email = pending.Identity.Email
		}
	}
	if view.Email == "" {
		view.Email = f.request.LoginHint
	}
	if f.session != nil {
		who, err := d.person(r.Context(), f.session)
		if err != nil {
			return answer{}, err
		}
		here := f.request.SignedIn == sessionName(f.session)
		switch {
		case at == stepChoose:
			view.Current = who.Email
		case here && problem.Key == "":
			view.Problem = web.Say("problem.other-account")
		case at == stepSignIn && !here && f.request.Account == "":
			view.Reauthenticate = true
			if view.Email == "" {
				view.Email = who.Email
			}
		}
	}
	return answer{page: f.page("signin", signInPurpose(f), view)}, nil
}

// page is a page of this flow. A form on it may lead to the client, so the
// client's redirect URI is among its targets.
func (f *flow) page(name, purpose string, data any) *web.Page {
	page := &web.Page{Name: name, UILocales: f.request.UILocales, CSRF: f.browser.Token(purpose), Data: data}
	if f.client != nil {
		page.Theme = f.client.Subsystem.Theme
	}
	if f.client != nil && !f.request.byForm() {
		page.FormTargets = []string{f.request.RedirectURI}
	}
	return page
}

func (f *flow) clientName(r *http.Request) string {
	if f.client == nil {
		return ""
	}
	return f.client.Name.In(web.Language(r, f.request.UILocales))
}

// SignIn takes the sign-in form.
func (d *Door) SignIn(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.signIn) }

func (d *Door) signIn(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, values, err := d.openForm(w, r, signInPurpose, "email", "password", "passkey", "continue", "cancel")
	if err != nil {
		return answer{}, err
	}
	at, refusal := d.next(f)
	switch {
	case refusal != nil || at == stepConsent || at == stepFinish:
		return d.proceed(w, r, f) // the page was open twice, and the other was faster
	case values.Has("cancel") && f.client != nil:
		return d.deny(r, f, audit.AuthorizeRefused)
	case values.Has("continue"):
		return d.choose(w, r, f)
	case values.Has("passkey"):
		return d.signInByPasskey(w, r, f, at, values.Get("passkey"))
	}
	who, err := d.People.CheckPassword(r.Context(), account.Attempt{
		Login: values.Get("email"), Password: values.Get("password"),
		Device: d.Pages.Cookie(r, deviceCookie), Origin: d.origin(r, f.request.ClientID),
	})
	if err != nil {
		problem, status, ok := signInProblem(w, err)
		if !ok {
			return answer{}, err
		}
		a, err := d.showSignIn(r, f, at, problem, values.Get("email"))
		if err == nil {
			a.page.Status = status
		}
		return a, err
	}
	return d.firstProof(w, r, f, who.ID, byPassword(d.Now()))
}

// signInByPasskey signs in whoever holds the passkey that the browser has used.
func (d *Door) signInByPasskey(w http.ResponseWriter, r *http.Request, f *flow, at step, response string) (answer, error) {
	who, key, err := d.People.CheckPasskey(r.Context(), account.PasskeyAttempt{
		Purpose: signInPurpose(f), Response: response, Origin: d.origin(r, f.request.ClientID),
	})
	if errors.Is(err, account.ErrPasskey) {
		a, err := d.showSignIn(r, f, at, web.Say("problem.passkey"), "")
		if err == nil {
			a.page.Status = http.StatusUnprocessableEntity
		}
		return a, err
	}
	if err != nil {
		return answer{}, err
	}
	return d.signedIn(w, r, f, who.ID, byPasskey(d.Now(), key))
}

// firstProof signs a person in who has proved it in one way, or asks one who has an
// authenticator app for its code first: who has set it up wants nobody to come in without,
// but from a browser that they had remembered.
func (d *Door) firstProof(w http.ResponseWriter, r *http.Request, f *flow, accountID string, how grant.SignIn) (answer, error) {
	var methods account.Methods
	var trusted bool
	err := d.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		if methods, err = d.People.Methods(r.Context(), tx, accountID); err != nil || !methods.TOTP {
			return err
		}
		trusted, err = d.People.Trusted(r.Context(), tx, accountID, d.Pages.Cookie(r, trustedCookie))
		return err
	})
	if err != nil {
		return answer{}, err
	}
	if !methods.TOTP || trusted {
		return d.signedIn(w, r, f, accountID, how)
	}
	f.request.Proved = &proved{Account: accountID, AMR: how.AMR, At: d.Now()}
	if err := d.save(r, f, nil); err != nil {
		return answer{}, err
	}
	return d.proceed(w, r, f)
}

// choose goes on as the person who is signed in.
func (d *Door) choose(w http.ResponseWriter, r *http.Request, f *flow) (answer, error) {
	if f.session == nil {
		return d.proceed(w, r, f)
	}
	f.request.Chosen = sessionName(f.session)
	if err := d.save(r, f, nil); err != nil {
		return answer{}, err
	}
	return d.proceed(w, r, f)
}

// signedIn gives the browser a session of the person who has just proved who
// they are, notes that for this request, and goes on. The session of somebody
// else ends; one of the same person is renewed, so that what hangs under it
// stays. Either way the cookie has a new value.
func (d *Door) signedIn(w http.ResponseWriter, r *http.Request, f *flow, accountID string, how grant.SignIn) (answer, error) {
	before, cookie := f.session, ""
	how.Agent, how.Source = d.whence(r)
	f.request.Proved = nil
	pending := f.request.linking(d.Now())
	f.request.Linking = nil
	err := d.save(r, f, func(tx *db.Tx) (err error) {
		f.session, cookie, err = d.replaceSession(r, tx, before, accountID, how)
		f.request.SignedIn = sessionName(f.session)
		return err
	})
	if errors.Is(err, grant.ErrAccount) {
		return answer{}, shown{oauth.Refuse(oauth.AccessDenied, "The account was changed a moment ago. Sign in again.")}
	}
	if err != nil {
		return answer{}, err
	}
	if err := d.link(r, pending, accountID); err != nil {
		return answer{}, err
	}
	d.Pages.SetCookie(w, sessionCookie, cookie, 0)
	d.Pages.SetCookie(w, deviceCookie, d.People.DeviceToken(accountID), account.DeviceTokenLife)
	web.Event(r.Context()).Set("account", accountID)
	if err := d.situate(r.Context(), f); err != nil {
		return answer{}, err
	}
	return d.proceed(w, r, f)
}

func (d *Door) replaceSession(r *http.Request, tx *db.Tx, before *grant.Session, accountID string, how grant.SignIn) (*grant.Session, string, error) {
	ctx := r.Context()
	if before != nil && before.AccountID == accountID {
		session, cookie, err := d.Grants.RenewSession(ctx, tx, before, how)
		if !errors.Is(err, grant.ErrNoSession) {
			return session, cookie, err
		}
		before = nil // it ended a moment ago
	}
	if before != nil {
		if err := d.Grants.EndSession(ctx, tx, before.ID); err != nil {
			return nil, "", err
		}
	}
	return d.Grants.StartSession(ctx, tx, accountID, how)
}

// save runs change, if there is one, and stores the request as it is then, in
// one transaction. A request that is gone changes nothing.
func (d *Door) save(r *http.Request, f *flow, change func(*db.Tx) error) error {
	return d.DB.Update(r.Context(), func(tx *db.Tx) error {
		if change != nil {
			if err := change(tx); err != nil {
				return err
			}
		}
		waiting, err := saveRequest(r.Context(), tx, f.ticket, f.request)
		if err == nil && !waiting {
			return errExpired
		}
		return err
	})
}

// signInProblem says what the person is told when a sign-in was not accepted.
// Whether the address is unknown or the password wrong is the same to them.
func signInProblem(w http.ResponseWriter, err error) (problem web.Message, status int, ok bool) {
	var throttled *account.ThrottledError
	switch {
	case errors.As(err, &throttled):
		w.Header().Set("Retry-After", strconv.Itoa(throttled.Seconds()))
		return throttledMessage(throttled.Seconds()), http.StatusTooManyRequests, true
	case errors.Is(err, account.ErrElsewhere):
		return web.Say("problem.elsewhere"), http.StatusServiceUnavailable, true
	case errors.Is(err, account.ErrTooLarge):
		return web.Say("problem.password-long"), http.StatusBadRequest, true
	case errors.Is(err, account.ErrCredentials):
		return web.Say("problem.credentials"), http.StatusUnprocessableEntity, true
	}
	return web.Message{}, 0, false
}

func throttledMessage(seconds int) web.Message {
	wait := time.Duration(seconds) * time.Second
	if wait <= 2*time.Minute {
		return web.Say("problem.throttled-seconds", seconds)
	}
	return web.Say("problem.throttled-minutes", int((wait+time.Minute-1)/time.Minute))
}
