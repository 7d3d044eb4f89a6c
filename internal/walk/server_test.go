package walk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
)

const password = "marble lantern orbit teacup"

// server is a whole authorization server with a clock that stands still until
// it is moved. One goroutine uses it.
type server struct {
	app     *app.App
	handler http.Handler
	now     time.Time
	walks   int // that were played on it
}

// openServer makes a server with a database of its own in a directory.
func openServer(ctx context.Context, directory string) (*server, error) {
	s := &server{now: time.Unix(1_800_000_000, 0)}
	rooms, err := app.OpenRooms(ctx, s.config(directory))
	if err != nil {
		return nil, err
	}
	if err := regroup(ctx, rooms, nil); err != nil {
		return nil, err
	}
	if err := rooms.Close(ctx); err != nil {
		return nil, err
	}
	if s.app, err = app.Open(ctx, s.config(directory)); err != nil {
		return nil, err
	}
	s.handler = s.app.Handler()
	return s, nil
}

func (s *server) config(directory string) app.Config {
	return app.Config{
		Database: filepath.Join(directory, "walk.db"), PPIDSecrets: [][]byte{make([]byte, 32)}, KeyEncryptionKeys: []secret.KEK{secret.LocalKEK([32]byte{})},
		Passwords: secret.HasherConfig{Memory: 8, Time: 1}, // what is walked is not the cost of a password
		Now:       func() time.Time { return s.now },
	}
}

// regroup applies the fixture group without some of its options.
func regroup(ctx context.Context, rooms *app.Rooms, off map[string]bool) error {
	group, err := registry.Parse("group.yaml", []byte(groupFile(off)), func(name string) ([]byte, error) {
		return []byte(secretOf(name)), nil
	})
	if err != nil {
		return err
	}
	_, err = rooms.Registry.Apply(ctx, group, "walk")
	return err
}

// signUp makes a person that no walk has seen before.
func (s *server) signUp(ctx context.Context, name string) (*person, error) {
	email := fmt.Sprintf("%s.%d@example.test", name, s.walks)
	who, err := s.app.People.SignUp(ctx, account.NewAccount{Email: email, Password: password})
	if err != nil {
		return nil, err
	}
	return &person{account: who.ID, email: email, consents: map[string][]string{}, subjectsBySector: map[string]string{}}, nil
}

// sweep does what a server does beside requests.
func (s *server) sweep(ctx context.Context) error {
	for _, work := range []func(context.Context) error{
		s.app.Grants.Sweep, s.app.People.Sweep, s.app.Keys.Maintain, s.app.Audit.Flush,
	} {
		if err := work(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) serve(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

// reply is the JSON answer to a client: its error, or "ok".
type reply struct {
	verdict string
	body    map[string]any
}

func (r reply) text(name string) string {
	value, _ := r.body[name].(string)
	return value
}

// ask sends a form as a client, authenticated as it should be.
func (s *server) ask(path, as string, form url.Values) reply {
	if clients[as].secret == "" {
		form.Set("client_id", as)
	}
	r := httptest.NewRequest(http.MethodPost, issuer+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret := clients[as].secret; secret != "" {
		r.SetBasicAuth(as, secret)
	}
	return read(s.serve(r))
}

// userinfo asks with an access token.
func (s *server) userinfo(token string) reply {
	r := httptest.NewRequest(http.MethodGet, issuer+"/oauth2/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return read(s.serve(r))
}

func read(response *http.Response) reply {
	got := reply{verdict: "ok"}
	err := json.NewDecoder(response.Body).Decode(&got.body)
	switch {
	case response.StatusCode == http.StatusOK:
	case err != nil || got.text("error") == "":
		got.verdict = fmt.Sprintf("status %d", response.StatusCode)
	default:
		got.verdict = got.text("error")
	}
	return got
}

// window is a browser as the server sees it: a network address and cookies.
type window struct {
	server  *server
	address netip.Addr
	cookies map[string]string
	code    string // of the last authorization response
}

// view is what the browser shows after it has gone along all redirects.
type view struct {
	verdict string
	action  string // of the form on it
	fields  url.Values
}

func (w *window) send(method, target string, form url.Values) *http.Response {
	r := httptest.NewRequest(method, issuer+strings.TrimPrefix(target, issuer), strings.NewReader(form.Encode()))
	r.RemoteAddr = netip.AddrPortFrom(w.address, 4711).String()
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range w.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // a request carries no attributes
	}
	response := w.server.serve(r)
	for _, cookie := range response.Cookies() {
		w.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(w.cookies, cookie.Name)
		}
	}
	return response
}

// visit sends a request and goes where the answer leads.
func (w *window) visit(method, target string, form url.Values) view {
	response := w.send(method, target, form)
	for range 5 {
		location := response.Header.Get("Location")
		if location == "" {
			return look(response)
		}
		if !strings.HasPrefix(location, "/") {
			return w.arrive(location)
		}
		response = w.send(http.MethodGet, location, nil)
	}
	return view{verdict: "going round in circles"}
}

// arrive is the end of the way, at a client.
func (w *window) arrive(location string) view {
	u, err := url.Parse(location)
	if err != nil {
		return view{verdict: err.Error()}
	}
	if refusal := u.Query().Get("error"); refusal != "" {
		return view{verdict: refusal}
	}
	w.code = u.Query().Get("code")
	return view{verdict: "code"}
}

// forms names the forms that a page may have, the deciding one first.
var forms = []struct{ id, verdict string }{
	{"signin-form", "signin"}, {"consent-form", "consent"}, {"account-consents", "account"}, {"logout-form", "logout"},
}

// look says which page an answer is.
func look(response *http.Response) view {
	root, err := html.Parse(response.Body)
	if err != nil {
		return view{verdict: err.Error()}
	}
	v := view{verdict: fmt.Sprintf("shown %d", response.StatusCode), fields: url.Values{}}
	for _, form := range forms {
		node := find(root, "id", form.id)
		if node == nil {
			continue
		}
		v.verdict = form.verdict
		if response.StatusCode == http.StatusUnprocessableEntity {
			v.verdict += " refused"
		}
		v.action, v.fields = readForm(node)
		if form.verdict == "account" {
			v.action, v.fields = readForm(find(root, "action", "/account/withdraw"))
		}
		break
	}
	return v
}

func readForm(form *html.Node) (action string, fields url.Values) {
	fields = url.Values{}
	if form == nil {
		return "", fields
	}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" {
			fields.Set(attribute(n, "name"), attribute(n, "value"))
		}
	}
	return attribute(form, "action"), fields
}

func find(root *html.Node, name, value string) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && attribute(n, name) == value {
			return n
		}
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
