package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/web"
)

// provedLife is how long a person who has given the password has for the rest.
const provedLife = 10 * time.Minute

// proved is a person who has given the password for a request, where that is not enough.
type proved struct {
	Account string    `json:"account"`
	AMR     []string  `json:"amr,omitempty"` // how; empty for the password
	At      time.Time `json:"at"`
}

// half is who has given the password and must still prove it in another way; nil for
// nobody, or when it took too long.
func (r *Request) half(now time.Time) *proved {
	if r.Proved == nil || now.Sub(r.Proved.At) > provedLife {
		return nil
	}
	return r.Proved
}

// verifyView is what the page for the second way of proof shows.
type verifyView struct {
	Action  string
	Client  string
	Email   string
	Code    bool   // an authenticator app, or recovery codes
	Passkey string // options for the browser; empty for none
	Days    int    // for which the browser may be remembered; 0 where a code is asked for in any case
	None    bool   // the person has no second way
	Methods string // where one is added
	Problem web.Message
}

// VerifyPage asks a person who has given the password to prove it in another way, too.
func (d *Door) VerifyPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.verifyPage) }

func (d *Door) verifyPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, err := d.open(r)
	if err != nil {
		return answer{}, err
	}
	if at, refusal := d.next(f); refusal != nil || at != stepVerify {
		return d.proceed(w, r, f)
	}
	return d.showVerify(r, f, web.Message{})
}

// whoVerifies is the person that the page is about, and what they have.
func (d *Door) whoVerifies(ctx context.Context, f *flow) (who *account.Account, methods account.Methods, err error) {
	id := ""
	if half := f.request.half(d.Now()); half != nil {
		id = half.Account
	} else if f.session != nil {
		id = f.session.AccountID
	}
	who, methods, err = d.personWithMethods(ctx, id)
	if errors.Is(err, account.ErrUnknown) {
		err = errExpired
	}
	return who, methods, err
}

// personWithMethods is a person, and the ways in which they sign in.
func (d *Door) personWithMethods(ctx context.Context, id string) (who *account.Account, methods account.Methods, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		if who, err = d.People.ByID(ctx, tx, id); err != nil {
			return err
		}
		methods, err = d.People.Methods(ctx, tx, id)
		return err
	})
	return who, methods, err
}

func (d *Door) showVerify(r *http.Request, f *flow, problem web.Message) (answer, error) {
	who, methods, err := d.whoVerifies(r.Context(), f)
	if err != nil {
		return answer{}, err
	}
	view := verifyView{
		Action: "/verify/" + url.PathEscape(f.handle), Client: f.clientName(r), Email: who.Email,
		Code: methods.TOTP || methods.RecoveryCodes > 0, None: !methods.Second(), Methods: securityPath, Problem: problem,
	}
	if methods.TOTP && f.request.half(d.Now()) != nil {
		view.Days = int(account.TrustedLife / (24 * time.Hour))
	}
	if keys := methods.Usable(); len(keys) > 0 && d.People.TakesPasskeys() {
		view.Passkey = d.People.PasskeyOptions(verifyPurpose(f), keys)
	}
	return answer{page: f.page("verify", verifyPurpose(f), view)}, nil
}

// Verify takes the second way of proof.
func (d *Door) Verify(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.verify) }

func (d *Door) verify(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, values, err := d.openForm(w, r, verifyPurpose, "code", "remember", "passkey", "restart", "cancel")
	if err != nil {
		return answer{}, err
	}
	if at, refusal := d.next(f); refusal != nil || at != stepVerify {
		return d.proceed(w, r, f)
	}
	who, _, err := d.whoVerifies(r.Context(), f)
	switch {
	case err != nil:
		return answer{}, err
	case values.Has("cancel") && f.client != nil:
		return d.deny(r, f, audit.AuthorizeRefused)
	case values.Has("restart"):
		return d.restart(w, r, f)
	case values.Has("passkey"):
		return d.verifyPasskey(w, r, f, who, values.Get("passkey"))
	}
	err = d.People.CheckCode(r.Context(), account.CodeAttempt{
		AccountID: who.ID, Code: values.Get("code"), Origin: d.origin(r, f.request.ClientID),
	})
	if problem, status, ok := verifyProblem(w, err); ok {
		return d.problemAt(r, f, problem, status)
	}
	if err != nil {
		return answer{}, err
	}
	if values.Has("remember") && f.request.Proved != nil {
		if err := d.remember(w, r, who.ID); err != nil {
			return answer{}, err
		}
	}
	before := []string{amrPassword}
	switch half := f.request.Proved; {
	case half == nil:
		before = f.session.AMR
	case len(half.AMR) > 0:
		before = half.AMR
	}
	return d.signedIn(w, r, f, who.ID, byCode(d.Now(), before))
}

// remember has this browser of the person asked for no code of the app, for a while.
func (d *Door) remember(w http.ResponseWriter, r *http.Request, accountID string) error {
	token := ""
	err := d.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		token, err = d.People.TrustedToken(r.Context(), tx, accountID)
		return err
	})
	if errors.Is(err, account.ErrUnknown) {
		return nil // the app was removed meanwhile
	}
	if err == nil {
		d.Pages.SetCookie(w, trustedCookie, token, account.TrustedLife)
	}
	return err
}

func (d *Door) verifyPasskey(w http.ResponseWriter, r *http.Request, f *flow, who *account.Account, response string) (answer, error) {
	_, key, err := d.People.CheckPasskey(r.Context(), account.PasskeyAttempt{
		Purpose: verifyPurpose(f), Response: response, AccountID: who.ID, Origin: d.origin(r, f.request.ClientID),
	})
	if errors.Is(err, account.ErrPasskey) {
		return d.problemAt(r, f, web.Say("problem.passkey"), http.StatusUnprocessableEntity)
	}
	if err != nil {
		return answer{}, err
	}
	return d.signedIn(w, r, f, who.ID, byPasskey(d.Now(), key))
}

func (d *Door) problemAt(r *http.Request, f *flow, problem web.Message, status int) (answer, error) {
	a, err := d.showVerify(r, f, problem)
	if err == nil {
		a.page.Status = status
	}
	return a, err
}

// restart forgets the password that was given, so that the person may sign in as
// somebody else.
func (d *Door) restart(w http.ResponseWriter, r *http.Request, f *flow) (answer, error) {
	if f.request.Proved == nil {
		return answer{location: pageOf[stepSignIn] + url.PathEscape(f.handle)}, nil
	}
	f.request.Proved = nil
	if err := d.save(r, f, nil); err != nil {
		return answer{}, err
	}
	return d.proceed(w, r, f)
}

// verifyProblem says what the person is told when a code was not accepted.
func verifyProblem(w http.ResponseWriter, err error) (problem web.Message, status int, ok bool) {
	if errors.Is(err, account.ErrCode) {
		return web.Say("problem.code"), http.StatusUnprocessableEntity, true
	}
	return signInProblem(w, err)
}
