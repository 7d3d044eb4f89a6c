package signin_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/signin"
	"github.com/sekisho-id/sekisho/internal/web"
)

const (
	issuer    = "https://id.test"
	password  = "marble lantern orbit teacup"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 Appendix B
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// bundle is the door with all rooms behind it, real ones on a database of its
// own, and a clock that tests move.
type bundle struct {
	t        testing.TB
	issuer   string
	database *db.DB
	registry *registry.Registry
	people   *account.People
	grants   *grant.Grants
	pairwise *pairwise.Pairwise
	mint     *mint.Mint
	audit    *audit.Log
	door     *signin.Door
	handler  http.Handler
	clock    *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// template is a database with keys, group and two people, made once.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "signin-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "template.db")
	b := &bundle{issuer: issuer, clock: &clock{now: time.Unix(1_800_000_042, 0)}}
	if err := b.open(context.Background(), path, nil); err != nil {
		return "", err
	}
	for _, name := range []string{"aiko", "ben"} {
		_, err := b.people.SignUp(context.Background(), account.NewAccount{
			Email: name + "@example.test", Password: password, Profile: account.Profile{Name: name},
		})
		if err != nil {
			return "", err
		}
	}
	return path, b.database.Close()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := template(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// setup opens the rooms on a copy of the template. Replacements change the
// fixture group: old, new, …
func setup(t testing.TB, replace ...string) *bundle {
	t.Helper()
	source, err := template()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sekisho.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, issuer: issuer, clock: &clock{now: time.Unix(1_800_000_042, 0)}}
	for i := 0; i+1 < len(replace); i += 2 {
		if replace[i] == issuer {
			b.issuer = replace[i+1]
		}
	}
	if err := b.open(t.Context(), path, replace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.database.Close() })
	return b
}

// open builds the rooms from the ground up.
func (b *bundle) open(ctx context.Context, path string, replace []string) (err error) {
	if b.database, err = db.Open(ctx, path); err != nil {
		return err
	}
	b.audit = audit.NewLog(b.database, b.clock.Now)
	keys, err := keyring.Open(ctx, keyring.Config{DB: b.database, KEK: make([]byte, 32), Now: b.clock.Now})
	if err != nil {
		return err
	}
	if b.registry, err = registry.Open(ctx, registry.Config{DB: b.database, Now: b.clock.Now}); err != nil {
		return err
	}
	if b.registry.Group() == nil || len(replace) > 0 {
		if err := b.regroup(ctx, replace...); err != nil {
			return err
		}
	}
	b.people, err = account.Open(ctx, account.Config{
		DB: b.database, Hasher: secret.NewHasher(secret.HasherConfig{}), DeviceKey: keys.Secret("device"), Generation: 1, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	if b.grants, err = grant.Open(ctx, grant.Config{DB: b.database, People: b.people, Now: b.clock.Now}); err != nil {
		return err
	}
	b.pairwise, err = pairwise.Open(ctx, pairwise.Config{
		DB: b.database, Realm: b.registry.Current().Realm, Secrets: [][]byte{make([]byte, 32)}, People: b.people, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	b.mint, err = mint.New(mint.Config{
		Issuer: b.issuer, Registry: b.registry, Keys: keys, Pairwise: b.pairwise, Grants: b.grants, Now: b.clock.Now,
	})
	if err != nil {
		return err
	}
	pages, err := web.OpenPages(b.issuer, keys.Secret("csrf"), func(language string) string { return b.registry.Current().Name.In(language) })
	if err != nil {
		return err
	}
	b.door = signin.New(signin.Config{
		Issuer: b.issuer, DB: b.database, Registry: b.registry, People: b.people, Grants: b.grants, Mint: b.mint,
		Pages: pages, Audit: b.audit, Now: b.clock.Now,
	})
	b.handler = web.Log(slog.New(slog.DiscardHandler), nil, web.Recover(web.Harden(b.routes(pages))))
	return nil
}

func (b *bundle) routes(pages *web.Pages) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth2/authorize", b.door.Authorize)
	mux.HandleFunc("GET /signin/{request}", b.door.SignInPage)
	mux.HandleFunc("POST /signin/{request}", b.door.SignIn)
	mux.HandleFunc("GET /signup/{request}", b.door.SignUpPage)
	mux.HandleFunc("POST /signup/{request}", b.door.SignUp)
	mux.HandleFunc("GET /consent/{request}", b.door.ConsentPage)
	mux.HandleFunc("POST /consent/{request}", b.door.Consent)
	mux.HandleFunc("/oauth2/logout", b.door.Logout)
	mux.HandleFunc("GET /account", b.door.AccountPage)
	mux.HandleFunc("POST /account/withdraw", b.door.Withdraw)
	mux.HandleFunc("GET /assets/{name}", pages.Asset)
	mux.HandleFunc("/", b.door.NotFound)
	return mux
}

// regroup applies the fixture group with changes.
func (b *bundle) regroup(ctx context.Context, replace ...string) error {
	data, err := os.ReadFile("testdata/group.yaml")
	if err != nil {
		return err
	}
	text := strings.NewReplacer(replace...).Replace(string(data))
	group, err := registry.Parse("group.yaml", []byte(text), func(name string) ([]byte, error) {
		return []byte("secret-of-" + name + strings.Repeat("-x", 20)), nil
	})
	if err != nil {
		return err
	}
	_, err = b.registry.Apply(ctx, group, "test")
	return err
}

// browser is somebody at a browser: cookies, no JavaScript, and redirects are
// looked at one by one.
type browser struct {
	b      *bundle
	client *http.Client
	header http.Header // sent with every request
}

// RoundTrip serves requests to the issuer in this process.
func (b *bundle) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = "192.0.2.7:4711"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	b.handler.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

func (b *bundle) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &browser{b: b, header: http.Header{}, client: &http.Client{
		Transport: b, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what the browser got.
type answer struct {
	status   int
	header   http.Header
	location *url.URL // nil unless it is a redirect
	body     string
	url      string
}

func (w *browser) send(method, target string, form url.Values) answer {
	w.b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = w.b.issuer + target
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(w.b.t.Context(), method, target, body)
	if err != nil {
		w.b.t.Fatal(err)
	}
	for name, values := range w.header {
		r.Header[name] = values
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := w.client.Do(r)
	if err != nil {
		w.b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.b.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(text), url: target}
	if response.Header.Get("Location") != "" {
		a.location, err = r.URL.Parse(response.Header.Get("Location"))
		if err != nil {
			w.b.t.Fatal(err)
		}
	}
	return a
}

func (w *browser) get(target string) answer { return w.follow(w.send(http.MethodGet, target, nil)) }

// post sends a form as our page does, and goes where the answer leads.
func (w *browser) post(target string, form url.Values) answer {
	return w.follow(w.send(http.MethodPost, target, form))
}

// follow goes along redirects as long as they stay at the issuer.
func (w *browser) follow(a answer) answer {
	w.b.t.Helper()
	for range 5 {
		if a.location == nil || a.location.Host != strings.TrimPrefix(w.b.issuer, "https://") {
			return a
		}
		if a.status != http.StatusSeeOther {
			w.b.t.Fatalf("redirect by status %d, want 303", a.status)
		}
		a = w.send(http.MethodGet, a.location.String(), nil)
	}
	w.b.t.Fatalf("too many redirects, last to %s", a.location)
	return a
}

// authorize asks as the client with the parameters given beside or instead of
// the usual ones; an empty value leaves one out.
func (w *browser) authorize(pairs ...string) answer {
	return w.get("/oauth2/authorize?" + ask(pairs...))
}

// ask is a whole authorization request of shop.web, changed by pairs.
func ask(pairs ...string) string {
	values := url.Values{
		"client_id": {"shop.web"}, "redirect_uri": {"https://a.example/cb"}, "response_type": {"code"},
		"scope": {"openid"}, "state": {"st"}, "nonce": {"no"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			values.Del(pairs[i])
		}
	}
	return values.Encode()
}

// asBlog and asGames ask as another client.
var (
	asBlog  = []string{"client_id", "blog.web", "redirect_uri", "https://blog.test/cb", "scope", "openid items.read"}
	asGames = []string{"client_id", "games.web", "redirect_uri", "https://games.test/cb"}
)

// form is the form with an id on the page, with the values it has.
func (w *browser) form(a answer, id string) (action string, values url.Values) {
	w.b.t.Helper()
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		w.b.t.Fatal(err)
	}
	node := byID(root, id)
	if node == nil {
		w.b.t.Fatalf("status %d, and the page has no #%s:\n%s", a.status, id, a.body)
	}
	for node != nil && node.Data != "form" {
		node = node.Parent
	}
	if node == nil {
		w.b.t.Fatalf("#%s is in no form", id)
	}
	values = url.Values{}
	for n := range node.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" {
			values.Set(attr(n, "name"), attr(n, "value"))
		}
	}
	return attr(node, "action"), values
}

// fill sends the form with an id, with values changed by pairs.
func (w *browser) fill(a answer, id string, pairs ...string) answer {
	w.b.t.Helper()
	action, values := w.form(a, id)
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return w.post(action, values)
}

// signIn fills in the sign-in page.
func (w *browser) signIn(a answer, name string) answer {
	w.b.t.Helper()
	return w.fill(a, "signin-form", "email", name+"@example.test", "password", password)
}

func byID(root *html.Node, id string) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && attr(n, "id") == id {
			return n
		}
	}
	return nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is the text of the element with an id, empty if there is none.
func text(a answer, id string) string {
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		return ""
	}
	node := byID(root, id)
	if node == nil {
		return ""
	}
	var b strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// has reports whether the page has an element with the id.
func has(a answer, id string) bool {
	root, err := html.Parse(strings.NewReader(a.body))
	return err == nil && byID(root, id) != nil
}

// wantPage checks that a page with the element is shown, and no redirect.
func wantPage(t testing.TB, a answer, id string) {
	t.Helper()
	if a.location != nil || !has(a, id) {
		t.Fatalf("%d %v, want the page with #%s\n%s", a.status, a.location, id, a.body)
	}
}

// wantShown checks for an error page that leads nowhere.
func wantShown(t testing.TB, a answer, status int, code, words string) {
	t.Helper()
	if a.status != status || text(a, "error-code") != code || !strings.Contains(text(a, "error-description"), words) {
		t.Fatalf("%d %q %q, want an error page %d %q %q", a.status, text(a, "error-code"), text(a, "error-description"), status, code, words)
	}
	if a.location != nil || len(a.header.Values("Location")) > 0 {
		t.Fatalf("the error page leads to %v", a.location)
	}
	if text(a, "correlation-id") == "" || text(a, "correlation-id") != a.header.Get("X-Request-Id") {
		t.Errorf("correlation id %q on the page, %q in the header", text(a, "correlation-id"), a.header.Get("X-Request-Id"))
	}
}

// wantTold checks for an error that the client is told in the query.
func wantTold(t testing.TB, a answer, redirectURI, code, words string) url.Values {
	t.Helper()
	if a.location == nil || a.status != http.StatusSeeOther {
		t.Fatalf("%d %v %q %q, want a redirect with %s", a.status, a.location, text(a, "error-code"), text(a, "error-description"), code)
	}
	if !strings.HasPrefix(a.location.String(), redirectURI) {
		t.Fatalf("redirect to %s, want %s", a.location, redirectURI)
	}
	query := a.location.Query()
	if query.Get("error") != code || !strings.Contains(query.Get("error_description"), words) {
		t.Fatalf("error %q %q, want %q with %q", query.Get("error"), query.Get("error_description"), code, words)
	}
	if query.Get("iss") != issuer || query.Has("code") {
		t.Errorf("iss %q, code %v", query.Get("iss"), query.Has("code"))
	}
	for _, c := range query.Get("error_description") {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			t.Errorf("error_description has %q", c)
		}
	}
	return query
}

// wantCode checks for a successful answer and gives its code.
func wantCode(t testing.TB, a answer, redirectURI string) string {
	t.Helper()
	if a.location == nil || a.status != http.StatusSeeOther || !strings.HasPrefix(a.location.String(), redirectURI) {
		t.Fatalf("%d %v, want a code at %s\n%s", a.status, a.location, redirectURI, a.body)
	}
	query := a.location.Query()
	if query.Get("code") == "" || query.Get("iss") != issuer || query.Has("error") {
		t.Fatalf("answer %v, want a code", query)
	}
	return query.Get("code")
}

// redeem is what the token endpoint gets for a code.
func (b *bundle) redeem(code, clientID, redirectURI string) *grant.Grant {
	b.t.Helper()
	granted, _, err := b.grants.Redeem(b.t.Context(), grant.Redemption{
		Code: code, ClientID: clientID, RedirectURI: redirectURI, Verifier: verifier,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return granted
}

// idToken is an ID token of a grant.
func (b *bundle) idToken(granted *grant.Grant) string {
	b.t.Helper()
	client, ok := b.registry.Current().Client(granted.ClientID)
	if !ok {
		b.t.Fatal("unknown client")
	}
	issued, err := b.mint.IDToken(mint.IDToken{Client: client, Who: granted.Ref, SignIn: mint.SignIn{
		At: granted.AuthTime, ACR: granted.ACR, AMR: granted.AMR, Session: granted.SessionID,
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.Token
}

// read runs fn in a transaction that reads.
func (b *bundle) read(fn func(context.Context, *db.Tx) error) {
	b.t.Helper()
	if err := b.database.Read(b.t.Context(), func(tx *db.Tx) error { return fn(b.t.Context(), tx) }); err != nil {
		b.t.Fatal(err)
	}
}

// waiting counts the stored requests.
func (b *bundle) waiting() (n int) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) error {
		return tx.Row(ctx, `SELECT count(*) FROM signin_request`).Scan(&n)
	})
	return n
}

// refusals counts the refused authorization requests on record.
func (b *bundle) refusals() (n int) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) error {
		records, err := audit.Find(ctx, tx, audit.Query{Event: audit.AuthorizeRefused, Limit: 1000})
		n = len(records)
		return err
	})
	return n
}

// consents counts the clients that aiko and ben have allowed something.
func (b *bundle) consents() (n int) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) error {
		for _, name := range []string{"aiko", "ben"} {
			who, err := b.people.ByEmail(ctx, tx, name+"@example.test")
			if err != nil {
				return err
			}
			list, err := b.grants.ListConsents(ctx, tx, who.ID)
			if err != nil {
				return err
			}
			n += len(list)
		}
		return nil
	})
	return n
}

// accounts counts everybody.
func (b *bundle) accounts() (n int64) {
	b.t.Helper()
	b.read(func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = b.people.CountActive(ctx, tx)
		return err
	})
	return n
}

// cookie is the value of one of the browser's cookies.
func (w *browser) cookie(name string) string {
	u, err := url.Parse(w.b.issuer)
	if err != nil {
		w.b.t.Fatal(err)
	}
	for _, cookie := range w.client.Jar.Cookies(u) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

func (w *browser) setCookie(name, value string) {
	u, err := url.Parse(w.b.issuer)
	if err != nil {
		w.b.t.Fatal(err)
	}
	w.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

// authorizePost is authorize by POST, for what no URL can hold.
func (w *browser) authorizePost(pairs ...string) answer {
	values, err := url.ParseQuery(ask(pairs...))
	if err != nil {
		w.b.t.Fatal(err)
	}
	return w.post("/oauth2/authorize", values)
}

func (b *bundle) origin() account.Origin { return account.Origin{By: "test"} }
