package signin_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

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

// href is where a link on a page leads.
func (w *browser) href(a answer, id string) string {
	w.b.t.Helper()
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		w.b.t.Fatal(err)
	}
	node := byID(root, id)
	if node == nil {
		w.b.t.Fatalf("status %d, and the page has no #%s:\n%s", a.status, id, a.body)
	}
	return attr(node, "href")
}
