package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const (
	email    = "hanako@example.test"
	password = "a quiet river in the north"
)

// person is somebody with a browser that knows cookies, forms and redirects,
// and nothing of JavaScript.
type person struct {
	t      testing.TB
	client *http.Client
	email  string
	known  bool // has an account
}

func newPerson(t testing.TB) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, client: &http.Client{Jar: jar}, email: email}
}

// page is what the person sees.
type page struct {
	t     testing.TB
	url   *url.URL
	code  int
	head  http.Header
	root  *html.Node
	title string
}

func (p *person) open(address string) *page {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(request)
}

func (p *person) do(request *http.Request) *page {
	p.t.Helper()
	request.Header.Set("Accept", "text/html,*/*") // by which some servers tell people from programs
	response, err := p.client.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	root, err := html.Parse(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	seen := &page{t: p.t, url: response.Request.URL, code: response.StatusCode, head: response.Header, root: root}
	if title := find(root, func(n *html.Node) bool { return n.Data == "title" }); title != nil && title.FirstChild != nil {
		seen.title = title.FirstChild.Data
	}
	return seen
}

// has tells whether the page holds an element with the id.
func (s *page) has(id string) bool { return s.element(id) != nil }

func (s *page) element(id string) *html.Node {
	return find(s.root, func(n *html.Node) bool { return attribute(n, "id") == id })
}

func (s *page) text() string {
	var text strings.Builder
	for n := range s.root.Descendants() {
		if n.Type == html.TextNode {
			text.WriteString(n.Data)
		}
	}
	return text.String()
}

// submit fills in the form with the given id and sends it with its button.
func (p *person) submit(seen *page, formID string, values url.Values, button string) *page {
	p.t.Helper()
	form := seen.element(formID)
	if form == nil {
		p.t.Fatalf("no form %s on %s (%d %s): %s", formID, seen.url, seen.code, seen.title, seen.text())
	}
	filled := url.Values{}
	for n := range form.Descendants() {
		name := attribute(n, "name")
		switch {
		case n.Type != html.ElementNode || name == "":
		case n.Data == "input" && attribute(n, "type") != "checkbox":
			filled.Set(name, attribute(n, "value"))
		case n.Data == "button" && attribute(n, "id") == button:
			filled.Set(name, attribute(n, "value"))
		}
	}
	for name, value := range values {
		filled[name] = value
	}
	action, err := seen.url.Parse(attribute(form, "action"))
	if err != nil {
		p.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, action.String(), strings.NewReader(filled.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", fmt.Sprintf("%s://%s", seen.url.Scheme, seen.url.Host))
	return p.do(request)
}

// signUp goes from the sign-in page to a new account and on.
func (p *person) signUp(seen *page) *page {
	p.t.Helper()
	link := seen.element("signup-link")
	if link == nil {
		p.t.Fatalf("no sign-up link on %s: %s", seen.url, seen.text())
	}
	address, err := seen.url.Parse(attribute(link, "href"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.submit(p.open(address.String()), "signup-form",
		url.Values{"name": {"Hanako"}, "email": {p.email}, "password": {password}}, "submit")
}

func (p *person) signIn(seen *page) *page {
	p.t.Helper()
	return p.submit(seen, "signin-form", url.Values{"email": {p.email}, "password": {password}}, "submit")
}

// comply does what the pages ask until they ask no more: signs in, with a new
// account the first time, allows what is asked, confirms that they leave.
func (p *person) comply(seen *page) *page {
	p.t.Helper()
	for {
		switch {
		case seen.has("signin-form") && p.known:
			seen = p.signIn(seen)
		case seen.has("signin-form"):
			p.known = true
			seen = p.signUp(seen)
		case seen.has("consent-form"):
			seen = p.submit(seen, "consent-form", nil, "allow")
		case seen.has("logout-form"):
			seen = p.submit(seen, "logout-form", nil, "logout-confirm")
		default:
			return seen
		}
		if seen.has("problem") {
			p.t.Fatalf("at %s: %s", seen.url, seen.text())
		}
	}
}

func find(root *html.Node, matches func(*html.Node) bool) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && matches(n) {
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
