package signin

import (
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	accountPath  = "/account"
	withdrawPath = "/account/withdraw"
	logoutPath   = "/oauth2/logout"
)

// accountView is what the account page shows.
type accountView struct {
	Name       string
	Email      string
	Notice     web.Message
	Consents   []consentRow
	Action     string
	CSRF       string // of the forms that change the account
	Sessions   []sessionRow
	Unverified bool // the address, and a letter can be sent
	Letters    bool
	Others     bool // there are sessions elsewhere
	Data       string
	Delete     string
	Security   string
	Withdraw   string
	Logout     string
}

type consentRow struct {
	access
	ClientID string
	Name     string
	Since    string
	CSRF     string
}

// AccountPage shows who is signed in and what other companies were allowed. Who
// is not signed in is asked to first.
func (d *Door) AccountPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.accountPage) }

func (d *Door) accountPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	locales := r.URL.Query().Get("ui_locales")
	if len(locales) > maxLocales {
		locales = ""
	}
	session, err := d.session(r)
	if err != nil {
		return answer{}, err
	}
	if session == nil {
		return d.proceed(w, r, &flow{request: &Request{UILocales: locales}})
	}
	if err := d.Grants.TouchSession(r.Context(), session); err != nil {
		return answer{}, err
	}
	who, err := d.person(r.Context(), session)
	if err != nil {
		return answer{}, err
	}
	browser := d.Pages.Browser(w, r)
	sessions, err := d.sessionRows(r.Context(), session)
	if err != nil {
		return answer{}, err
	}
	consents, err := d.consents(r, session, browser, web.Language(r, locales))
	if err != nil {
		return answer{}, err
	}
	notice := d.withdrawn(r.URL.Query().Get("withdrawn"), consents, web.Language(r, locales))
	if done, ok := accountNotices[r.URL.Query().Get("done")]; ok {
		notice = done
	}
	return answer{page: &web.Page{
		Name: "account", UILocales: locales, CSRF: browser.Token(logoutPurpose(session)),
		Data: accountView{
			Name: who.Profile.Name, Email: who.Email, Consents: consents, Security: securityPath, Withdraw: withdrawPath, Logout: logoutPath,
			Action: accountPath, CSRF: browser.Token(accountPurpose(session)), Sessions: sessions, Others: len(sessions) > 1,
			Letters: d.Post != nil, Unverified: d.Post != nil && !who.EmailVerified,
			Data: dataPath, Delete: deletePath, Notice: notice,
		},
	}}, nil
}

// accountNotices are what may have been done, as the address of the page tells it.
var accountNotices = map[string]web.Message{
	"name":     web.Say("account.done-name"),
	"bad-name": web.Say("problem.name"),
	"session":  web.Say("account.done-session"),
	"others":   web.Say("account.done-others"),
	"letter":   web.Say("account.done-letter"),

	"letters":   web.Say("account.done-letters"),
	"bad-email": web.Say("problem.email"),
}

func (d *Door) consents(r *http.Request, session *grant.Session, browser web.Browser, language string) ([]consentRow, error) {
	var list []grant.Consent
	err := d.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		list, err = d.Grants.ListConsents(r.Context(), tx, session.AccountID)
		return err
	})
	if err != nil {
		return nil, err
	}
	group := d.Registry.Current()
	rows := make([]consentRow, 0, len(list))
	for _, consent := range list {
		row := consentRow{
			access: describe(group, consent.Scopes, nil, language), ClientID: consent.ClientID, Name: consent.ClientID,
			Since: consent.GrantedAt.UTC().Format("2006-01-02"),
			CSRF:  browser.Token(withdrawPurpose(session, consent.ClientID)),
		}
		if client, ok := group.Client(consent.ClientID); ok {
			row.Name = client.Name.In(language)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// withdrawn is the notice after a withdrawal. It is said only of a client of the
// group that has no consent, so that a link cannot make the page say something
// else.
func (d *Door) withdrawn(clientID string, consents []consentRow, language string) web.Message {
	client, ok := d.Registry.Current().Client(clientID)
	if !ok {
		return web.Message{}
	}
	for _, consent := range consents {
		if consent.ClientID == clientID {
			return web.Message{}
		}
	}
	return web.Say("account.withdrawn", client.Name.In(language))
}

func withdrawPurpose(session *grant.Session, clientID string) string {
	return "withdraw\x00" + sessionName(session) + "\x00" + clientID
}

// Withdraw takes back what a client was allowed. Its grants and tokens end with
// it.
func (d *Door) Withdraw(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.withdraw) }

func (d *Door) withdraw(w http.ResponseWriter, r *http.Request) (answer, error) {
	values, err := d.readForm(w, r, "client_id")
	if err != nil {
		return answer{}, err
	}
	session, err := d.session(r)
	if err != nil {
		return answer{}, err
	}
	clientID := values.Get("client_id")
	err = d.Pages.CheckPost(r, d.Pages.KnownBrowser(r), withdrawPurpose(session, clientID), values.Get(csrfField))
	if err != nil {
		return answer{}, err
	}
	if session == nil {
		return answer{}, oauth.Refuse(oauth.AccessDenied, "Nobody is signed in any more. Open the account page and sign in.")
	}
	err = d.DB.Update(r.Context(), func(tx *db.Tx) error {
		return d.Grants.Withdraw(r.Context(), tx, session.AccountID, clientID)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{location: accountPath + "?withdrawn=" + url.QueryEscape(clientID)}, nil
}
