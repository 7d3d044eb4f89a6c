package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// browser uses web sites as a person does: it keeps cookies, reads the page it
// is on, follows links and sends forms, all by the ids of their elements. It
// runs no JavaScript, and nothing here needs any.
type browser struct {
	client  *http.Client
	at      *url.URL
	status  int
	page    *html.Node
	visited []*url.URL // every address since the last open or click, redirects included
}

// Redirects of one sign-in across three sites stay well below this.
const mostRedirects = 20

func newBrowser() (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := &browser{at: &url.URL{}}
	b.client = &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= mostRedirects {
			return errors.New("too many redirects")
		}
		b.visited = append(b.visited, r.URL)
		return nil
	}}
	return b, nil
}

// open goes to an address.
func (b *browser) open(ctx context.Context, address string) error {
	b.visited = nil
	return b.get(ctx, address)
}

func (b *browser) get(ctx context.Context, address string) error {
	target, err := b.at.Parse(address)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return err
	}
	return b.load(request)
}

// load fetches a page and, where the page says so, the one it goes on to.
func (b *browser) load(request *http.Request) error {
	b.visited = append(b.visited, request.URL)
	response, err := b.client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, longestBody))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	b.at, b.status = response.Request.URL, response.StatusCode
	if b.page, err = html.Parse(strings.NewReader(string(body))); err != nil {
		return err
	}
	if next := b.refresh(); next != "" {
		return b.get(request.Context(), next)
	}
	return nil
}

// refresh is where the page goes on to by itself.
func (b *browser) refresh() string {
	for node := range b.page.Descendants() {
		if node.Data == "meta" && strings.EqualFold(attribute(node, "http-equiv"), "refresh") {
			_, address, _ := strings.Cut(attribute(node, "content"), "url=")
			return address
		}
	}
	return ""
}

// has reports whether the page holds an element with the id.
func (b *browser) has(id string) bool { return b.find(id) != nil }

// text is what an element says; empty where there is none.
func (b *browser) text(id string) string {
	node := b.find(id)
	if node == nil {
		return ""
	}
	var said strings.Builder
	for inner := range node.Descendants() {
		if inner.Type == html.TextNode {
			said.WriteString(inner.Data)
		}
	}
	return strings.Join(strings.Fields(said.String()), " ")
}

// source is the page as HTML.
func (b *browser) source() (string, error) {
	var source strings.Builder
	err := html.Render(&source, b.page)
	return source.String(), err
}

func (b *browser) find(id string) *html.Node {
	if b.page == nil {
		return nil
	}
	for node := range b.page.Descendants() {
		if node.Type == html.ElementNode && attribute(node, "id") == id {
			return node
		}
	}
	return nil
}

// click follows the link, or sends the form of the button, with the id. A form
// can be named itself. Fields are typed in first, by their names.
func (b *browser) click(ctx context.Context, id string, fields map[string]string) error {
	node := b.find(id)
	if node == nil {
		return fmt.Errorf("the page %s has no #%s%s", b.at, id, b.complaint())
	}
	b.visited = nil
	if node.Data == "a" {
		return b.get(ctx, attribute(node, "href"))
	}
	form := node
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil {
		return fmt.Errorf("#%s on %s is no link and in no form", id, b.at)
	}
	values := formValues(form)
	if name := attribute(node, "name"); node.Data == "button" && name != "" {
		values.Set(name, attribute(node, "value"))
	}
	for name, value := range fields {
		values.Set(name, value)
	}
	return b.send(ctx, form, values)
}

// complaint is what the page says went wrong, for errors.
func (b *browser) complaint() string {
	for _, id := range []string{"problem", "error-description", "error-code", "notice"} {
		if said := b.text(id); said != "" {
			return " and says: " + said
		}
	}
	return ""
}

func formValues(form *html.Node) url.Values {
	values := url.Values{}
	for node := range form.Descendants() {
		if name := attribute(node, "name"); node.Data == "input" && name != "" {
			values.Add(name, attribute(node, "value"))
		}
	}
	return values
}

func (b *browser) send(ctx context.Context, form *html.Node, values url.Values) error {
	target, err := b.at.Parse(attribute(form, "action"))
	if err != nil {
		return err
	}
	if !strings.EqualFold(attribute(form, "method"), http.MethodPost) {
		target.RawQuery = values.Encode()
		return b.get(ctx, target.String())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
	return b.load(request)
}

// passed reports whether the way here led through a path of a site.
func (b *browser) passed(site, path string) bool {
	for _, address := range b.visited {
		if address.Scheme+"://"+address.Host == site && strings.HasPrefix(address.Path, path) {
			return true
		}
	}
	return false
}

func attribute(node *html.Node, name string) string {
	for _, held := range node.Attr {
		if held.Key == name {
			return held.Val
		}
	}
	return ""
}
