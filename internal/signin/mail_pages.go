package signin

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	recoverPath = "/recover"

	// RecoverPath is before the token in the link of a recovery.
	RecoverPath = recoverPath + "/"

	confirmPath = "/confirm-email/"
)

// mailing is how a letter that a page causes is written.
func (d *Door) mailing(r *http.Request, path string) account.Mailing {
	language := web.Language(r, "")
	group := d.Registry.Current().Name.In(language)
	if group == "" {
		group = host(d.Issuer)
	}
	return account.Mailing{
		Post: d.Post, Language: language, Group: group,
		Link: func(token string) string { return d.Issuer + path + url.PathEscape(token) },
	}
}

// recoverView is what the page shows on which a person asks for a letter.
type recoverView struct {
	Action  string
	Sent    string // the address that a letter was asked for
	Email   string
	Problem web.Message
}

func (d *Door) withoutMail() error {
	if d.Post != nil {
		return nil
	}
	return &oauth.Error{Code: oauth.InvalidRequest, Status: http.StatusNotFound, Description: "There is no such page."}
}

// RecoverPage asks for the address of somebody who has forgotten their password.
func (d *Door) RecoverPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.recoverPage) }

func (d *Door) recoverPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	if err := d.withoutMail(); err != nil {
		return answer{}, err
	}
	return d.showRecover(w, r, recoverView{}), nil
}

const recoverPurpose = "recover"

func (d *Door) showRecover(w http.ResponseWriter, r *http.Request, view recoverView) answer {
	view.Action = recoverPath
	return answer{page: &web.Page{Name: "recover", CSRF: d.Pages.Browser(w, r).Token(recoverPurpose), Data: view}}
}

// Recover has a letter written to an address, if it has an account, and says the same if
// it has not.
func (d *Door) Recover(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.recoverAccount) }

func (d *Door) recoverAccount(w http.ResponseWriter, r *http.Request) (answer, error) {
	if err := d.withoutMail(); err != nil {
		return answer{}, err
	}
	values, err := d.readForm(w, r, "email")
	if err != nil {
		return answer{}, err
	}
	if err := d.Pages.CheckPost(r, d.Pages.KnownBrowser(r), recoverPurpose, values.Get(csrfField)); err != nil {
		return answer{}, err
	}
	email := values.Get("email")
	err = d.People.SendRecovery(r.Context(), email, d.mailing(r, RecoverPath), d.origin(r, ""))
	if problem, status, ok := signInProblem(w, err); ok {
		a := d.showRecover(w, r, recoverView{Email: email, Problem: problem})
		a.page.Status = status
		return a, nil
	}
	if err != nil {
		return answer{}, err
	}
	return d.showRecover(w, r, recoverView{Sent: email}), nil
}

// choosePasswordView is what the page shows that the link of a recovery opens.
type choosePasswordView struct {
	Action  string
	Recover string
	Gone    bool
	Done    bool
	Account string
	Problem web.Message
}

// ChoosePasswordPage is what the link of a recovery opens. To open it takes nothing:
// programs that look after mail do it, too.
func (d *Door) ChoosePasswordPage(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, d.choosePasswordPage)
}

func (d *Door) choosePasswordPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	if err := d.withoutMail(); err != nil {
		return answer{}, err
	}
	err := d.People.CheckRecovery(r.Context(), r.PathValue("token"))
	if err != nil && !errors.Is(err, account.ErrLink) {
		return answer{}, err
	}
	return d.showChoose(w, r, choosePasswordView{Gone: err != nil}), nil
}

func choosePurpose(token string) string { return "choose password\x00" + token }

func (d *Door) showChoose(w http.ResponseWriter, r *http.Request, view choosePasswordView) answer {
	token := r.PathValue("token")
	view.Action, view.Recover, view.Account = RecoverPath+url.PathEscape(token), recoverPath, accountPath
	page := &web.Page{Name: "choosepassword", CSRF: d.Pages.Browser(w, r).Token(choosePurpose(token)), Data: view}
	if view.Gone {
		page.Status = http.StatusGone
	}
	return answer{page: page}
}

// ChoosePassword takes the password that a person has chosen by the link of a recovery.
// Nobody is signed in by it.
func (d *Door) ChoosePassword(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, d.choosePassword)
}

func (d *Door) choosePassword(w http.ResponseWriter, r *http.Request) (answer, error) {
	if err := d.withoutMail(); err != nil {
		return answer{}, err
	}
	values, err := d.readForm(w, r, "new")
	if err != nil {
		return answer{}, err
	}
	token := r.PathValue("token")
	if err := d.Pages.CheckPost(r, d.Pages.KnownBrowser(r), choosePurpose(token), values.Get(csrfField)); err != nil {
		return answer{}, err
	}
	err = d.People.Recover(r.Context(), token, values.Get("new"), d.mailing(r, RecoverPath), d.origin(r, ""),
		func(ctx context.Context, tx *db.Tx, accountID string) error {
			return d.Grants.RevokeAccount(ctx, tx, accountID, outbox.ByUser, "password changed")
		})
	if errors.Is(err, account.ErrLink) {
		return d.showChoose(w, r, choosePasswordView{Gone: true}), nil
	}
	if problem, status, ok := signUpProblem(w, err); ok {
		a := d.showChoose(w, r, choosePasswordView{Problem: problem})
		a.page.Status = status
		return a, nil
	}
	if err != nil {
		return answer{}, err
	}
	return d.showChoose(w, r, choosePasswordView{Done: true}), nil
}

// confirmView is what the page shows that the link of a verification opens.
type confirmView struct {
	Action  string
	Email   string // that was confirmed
	Gone    bool
	Account string
}

// ConfirmEmailPage is what the link of a verification opens: a button, so that no program
// that looks after mail confirms anything.
func (d *Door) ConfirmEmailPage(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, func(w http.ResponseWriter, r *http.Request) (answer, error) {
		return d.showConfirm(w, r, confirmView{}), d.withoutMail()
	})
}

func confirmPurpose(token string) string { return "confirm e-mail\x00" + token }

func (d *Door) showConfirm(w http.ResponseWriter, r *http.Request, view confirmView) answer {
	token := r.PathValue("token")
	view.Action, view.Account = confirmPath+url.PathEscape(token), accountPath
	page := &web.Page{Name: "confirmemail", CSRF: d.Pages.Browser(w, r).Token(confirmPurpose(token)), Data: view}
	if view.Gone {
		page.Status = http.StatusGone
	}
	return answer{page: page}
}

// ConfirmEmail notes that an address is its account's.
func (d *Door) ConfirmEmail(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.confirmEmail) }

func (d *Door) confirmEmail(w http.ResponseWriter, r *http.Request) (answer, error) {
	if err := d.withoutMail(); err != nil {
		return answer{}, err
	}
	values, err := d.readForm(w, r)
	if err != nil {
		return answer{}, err
	}
	token := r.PathValue("token")
	if err := d.Pages.CheckPost(r, d.Pages.KnownBrowser(r), confirmPurpose(token), values.Get(csrfField)); err != nil {
		return answer{}, err
	}
	who, err := d.People.VerifyEmail(r.Context(), token, d.origin(r, ""))
	if errors.Is(err, account.ErrLink) {
		who, err = d.People.MoveEmail(r.Context(), token, d.mailing(r, confirmPath), d.origin(r, ""))
	}
	if errors.Is(err, account.ErrLink) {
		return d.showConfirm(w, r, confirmView{Gone: true}), nil
	}
	if err != nil {
		return answer{}, err
	}
	return d.showConfirm(w, r, confirmView{Email: who.Email}), nil
}

// askToConfirm has a letter written by which a person confirms their address. That too
// many were asked for is no fault of who signs up.
func (d *Door) askToConfirm(r *http.Request, accountID string) error {
	if d.Post == nil {
		return nil
	}
	err := d.People.SendVerification(r.Context(), accountID, d.mailing(r, confirmPath), d.origin(r, ""))
	var throttled *account.ThrottledError
	if errors.As(err, &throttled) {
		return nil
	}
	return err
}
