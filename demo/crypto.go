package demo

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/sekisho-id/sekisho/oauth"
	"github.com/sekisho-id/sekisho/sdk/rp"
)

// crypto stands outside the protected area (scenario 2): it has its own users
// and its own sign-in, and no token of ours ever comes in. A person links the
// market account; then crypto reads their items for them, and settles for
// itself. It knows its own subjects only and cannot convert any.
type crypto struct {
	*site
	client    *rp.Client
	hears     *subscriber
	linking   *rp.SignIn
	sessions  *sessions[int64] // the user's number
	users     *sql.DB
	api       *http.Client
	settling  *http.Client // calls market for crypto itself
	marketURL string
	payURL    string
}

const cryptoSchema = `
CREATE TABLE IF NOT EXISTS customer (
	number   INTEGER PRIMARY KEY,
	name     TEXT NOT NULL UNIQUE,
	salt     BLOB NOT NULL,
	password BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS link (
	customer INTEGER PRIMARY KEY REFERENCES customer (number),
	subject  TEXT NOT NULL UNIQUE,
	refresh  TEXT NOT NULL
)`

// Mika is the one customer crypto has at first. The page signs in as her.
const (
	mikaName     = "mika"
	mikaPassword = "coins are not items"
)

func (c *crypto) routes() map[string]http.Handler {
	visit := func(title string, handler http.HandlerFunc) http.Handler {
		return c.trace.visit(partyCrypto, title, handler)
	}
	return map[string]http.Handler{
		"GET /{$}":                 http.HandlerFunc(c.home),
		"POST /signin":             visit("signs in with crypto's own password", c.signIn),
		"POST /link":               visit("wants to link the market account", c.signedIn(c.startLink)),
		"GET /linked":              visit("comes back with a code", c.signedIn(c.finishLink)),
		"POST /items":              visit("looks at items in market", c.signedIn(c.items)),
		"POST /settle":             visit("lets crypto settle, for itself", c.signedIn(c.settle)),
		"POST /refused/undeclared": visit("lets crypto ask for a token to call pay", c.askForPay),
		"POST /events":             c.hears.handler(),
		"POST /refused/convert":    visit("lets crypto ask to convert ids", c.askToConvert),
	}
}

// addCustomer makes a customer of crypto's own, unless the name is taken.
func (c *crypto) addCustomer(ctx context.Context, name, password string) error {
	salt := make([]byte, 16)
	rand.Read(salt)
	hash, err := hashPassword(password, salt)
	if err != nil {
		return err
	}
	_, err = c.users.ExecContext(ctx,
		`INSERT INTO customer (name, salt, password) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`, name, salt, hash)
	return err
}

func hashPassword(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, 100_000, sha256.Size)
}

func customerID(number int64) string { return fmt.Sprintf("C%07d", 4_815_000+number*162) }

// signIn is crypto's own: the authorization server is not asked.
func (c *crypto) signIn(w http.ResponseWriter, r *http.Request) {
	var number int64
	var salt, held []byte
	err := c.users.QueryRowContext(r.Context(), `SELECT number, salt, password FROM customer WHERE name = $1`,
		r.PostFormValue("name")).Scan(&number, &salt, &held)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		c.fail(w, r, err)
		return
	}
	given, hashErr := hashPassword(r.PostFormValue("password"), salt)
	if hashErr != nil || subtle.ConstantTimeCompare(given, held) != 1 {
		c.fail(w, r, errors.New("crypto knows no such name with this password"))
		return
	}
	c.trace.behind(r.Context(), c.person("", customerID(number)))
	c.sessions.start(w, r, number)
	c.done(w, r, "Signed in to crypto.")
}

// signedIn hands the customer's number to a handler.
func (c *crypto) signedIn(handler func(http.ResponseWriter, *http.Request, int64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		number, ok := c.sessions.load(r)
		if !ok {
			c.fail(w, r, errors.New("sign in to crypto first"))
			return
		}
		if err := handler(w, r, number); err != nil {
			c.fail(w, r, err)
		}
	}
}

// startLink begins the code flow from the backend.
func (c *crypto) startLink(w http.ResponseWriter, r *http.Request, _ int64) error {
	c.linking.StartWith(w, r, rp.Ask{ReturnTo: returnTo(r)})
	return nil
}

// finishLink keeps the subject and the refresh token beside the customer. One
// market account belongs to one customer.
func (c *crypto) finishLink(w http.ResponseWriter, r *http.Request, number int64) error {
	identity, err := c.linking.Finish(w, r)
	if err != nil {
		return err
	}
	_, err = c.users.ExecContext(r.Context(),
		`DELETE FROM link WHERE subject = $1 AND customer <> $2`, identity.Subject, number)
	if err != nil {
		return fmt.Errorf("move the link: %w", err)
	}
	_, err = c.users.ExecContext(r.Context(), `
		INSERT INTO link (customer, subject, refresh) VALUES ($1, $2, $3)
		ON CONFLICT (customer) DO UPDATE SET subject = excluded.subject, refresh = excluded.refresh`,
		number, identity.Subject, identity.Token.RefreshToken)
	if err != nil {
		return fmt.Errorf("keep the link: %w", err)
	}
	c.trace.behind(r.Context(), c.person(identity.Subject, customerID(number)))
	c.goOn(w, identity.ReturnTo)
	return nil
}

// link is the market account of a customer.
type link struct{ subject, refresh string }

var errNotLinked = errors.New("link the market account first")

func (c *crypto) linkOf(ctx context.Context, number int64) (held link, err error) {
	err = c.users.QueryRowContext(ctx, `SELECT subject, refresh FROM link WHERE customer = $1`, number).Scan(&held.subject, &held.refresh)
	if errors.Is(err, sql.ErrNoRows) {
		return held, errNotLinked
	}
	return held, err
}

// known finds crypto's own id of a subject that was linked.
func (c *crypto) known(ctx context.Context, subject string) (string, error) {
	var number int64
	err := c.users.QueryRowContext(ctx, `SELECT customer FROM link WHERE subject = $1`, subject).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return customerID(number), err
}

// items reads the person's items from market, in user context.
func (c *crypto) items(w http.ResponseWriter, r *http.Request, number int64) error {
	held, err := c.linkOf(r.Context(), number)
	if err != nil {
		return err
	}
	token, err := c.client.Refresh(r.Context(), held.refresh, c.marketURL, "items.read")
	if err != nil {
		return err
	}
	if _, err := c.users.ExecContext(r.Context(), `UPDATE link SET refresh = $1 WHERE customer = $2`, token.RefreshToken, number); err != nil {
		return fmt.Errorf("keep the refresh token: %w", err)
	}
	var items []Item
	err = call{client: c.api, method: http.MethodGet, url: c.marketURL + "/items/mine", token: token.AccessToken}.do(r.Context(), &items)
	if err != nil {
		return err
	}
	c.done(w, r, fmt.Sprintf("You offer %d items at market.", len(items)))
	return nil
}

// settle pays a person's coins out through market, in service context: crypto
// speaks for itself and names the person by its own subject.
func (c *crypto) settle(w http.ResponseWriter, r *http.Request, number int64) error {
	held, err := c.linkOf(r.Context(), number)
	if err != nil {
		return err
	}
	payout := []Settlement{{Reference: "payout-" + rand.Text()[:8], Seller: held.subject, Amount: 500}}
	var settled Settled
	err = call{client: c.settling, method: http.MethodPost, url: c.marketURL + "/settlements", body: payout}.do(r.Context(), &settled)
	if err != nil {
		return err
	}
	c.done(w, r, "500 yen were settled.")
	return nil
}

func (c *crypto) home(w http.ResponseWriter, r *http.Request) {
	number, ok := c.sessions.load(r)
	if !ok {
		c.show(w, http.StatusOK, sitePage{Notice: "Crypto has its own customers. The one of the example is mika.", Actions: []siteAction{{
			Method: http.MethodPost, Path: "signin", Title: "Sign in",
			Fields: []siteField{{"name", "Name", "text", "username"}, {"password", "Password", "password", "current-password"}},
		}}})
		return
	}
	held, err := c.linkOf(r.Context(), number)
	if err != nil && !errors.Is(err, errNotLinked) {
		c.fail(w, r, err)
		return
	}
	person := c.person(held.subject, customerID(number))
	c.show(w, http.StatusOK, sitePage{
		Person: &person,
		Actions: []siteAction{
			{Method: http.MethodPost, Path: "link", Title: "Link the market account"},
			{Method: http.MethodPost, Path: "items", Title: "See my items"},
			{Method: http.MethodPost, Path: "settle", Title: "Settle"},
		},
	})
}

// cryptoScopes are asked for when linking; offline_access because crypto reads
// items also when the person is not there.
var cryptoScopes = []string{"items.read", oauth.ScopeOfflineAccess}
