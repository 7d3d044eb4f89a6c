package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"
)

// browser is a person's: it knows cookies, forms and redirects.
type browser struct {
	load   *Load
	person int
	jar    *cookiejar.Jar
	signed bool // a session is there, as far as the browser knows
}

func (l *Load) newBrowser(person int) *browser {
	jar, _ := cookiejar.New(nil) // never fails
	return &browser{load: l, person: person, jar: jar}
}

// code is what an app got for a person who signed in.
type code struct {
	client, value, verifier, returnTo string
	confidential                      bool
}

// errBrowser is an answer that no browser should get; outcome is what it counts as.
type errBrowser struct {
	outcome Outcome
	said    string
}

func (e errBrowser) Error() string { return e.said }

// authorize goes from an app's link to the code, by the pages that lie between.
func (b *browser) authorize(ctx context.Context, client, returnTo string, confidential bool) (code, error) {
	c := code{client: client, returnTo: returnTo, confidential: confidential, verifier: oauth2.GenerateVerifier()}
	r := Record{Op: Authorize, Person: b.person, Client: client, Start: b.load.Journal.now()}
	if !b.signed {
		r.Op = SignIn
	}
	answer, replica, err := b.walk(ctx, b.load.Issuer+"/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {returnTo}, "scope": {"openid charge"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(c.verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), returnTo)
	r.End, r.Outcome = b.load.Journal.now(), OK
	if replica != nil {
		r.Replica = replica.Name
	}
	var bad errBrowser
	switch {
	case errors.As(err, &bad):
		r.Outcome, r.Said = bad.outcome, bad.said
	case err != nil:
		r.Outcome, r.Said = Wrong, err.Error()
	case answer.Get("code") == "":
		r.Outcome, r.Said = Refused, answer.Get("error")+" "+answer.Get("error_description")
		if answer.Get("error") == "temporarily_unavailable" {
			r.Outcome = Unavailable
		}
	}
	c.value = answer.Get("code")
	r.Out = digest(c.value)
	if ctx.Err() == nil {
		b.load.Journal.write(r)
	}
	if r.Outcome != OK {
		return c, fmt.Errorf("%s: %s", r.Outcome, r.Said)
	}
	b.signed = true
	return c, nil
}

// walk follows redirects and fills in the sign-in form until it is sent to
// returnTo, and gives the answer in that address.
func (b *browser) walk(ctx context.Context, address, returnTo string) (url.Values, *Replica, error) {
	const steps = 10
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	for range steps {
		a, replica, err := b.do(request)
		outcome, said := judge(a, err, http.StatusOK, http.StatusFound, http.StatusSeeOther)
		if outcome != OK {
			return nil, replica, errBrowser{outcome, said}
		}
		if a.status == http.StatusOK {
			if request, err = b.fill(ctx, request.URL, a.body); err != nil {
				return nil, replica, err
			}
			continue
		}
		next, err := request.URL.Parse(a.header.Get("Location"))
		if err != nil {
			return nil, replica, err
		}
		if strings.HasPrefix(next.String(), returnTo) {
			return next.Query(), replica, nil
		}
		if request, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
			return nil, replica, err
		}
	}
	return nil, nil, errors.New("the pages lead nowhere")
}

func (b *browser) do(request *http.Request) (*answer, *Replica, error) {
	for _, cookie := range b.jar.Cookies(request.URL) {
		request.AddCookie(cookie)
	}
	// Each person is somewhere else; the balancer tells where.
	request.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.1", b.person/256, b.person%256))
	a, replica, err := b.load.balancer.send(request)
	if err == nil {
		b.jar.SetCookies(request.URL, (&http.Response{Header: a.header}).Cookies())
	}
	return a, replica, err
}

// fill fills in the sign-in form of a page.
func (b *browser) fill(ctx context.Context, at *url.URL, page []byte) (*http.Request, error) {
	root, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		return nil, err
	}
	var form *html.Node
	values := url.Values{}
	for n := range root.Descendants() {
		if attribute(n, "id") == "signin-form" {
			form = n
		}
	}
	if form == nil {
		return nil, fmt.Errorf("no sign-in form at %s", at.Path)
	}
	for n := range form.Descendants() {
		if name := attribute(n, "name"); n.Data == "input" && attribute(n, "type") != "checkbox" && name != "" {
			values.Set(name, attribute(n, "value"))
		}
	}
	values.Set("email", Email(b.person))
	values.Set("password", Password)
	to, err := at.Parse(attribute(form, "action"))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", b.load.Issuer)
	return request, nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
