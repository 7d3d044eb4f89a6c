package signin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	dataPath   = "/account/data"
	deletePath = "/account/delete"
)

// maxAgent is how much of what a browser says of itself is kept.
const maxAgent = 200

// whence is what the browser says it is, and the address it comes from.
func (d *Door) whence(r *http.Request) (agent, source string) {
	agent = strings.ToValidUTF8(r.UserAgent(), "?")
	if len(agent) > maxAgent {
		agent = strings.ToValidUTF8(agent[:maxAgent], "")
	}
	if address := d.source(r); address.IsValid() {
		source = address.String()
	}
	return agent, source
}

// sessionRow is a browser in which a person is signed in.
type sessionRow struct {
	ID     string
	Device web.Message
	Source string
	Since  string
	Seen   string
	Here   bool
}

func (d *Door) sessionRows(ctx context.Context, here *grant.Session) ([]sessionRow, error) {
	var list []grant.Session
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = d.Grants.ListSessions(ctx, tx, here.AccountID)
		return err
	})
	if err != nil {
		return nil, err
	}
	rows := make([]sessionRow, len(list))
	for i := range list {
		s := &list[i]
		rows[i] = sessionRow{
			ID: sessionName(s), Device: device(s.Agent), Source: s.Source,
			Since: minute(s.AuthTime), Seen: minute(s.SeenAt), Here: s.ID == here.ID,
		}
	}
	return rows, nil
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Browsers and systems as they name themselves; the first that is found counts, since
// each names those it wants to pass for, too.
var (
	browsers = [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"CriOS/", "Chrome"}, {"Safari/", "Safari"}}
	systems  = [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// device puts what a browser says of itself into words.
func device(agent string) web.Message {
	find := func(names [][2]string) string {
		for _, name := range names {
			if strings.Contains(agent, name[0]) {
				return name[1]
			}
		}
		return ""
	}
	browser, system := find(browsers), find(systems)
	switch {
	case browser != "" && system != "":
		return web.Say("account.device", browser, system)
	case browser != "":
		return web.Say("account.browser", browser)
	default:
		return web.Say("account.device-unknown")
	}
}

func accountPurpose(session *grant.Session) string { return "account\x00" + sessionName(session) }

// ChangeAccount changes what a person tells about themselves, and where they are signed in.
func (d *Door) ChangeAccount(w http.ResponseWriter, r *http.Request) {
	d.serve(w, r, d.changeAccount)
}

func (d *Door) changeAccount(w http.ResponseWriter, r *http.Request) (answer, error) {
	session, values, err := d.sessionForm(w, r, accountPurpose, "do", "name", "session", "email")
	if err != nil {
		return answer{}, err
	}
	if session == nil {
		return answer{}, oauth.Refuse(oauth.AccessDenied, "Nobody is signed in any more. Open the account page and sign in.")
	}
	ctx, done := r.Context(), ""
	switch values.Get("do") {
	case "name":
		done, err = "name", d.rename(ctx, session, values.Get("name"), d.origin(r, ""))
	case "move e-mail":
		return d.moveEmail(w, r, values.Get("email"))
	case "confirm e-mail":
		done, err = "letter", d.askToConfirm(r, session.AccountID)
	case "end session":
		done, err = "session", d.endOneOf(ctx, session, func(s *grant.Session) bool { return sessionName(s) == values.Get("session") })
	case "end others":
		done, err = "others", d.endOneOf(ctx, session, func(s *grant.Session) bool { return s.ID != session.ID })
		if err == nil {
			// Nor may they come in again without a code.
			if err = d.People.ForgetTrusted(ctx, session.AccountID, d.origin(r, "")); errors.Is(err, account.ErrUnknown) {
				err = nil
			}
		}
	default:
		return answer{}, oauth.Refuse(oauth.InvalidRequest, "There is no such change.")
	}
	var profile *account.ProfileError
	switch {
	case errors.As(err, &profile):
		done = "bad-name"
	case err != nil:
		return answer{}, err
	}
	return answer{location: accountPath + "?done=" + done}, nil
}

// moveEmail has a letter written to another address of a person who has just proved who
// they are.
func (d *Door) moveEmail(w http.ResponseWriter, r *http.Request, email string) (answer, error) {
	if err := d.withoutMail(); err != nil {
		return answer{}, err
	}
	session, again, err := d.freshSession(w, r, accountPath)
	if err != nil || session == nil {
		return again, err
	}
	done := "letter"
	err = d.People.SendMove(r.Context(), session.AccountID, email, d.mailing(r, confirmPath), d.origin(r, ""))
	var throttled *account.ThrottledError
	switch {
	case errors.Is(err, account.ErrEmailInvalid):
		done = "bad-email"
	case errors.As(err, &throttled):
		done = "letters"
	case err != nil:
		return answer{}, err
	}
	return answer{location: accountPath + "?done=" + done}, nil
}

func (d *Door) rename(ctx context.Context, session *grant.Session, name string, from account.Origin) error {
	return d.DB.Update(ctx, func(tx *db.Tx) error {
		who, err := d.People.ByID(ctx, tx, session.AccountID)
		if err != nil {
			return err
		}
		profile := who.Profile
		profile.Name = strings.TrimSpace(name)
		return d.People.ChangeProfile(ctx, tx, who.ID, profile, from)
	})
}

// endOneOf ends those of a person's sessions that are meant. One that is not theirs, or is
// over, is none of them.
func (d *Door) endOneOf(ctx context.Context, session *grant.Session, meant func(*grant.Session) bool) error {
	return d.DB.Update(ctx, func(tx *db.Tx) error {
		list, err := d.Grants.ListSessions(ctx, tx, session.AccountID)
		if err != nil {
			return err
		}
		for i := range list {
			if !meant(&list[i]) {
				continue
			}
			if err := d.Grants.EndSession(ctx, tx, list[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// AccountData gives a person what is kept about them, as a file.
func (d *Door) AccountData(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.accountData) }

func (d *Door) accountData(w http.ResponseWriter, r *http.Request) (answer, error) {
	session, again, err := d.freshSession(w, r, accountPath)
	if err != nil || session == nil {
		return again, err
	}
	data, err := d.dataOf(r.Context(), session.AccountID)
	if err != nil {
		return answer{}, err
	}
	body, err := json.MarshalIndent(data, "", "  ")
	if err != nil {
		return answer{}, err
	}
	return answer{download: append(body, '\n')}, nil
}

// personalData is what is kept about a person, but for what would let somebody pass for
// them, and the handle that their PPIDs are made of.
type personalData struct {
	Email         string          `json:"email"`
	EmailVerified bool            `json:"email_verified"`
	Profile       account.Profile `json:"profile"`
	CreatedAt     time.Time       `json:"created_at"`
	UpdatedAt     time.Time       `json:"updated_at"`
	Password      bool            `json:"has_password"`
	App           bool            `json:"has_authenticator_app"`
	RecoveryCodes int             `json:"recovery_codes_left"`
	Passkeys      []passkeyData   `json:"passkeys"`
	Identities    []identityData  `json:"identities"`
	Sessions      []sessionData   `json:"sessions"`
	Consents      []consentData   `json:"consents"`
}

type identityData struct {
	Issuer   string    `json:"iss"`
	Subject  string    `json:"sub"`
	Email    string    `json:"email"`
	LinkedAt time.Time `json:"connected_at"`
	UsedAt   time.Time `json:"used_at"`
}

type passkeyData struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at,omitzero"`
}

type sessionData struct {
	Browser    string    `json:"browser"`
	Address    string    `json:"address"`
	SignedInAt time.Time `json:"signed_in_at"`
	SeenAt     time.Time `json:"seen_at"`
}

type consentData struct {
	Client    string              `json:"client"`
	Scopes    map[string][]string `json:"scopes"`
	GrantedAt time.Time           `json:"granted_at"`
}

func (d *Door) dataOf(ctx context.Context, id string) (data *personalData, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		who, err := d.People.ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		methods, err := d.People.Methods(ctx, tx, id)
		if err != nil {
			return err
		}
		sessions, err := d.Grants.ListSessions(ctx, tx, id)
		if err != nil {
			return err
		}
		consents, err := d.Grants.ListConsents(ctx, tx, id)
		if err != nil {
			return err
		}
		data = &personalData{
			Email: who.Email, EmailVerified: who.EmailVerified, Profile: who.Profile, CreatedAt: who.CreatedAt, UpdatedAt: who.UpdatedAt,
			Password: methods.Password, App: methods.TOTP, RecoveryCodes: methods.RecoveryCodes,
			Passkeys: []passkeyData{}, Identities: []identityData{}, Sessions: []sessionData{}, Consents: []consentData{},
		}
		for _, k := range methods.Passkeys {
			data.Passkeys = append(data.Passkeys, passkeyData{k.Name, k.CreatedAt, k.UsedAt})
		}
		for i := range methods.Identities {
			held := &methods.Identities[i]
			data.Identities = append(data.Identities, identityData{held.Issuer, held.Subject, held.Email, held.LinkedAt, held.UsedAt})
		}
		for i := range sessions {
			s := &sessions[i]
			data.Sessions = append(data.Sessions, sessionData{s.Agent, s.Source, s.AuthTime, s.SeenAt})
		}
		for _, c := range consents {
			data.Consents = append(data.Consents, consentData{c.ClientID, c.Scopes, c.GrantedAt})
		}
		return nil
	})
	return data, err
}

// deleteView is what the page shows on which a person deletes their account.
type deleteView struct {
	Action  string
	Account string
	Email   string
	Problem web.Message
}

// DeletePage asks a person whether they want to delete their account.
func (d *Door) DeletePage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.deletePage) }

func (d *Door) deletePage(w http.ResponseWriter, r *http.Request) (answer, error) {
	session, again, err := d.freshSession(w, r, deletePath)
	if err != nil || session == nil {
		return again, err
	}
	return d.showDelete(w, r, session, web.Message{})
}

func deletePurpose(session *grant.Session) string { return "delete\x00" + sessionName(session) }

func (d *Door) showDelete(w http.ResponseWriter, r *http.Request, session *grant.Session, problem web.Message) (answer, error) {
	who, err := d.person(r.Context(), session)
	if err != nil {
		return answer{}, err
	}
	return answer{page: &web.Page{
		Name: "delete", CSRF: d.Pages.Browser(w, r).Token(deletePurpose(session)),
		Data: deleteView{Action: deletePath, Account: accountPath, Email: who.Email, Problem: problem},
	}}, nil
}

// Delete deletes the account of a person who has typed its address.
func (d *Door) Delete(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.deleteAccount) }

func (d *Door) deleteAccount(w http.ResponseWriter, r *http.Request) (answer, error) {
	_, values, err := d.sessionForm(w, r, deletePurpose, "email")
	if err != nil {
		return answer{}, err
	}
	session, again, err := d.freshSession(w, r, deletePath)
	if err != nil || session == nil {
		return again, err
	}
	who, err := d.person(r.Context(), session)
	if err != nil {
		return answer{}, err
	}
	if !strings.EqualFold(strings.TrimSpace(values.Get("email")), who.Email) {
		a, err := d.showDelete(w, r, session, web.Say("problem.delete-email"))
		if err == nil {
			a.page.Status = http.StatusUnprocessableEntity
		}
		return a, err
	}
	err = d.DB.Update(r.Context(), func(tx *db.Tx) error {
		from := d.origin(r, "")
		if from.KnownTo, err = d.Grants.ClientsOf(r.Context(), tx, who.ID); err != nil {
			return err
		}
		if err := d.Grants.ForgetAccount(r.Context(), tx, who.ID, outbox.ByUser, "account deleted"); err != nil {
			return err
		}
		return d.People.Delete(r.Context(), tx, who.ID, from)
	})
	if err != nil {
		return answer{}, err
	}
	d.Pages.ClearCookie(w, sessionCookie)
	d.Pages.NewBrowser(w)
	return answer{page: &web.Page{Name: "deleted"}}, nil
}
