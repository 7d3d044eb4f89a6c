package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"rsc.io/qr"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	securityPath = "/account/security"

	// freshFor is how long after signing in a person may change how they sign in.
	freshFor = 10 * time.Minute
)

// securityView is what the page of the ways to sign in shows.
type securityView struct {
	Action        string
	Account       string // the way back
	Notice        web.Message
	Problem       web.Message
	Passkeys      []passkeyRow
	NewPasskey    string // options for the browser; empty where it has none for this server
	PasskeyName   web.Message
	Password      bool
	MayDrop       bool // the password
	App           bool
	Setup         *appSetup
	RecoveryCodes int
	Identities    []identityRow
	More          []providerLink // that may be connected
	NewCodes      []string       // shown this once
}

type passkeyRow struct {
	ID      string
	Name    string
	Since   string
	Used    string
	Synced  bool
	Suspect bool
}

type appSetup struct {
	Picture template.URL // QR code
	Secret  string
	Sealed  string
}

// SecurityPage shows a person the ways in which they sign in.
func (d *Door) SecurityPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.securityPage) }

func (d *Door) securityPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	session, again, err := d.freshSession(w, r, securityPath)
	if err != nil || session == nil {
		return again, err
	}
	return d.showSecurity(w, r, session, securityView{Notice: securityNotices[r.URL.Query().Get("done")]})
}

// securityNotices are what may have been done, as the address of the page tells it.
var securityNotices = map[string]web.Message{
	"passkey-added":      web.Say("security.done-passkey-added"),
	"passkey-removed":    web.Say("security.done-passkey-removed"),
	"passkey-renamed":    web.Say("security.done-passkey-renamed"),
	"identity-added":     web.Say("security.done-identity-added"),
	"identity-removed":   web.Say("security.done-identity-removed"),
	"app-added":          web.Say("security.done-app-added"),
	"browsers-forgotten": web.Say("security.done-browsers-forgotten"),
	"app-removed":        web.Say("security.done-app-removed"),
	"password-removed":   web.Say("security.done-password-removed"),
	"password-changed":   web.Say("security.done-password-changed"),
	"password-added":     web.Say("security.done-password-added"),
}

// freshSession is the session of a person who has just proved who they are, as strongly
// as they can: who sits down at another's browser, or has stolen a password, must not
// change how its owner signs in. Anybody else is sent to sign in, and back from there; session is nil then.
func (d *Door) freshSession(w http.ResponseWriter, r *http.Request, back string) (session *grant.Session, again answer, err error) {
	if session, err = d.session(r); err != nil {
		return nil, answer{}, err
	}
	age := int64(freshFor / time.Second)
	request := &Request{Return: back, MaxAge: &age}
	if session != nil {
		var methods account.Methods
		err := d.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
			methods, err = d.People.Methods(r.Context(), tx, session.AccountID)
			return err
		})
		if err != nil {
			return nil, answer{}, err
		}
		if methods.Second() {
			request.ACR = acrTwo
		}
		if d.Now().Sub(session.AuthTime) <= freshFor && present(session) && !weaker(session.ACR, request.ACR) {
			return session, answer{}, d.Grants.TouchSession(r.Context(), session)
		}
	}
	again, err = d.proceed(w, r, &flow{request: request, session: session})
	return nil, again, err
}

func (d *Door) showSecurity(w http.ResponseWriter, r *http.Request, session *grant.Session, view securityView) (answer, error) {
	who, methods, err := d.personWithMethods(r.Context(), session.AccountID)
	if err != nil {
		return answer{}, err
	}
	purpose := securityPurpose(session)
	view.Action, view.Account, view.PasskeyName = securityPath, accountPath, web.Say("security.passkey-name")
	view.Password, view.App, view.RecoveryCodes = methods.Password, methods.TOTP, methods.RecoveryCodes
	view.MayDrop = methods.Password && len(methods.Usable()) > 0
	if d.People.TakesPasskeys() && len(methods.Passkeys) < account.MaxPasskeys {
		view.NewPasskey = d.People.NewPasskeyOptions(who, purpose, methods.Passkeys)
	}
	for _, key := range methods.Passkeys {
		row := passkeyRow{
			ID: base64.RawURLEncoding.EncodeToString(key.ID), Name: key.Name, Since: day(key.CreatedAt),
			Synced: key.Synced, Suspect: key.Suspect,
		}
		if !key.UsedAt.IsZero() {
			row.Used = day(key.UsedAt)
		}
		view.Passkeys = append(view.Passkeys, row)
	}
	view.Identities, view.More = d.identityRows(r, methods.Identities)
	if !methods.TOTP && (methods.Password || len(methods.Identities) > 0) {
		if view.Setup, err = d.appSetup(who); err != nil {
			return answer{}, err
		}
	}
	return answer{page: &web.Page{
		Name: "security", CSRF: d.Pages.Browser(w, r).Token(purpose), Data: view,
	}}, nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// appSetup makes what an authenticator app is given, as a picture and to type.
func (d *Door) appSetup(who *account.Account) (*appSetup, error) {
	setup, err := d.People.NewTOTP(who)
	if err != nil {
		return nil, err
	}
	picture, err := qr.Encode(setup.URI, qr.M)
	if err != nil {
		return nil, err
	}
	return &appSetup{
		Picture: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.PNG())), //nolint:gosec // of our own making
		Secret:  setup.Secret, Sealed: setup.Sealed,
	}, nil
}

func securityPurpose(session *grant.Session) string { return "security\x00" + sessionName(session) }

// Security changes how a person signs in.
func (d *Door) Security(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.security) }

func (d *Door) security(w http.ResponseWriter, r *http.Request) (answer, error) {
	_, values, err := d.sessionForm(w, r, securityPurpose, "do", "passkey", "id", "name", "sealed", "code", "old", "new", "issuer", "subject")
	if err != nil {
		return answer{}, err
	}
	session, again, err := d.freshSession(w, r, securityPath)
	if err != nil || session == nil {
		return again, err
	}
	ctx, from, id := r.Context(), d.origin(r, ""), session.AccountID
	var done string
	var proof *grant.SignIn // what the person has just proved by adding it
	switch values.Get("do") {
	case "add passkey":
		done = "passkey-added"
		var key *account.Passkey
		key, err = d.People.AddPasskey(ctx, account.NewPasskey{
			AccountID: id, Purpose: securityPurpose(session), Response: values.Get("passkey"), Name: values.Get("name"), Origin: from,
		})
		if err == nil {
			how := byPasskey(d.Now(), key)
			how.AMR = append(slices.Clone(session.AMR), how.AMR...)
			slices.Sort(how.AMR)
			how.AMR = slices.Compact(how.AMR)
			proof = &how
		}
	case "rename passkey":
		done, err = "passkey-renamed", d.People.RenamePasskey(ctx, id, keyID(values.Get("id")), values.Get("name"))
	case "remove passkey":
		done, err = "passkey-removed", d.People.RemovePasskey(ctx, id, keyID(values.Get("id")), from)
	case "add app":
		done, err = "app-added", d.People.ConfirmTOTP(ctx, id, values.Get("sealed"), values.Get("code"), from)
		how := byCode(d.Now(), session.AMR)
		proof = &how
	case "remove identity":
		done, err = "identity-removed", d.People.UnlinkIdentity(ctx, id, values.Get("issuer"), values.Get("subject"), from)
	case "remove app":
		done, err = "app-removed", d.People.RemoveTOTP(ctx, id, from)
	case "forget browsers":
		done, err = "browsers-forgotten", d.People.ForgetTrusted(ctx, id, from)
	case "change password":
		return d.changePassword(w, r, session, values)
	case "add password":
		done, err = "password-added", d.People.AddPassword(ctx, account.PasswordChange{AccountID: id, New: values.Get("new"), Origin: from})
	case "remove password":
		done, err = "password-removed", d.People.RemovePassword(ctx, id, from)
	case "new codes":
		codes, err := d.People.NewRecoveryCodes(ctx, id, from)
		if err != nil {
			return answer{}, err
		}
		return d.showSecurity(w, r, session, securityView{NewCodes: codes})
	default:
		return answer{}, oauth.Refuse(oauth.InvalidRequest, "There is no such change.")
	}
	if problem, status, ok := signUpProblem(w, err); ok {
		return d.securityAgain(w, r, session, problem, status)
	}
	if problem, ok := securityProblem(err); ok {
		web.Event(ctx).Set("cause", err.Error())
		return d.securityAgain(w, r, session, problem, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return answer{}, err
	}
	if proof != nil {
		if err := d.proveNow(w, r, session, *proof); err != nil {
			return answer{}, err
		}
	}
	return answer{location: securityPath + "?done=" + done}, nil
}

func (d *Door) securityAgain(w http.ResponseWriter, r *http.Request, session *grant.Session, problem web.Message, status int) (answer, error) {
	a, err := d.showSecurity(w, r, session, securityView{Problem: problem})
	if err == nil {
		a.page.Status = status
	}
	return a, err
}

// changePassword replaces the password, ends everything that the old one has made, and
// signs the person in here again.
func (d *Door) changePassword(w http.ResponseWriter, r *http.Request, session *grant.Session, values url.Values) (answer, error) {
	err := d.People.ChangePassword(r.Context(), account.PasswordChange{
		AccountID: session.AccountID, Old: values.Get("old"), New: values.Get("new"),
		Device: d.Pages.Cookie(r, deviceCookie), Origin: d.origin(r, ""),
		Also: func(ctx context.Context, tx *db.Tx) error {
			return d.Grants.RevokeAccount(ctx, tx, session.AccountID, outbox.ByUser, "password changed")
		},
	})
	if problem, status, ok := signUpProblem(w, err); ok {
		if errors.Is(err, account.ErrCredentials) {
			problem = web.Say("problem.old-password")
		}
		return d.securityAgain(w, r, session, problem, status)
	}
	if err != nil {
		return answer{}, err
	}
	how := grant.SignIn{AuthTime: d.Now(), ACR: session.ACR, AMR: session.AMR}
	how.Agent, how.Source = d.whence(r)
	cookie := ""
	err = d.DB.Update(r.Context(), func(tx *db.Tx) (err error) {
		_, cookie, err = d.Grants.StartSession(r.Context(), tx, session.AccountID, how)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	d.Pages.SetCookie(w, sessionCookie, cookie, 0)
	return answer{location: securityPath + "?done=password-changed"}, nil
}

// proveNow notes in the session that the person has just used what was added, beside
// the sign-in that had to be fresh: they need not use it again at once.
func (d *Door) proveNow(w http.ResponseWriter, r *http.Request, session *grant.Session, how grant.SignIn) error {
	cookie := ""
	how.Agent, how.Source = d.whence(r)
	err := d.DB.Update(r.Context(), func(tx *db.Tx) (err error) {
		_, cookie, err = d.Grants.RenewSession(r.Context(), tx, session, how)
		return err
	})
	if errors.Is(err, grant.ErrNoSession) || errors.Is(err, grant.ErrAccount) {
		return nil // it ended a moment ago, and the page asks to sign in
	}
	if err == nil {
		d.Pages.SetCookie(w, sessionCookie, cookie, 0)
	}
	return err
}

// keyID is the id of a passkey in a form; of what is none nothing is found.
func keyID(text string) []byte {
	id, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil
	}
	return id
}

// securityProblem says what the person is told when a change was not made.
func securityProblem(err error) (problem web.Message, ok bool) {
	switch {
	case errors.Is(err, account.ErrPasskey):
		return web.Say("problem.passkey-new"), true
	case errors.Is(err, account.ErrPasskeyKnown):
		return web.Say("problem.passkey-known"), true
	case errors.Is(err, account.ErrPasskeysFull):
		return web.Say("problem.passkeys-full"), true
	case errors.Is(err, account.ErrPasskeyName):
		return web.Say("problem.passkey-name"), true
	case errors.Is(err, account.ErrIdentityKnown):
		return web.Say("problem.identity-known"), true
	case errors.Is(err, account.ErrIdentityUnproven):
		return web.Say("problem.identity-unproven"), true
	case errors.Is(err, account.ErrIdentitiesFull):
		return web.Say("problem.identities-full"), true
	case errors.Is(err, account.ErrLastMethod):
		return web.Say("problem.last-method"), true
	case errors.Is(err, account.ErrCode):
		return web.Say("problem.code"), true
	case errors.Is(err, account.ErrUnknown):
		return web.Say("problem.method-gone"), true
	}
	return web.Message{}, false
}
