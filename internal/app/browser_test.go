package app_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// RoundTrip answers a request in this process, as the transport of browsers
// and clients.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	r = r.Clone(r.Context()) // what the server makes of a request is not the client's
	r.RequestURI = r.URL.RequestURI()
	if r.RemoteAddr == "" {
		r.RemoteAddr = "192.0.2.7:4711"
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	form := w.read(r)
	w.handler.ServeHTTP(recorder, r)
	if w.watch != nil {
		w.watch(r, form, recorder)
	}
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// read gives the parameters of a request, which can still be sent, to those who
// watch.
func (w *world) read(r *http.Request) url.Values {
	if w.watch == nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil
	}
	for name, values := range r.URL.Query() {
		form[name] = append(form[name], values...)
	}
	return form
}

// browser is somebody at a browser: cookies, no JavaScript, and redirects are
// looked at one by one.
type browser struct {
	w      *world
	client *http.Client
	header http.Header // sent with every request
	host   string      // sent as Host, if set
}

func (w *world) browser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w: w, header: http.Header{}, client: &http.Client{
		Transport: w, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) setCookie(name, value string) {
	b.client.Jar.SetCookies(issuerURL(b.w.t), []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

func (b *browser) cookie(name string) string {
	for _, cookie := range b.client.Jar.Cookies(issuerURL(b.w.t)) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

func issuerURL(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// answer is what came back.
type answer struct {
	status   int
	header   http.Header
	location *url.URL // nil unless it leads on
	body     string
}

// send sends one request; a form is sent in the body.
func (b *browser) send(method, target string, form url.Values) answer {
	b.w.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = issuer + target
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.w.t.Context(), method, target, body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	for name, values := range b.header {
		r.Header[name] = values
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.host != "" {
		r.Host = b.host
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(text)}
	if to := response.Header.Get("Location"); to != "" {
		if a.location, err = r.URL.Parse(to); err != nil {
			b.w.t.Fatal(err)
		}
	}
	return a
}

func (b *browser) get(target string) answer { return b.follow(b.send(http.MethodGet, target, nil)) }

// follow goes along redirects as long as they stay at the issuer.
func (b *browser) follow(a answer) answer {
	b.w.t.Helper()
	for range 5 {
		if a.location == nil || a.location.Host != issuerURL(b.w.t).Host {
			return a
		}
		a = b.send(http.MethodGet, a.location.String(), nil)
	}
	b.w.t.Fatalf("too many redirects, last to %s", a.location)
	return a
}

// form is the form with an id on the page, with the values it has.
func (b *browser) form(a answer, id string) (action string, values url.Values) {
	b.w.t.Helper()
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		b.w.t.Fatal(err)
	}
	node := byID(root, id)
	for node != nil && node.Data != "form" {
		node = node.Parent
	}
	if node == nil {
		b.w.t.Fatalf("status %d, %v, and no form of #%s:\n%s", a.status, a.location, id, a.body)
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
func (b *browser) fill(a answer, id string, pairs ...string) answer {
	b.w.t.Helper()
	action, values := b.form(a, id)
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return b.follow(b.send(http.MethodPost, action, values))
}

// signIn fills in the sign-in page.
func (b *browser) signIn(a answer) answer {
	b.w.t.Helper()
	return b.fill(a, "signin-form", "email", email, "password", password)
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

// has reports whether the page has an element with the id.
func (a answer) has(id string) bool {
	root, err := html.Parse(strings.NewReader(a.body))
	return err == nil && byID(root, id) != nil
}

// text is the text of the element with the id.
func (a answer) text(id string) string {
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		return ""
	}
	node := byID(root, id)
	if node == nil {
		return ""
	}
	var text strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			text.WriteString(n.Data)
		}
	}
	return strings.TrimSpace(text.String())
}

// wantErrorPage checks for an error that is shown and leads nowhere.
func wantErrorPage(t testing.TB, a answer, code string) {
	t.Helper()
	if a.status < 400 || a.status > 499 || a.location != nil || len(a.header.Values("Location")) > 0 || a.text("error-code") != code {
		t.Errorf("%d %v %q, want an error page with %s", a.status, a.location, a.text("error-code"), code)
	}
	if !plain(a.text("error-description")) {
		t.Errorf("description %q", a.text("error-description"))
	}
}
