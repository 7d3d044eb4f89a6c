package signin

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/web"
)

// signUpView is what the sign-up page shows.
type signUpView struct {
	Action  string
	SignIn  string
	Client  string
	Name    string
	Email   string
	Problem web.Message
}

// SignUpPage shows the form for a new account.
func (d *Door) SignUpPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.signUpPage) }

func (d *Door) signUpPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, err := d.open(r)
	if err != nil {
		return answer{}, err
	}
	switch at, refusal := d.next(f); {
	case refusal == nil && (at == stepSignIn || at == stepChoose || at == stepSignUp):
		return d.showSignUp(r, f, web.Message{}, f.request.LoginHint, ""), nil
	default:
		return d.proceed(w, r, f)
	}
}

func (d *Door) showSignUp(r *http.Request, f *flow, problem web.Message, email, name string) answer {
	return answer{page: f.page("signup", signUpPurpose(f), signUpView{
		Action: "/signup/" + url.PathEscape(f.handle), SignIn: "/signin/" + url.PathEscape(f.handle),
		Client: f.clientName(r), Name: name, Email: email, Problem: problem,
	})}
}

// SignUp takes the sign-up form. Who has made an account is signed in with it.
func (d *Door) SignUp(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.signUp) }

func (d *Door) signUp(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, values, err := d.openForm(w, r, signUpPurpose, "email", "password", "name")
	if err != nil {
		return answer{}, err
	}
	if at, refusal := d.next(f); refusal != nil || at == stepConsent || at == stepFinish {
		return d.proceed(w, r, f)
	}
	made, err := d.People.SignUp(r.Context(), account.NewAccount{
		Email: values.Get("email"), Password: values.Get("password"),
		Profile: account.Profile{Name: values.Get("name")}, Origin: d.origin(r, f.request.ClientID),
	})
	if err != nil {
		problem, status, ok := signUpProblem(w, err)
		if !ok {
			return answer{}, err
		}
		a := d.showSignUp(r, f, problem, values.Get("email"), values.Get("name"))
		a.page.Status = status
		return a, nil
	}
	if err := d.askToConfirm(r, made.ID); err != nil {
		return answer{}, err
	}
	return d.signedIn(w, r, f, made.ID, byPassword(d.Now()))
}

// signUpProblem says what the person can mend.
func signUpProblem(w http.ResponseWriter, err error) (problem web.Message, status int, ok bool) {
	var password *account.PasswordError
	var profile *account.ProfileError
	switch {
	case errors.As(err, &password):
		return passwordProblem(password.Fault), http.StatusUnprocessableEntity, true
	case errors.As(err, &profile):
		return web.Say("problem.name"), http.StatusUnprocessableEntity, true
	case errors.Is(err, account.ErrEmailInvalid):
		return web.Say("problem.email"), http.StatusUnprocessableEntity, true
	case errors.Is(err, account.ErrEmailTaken):
		return web.Say("problem.email-taken"), http.StatusUnprocessableEntity, true
	}
	return signInProblem(w, err)
}

func passwordProblem(fault account.PasswordFault) web.Message {
	switch fault {
	case account.PasswordTooShort:
		return web.Say("problem.password-short")
	case account.PasswordTooLong:
		return web.Say("problem.password-long")
	case account.PasswordPersonal:
		return web.Say("problem.password-personal")
	case account.PasswordUnusable:
		return web.Say("problem.password-unusable")
	default:
		return web.Say("problem.password-common")
	}
}
