package e2e_test

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/net/html"
)

// party is one of two servers that are compared, with somebody who is signed in
// there and somebody who is not.
type party struct {
	t        *testing.T
	issuer   string
	told     npmTold
	member   *person
	stranger *person
	requests int
}

func newParty(t *testing.T, issuer string, told npmTold) *party {
	t.Helper()
	p := &party{t: t, issuer: issuer, told: told, member: newPerson(t), stranger: newPerson(t)}
	seen := p.member.open(p.authorizeURL().String())
	p.member.known = !seen.has("signup-link") // the reference takes everybody
	if back := p.member.comply(seen); !back.has("back") {
		t.Fatalf("signing in at %s ended at %s: %s", issuer, back.url, back.text())
	}
	return p
}

// change makes one set of parameters of another. A change is "name=value" to
// set a parameter, "+name=value" to add one more of the name, "!name" to leave
// it out.
func change(values url.Values, changes []string) url.Values {
	for _, c := range changes {
		name, value, _ := strings.Cut(strings.TrimLeft(c, "+!"), "=")
		switch {
		case strings.HasPrefix(c, "+"):
			values.Add(name, value)
		case strings.HasPrefix(c, "!"):
			values.Del(name)
		default:
			values.Set(name, value)
		}
	}
	return values
}

// verifier and its challenge are those of RFC 7636 Appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// authorizeValues is a good authorization request of the web app, changed.
func (p *party) authorizeValues(changes ...string) url.Values {
	placed := make([]string, len(changes))
	for i := range changes {
		placed[i] = p.placed(changes[i])
	}
	return change(url.Values{
		"response_type": {"code"}, "client_id": {"market-app.web"}, "redirect_uri": {p.told.Redirects["web"]},
		"scope": {"openid email items.read"}, "resource": {marketAPI}, "state": {"a state"}, "nonce": {"a nonce"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}, placed)
}

// placed puts the redirect URIs of clients in the place of their names.
func (p *party) placed(change string) string {
	for name, uri := range p.told.Redirects {
		change = strings.Replace(change, "redirect_uri=$"+name, "redirect_uri="+uri, 1)
	}
	return change
}

func (p *party) authorizeURL(changes ...string) *url.URL {
	return p.at("/oauth2/authorize", p.authorizeValues(changes...))
}

func (p *party) at(path string, query url.Values) *url.URL {
	u, err := url.Parse(p.issuer + path)
	if err != nil {
		p.t.Fatal(err)
	}
	u.RawQuery = query.Encode()
	return u
}

func (p *party) get(u *url.URL) *http.Request { return p.request(http.MethodGet, u.String(), nil) }

func (p *party) postForm(path string, form url.Values) *http.Request {
	request := p.request(http.MethodPost, p.issuer+path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

func (p *party) request(method, address string, body io.Reader) *http.Request {
	request, err := http.NewRequestWithContext(p.t.Context(), method, address, body)
	if err != nil {
		p.t.Fatal(err)
	}
	// Each from another address: after ten failures of client authentication
	// from one, Sekisho listens no more.
	p.requests++
	request.Header.Set("X-Forwarded-For", netip.AddrFrom4([4]byte{198, 18, byte(p.requests >> 8), byte(p.requests)}).String())
	return request
}

// credentials say how a client authenticates: a change of the form, or a header.
type credentials func(p *party, request *http.Request, form url.Values)

func basic(id, secret string) credentials {
	return func(_ *party, request *http.Request, _ url.Values) {
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
}

func posted(id, secret string) credentials {
	return func(_ *party, _ *http.Request, form url.Values) {
		form.Set("client_id", id)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
}

// asserted is private_key_jwt of the market's backend; adjust spoils the claims.
func asserted(adjust func(p *party, claims map[string]any)) credentials {
	return func(p *party, _ *http.Request, form url.Values) {
		now := time.Now()
		claims := map[string]any{
			"iss": "market.backend", "sub": "market.backend", "aud": p.issuer, "jti": rand.Text(),
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}
		if adjust != nil {
			adjust(p, claims)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.told.MarketKey}, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		assertion, err := jwt.Signed(signer).Claims(claims).Serialize()
		if err != nil {
			p.t.Fatal(err)
		}
		form.Set("client_id", "market.backend")
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
}

var (
	asWeb     = basic("market-app.web", appSecret)
	asPosting = posted("market-app.posting", appSecret)
	asPhone   = posted("market-app.phone", "")
	asPay     = posted("pay.backend", paySecret)
	asMarket  = asserted(nil)
	asNobody  = func(*party, *http.Request, url.Values) {}
)

// as makes a POST of a client.
func (p *party) as(who credentials, path string, form url.Values) *http.Request {
	header := p.request(http.MethodPost, p.issuer, nil)
	who(p, header, form)
	request := p.postForm(path, form)
	maps.Copy(request.Header, header.Header)
	return request
}

// code runs an authorization request of somebody who is signed in.
func (p *party) code(changes ...string) string {
	p.t.Helper()
	back := p.member.comply(p.member.open(p.authorizeURL(changes...).String())).url
	code := back.Query().Get("code")
	if code == "" {
		p.t.Fatalf("%s: no code, but %s", p.issuer, back)
	}
	return code
}

// redemption is the token request for a code, changed.
func redemption(p *party, code string, changes ...string) url.Values {
	return change(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.told.Redirects["web"]},
		"code_verifier": {verifier}, "resource": {marketAPI},
	}, changes)
}

// issued are the tokens of a client.
type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// take sends a token request that must succeed.
func (p *party) take(request *http.Request) issued {
	p.t.Helper()
	response, err := p.stranger.client.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var tokens issued
	if err := json.NewDecoder(response.Body).Decode(&tokens); err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: token request answered %d: %v", p.issuer, response.StatusCode, err)
	}
	return tokens
}

// tokens are fresh ones of the web app; offline, so that a refresh token comes
// from both servers.
func (p *party) tokens(changes ...string) issued {
	p.t.Helper()
	changes = append([]string{"scope=openid email items.read offline_access", "prompt=consent"}, changes...)
	return p.take(p.as(asWeb, "/oauth2/token", redemption(p, p.code(changes...))))
}

// identity is an access token for userinfo.
func (p *party) identity() string {
	p.t.Helper()
	code := p.code("scope=openid email", "!resource")
	return p.take(p.as(asWeb, "/oauth2/token", redemption(p, code, "!resource"))).Access
}

// seen sends a request and tells in a few words what comes back, after the
// redirects within the server.
func (p *party) seen(who *person, request *http.Request) string {
	p.t.Helper()
	browser := *who.client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for range 6 {
		if path := request.URL.Path; path == "/oauth2/authorize" || path == "/oauth2/logout" {
			request.Header.Set("Accept", "text/html") // as browsers do
		}
		response, err := browser.Do(request)
		if err != nil {
			p.t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			p.t.Fatal(err)
		}
		next, err := response.Location()
		if err != nil {
			return describe(p, response, body)
		}
		if !strings.HasPrefix(next.String(), p.issuer) {
			return words(response.StatusCode, "redirect", parameters(next.Query()), fragment(next))
		}
		request = p.get(next)
	}
	p.t.Fatalf("%s redirects in a circle to %s", p.issuer, request.URL)
	return ""
}

// bySomebody and byStranger send as a person with and without a session.
func (p *party) bySomebody(request *http.Request) string { return p.seen(p.member, request) }
func (p *party) byStranger(request *http.Request) string { return p.seen(p.stranger, request) }

// describe tells about an answer that goes nowhere else.
func describe(p *party, response *http.Response, body []byte) string {
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")) // empty if there is none
	challenge, _, _ := strings.Cut(response.Header.Get("WWW-Authenticate"), " ")
	if challenge != "" {
		challenge = "challenge " + challenge
	}
	switch {
	case media == "text/html":
		return words(response.StatusCode, pageShown(p, body))
	case len(body) == 0:
		return words(response.StatusCode, "empty", challenge)
	case media != "application/json":
		return words(response.StatusCode, media, challenge)
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		return words(response.StatusCode, "broken JSON")
	}
	if code, ok := members["error"].(string); ok {
		return words(response.StatusCode, code, challenge)
	}
	if members["active"] == false {
		return words(response.StatusCode, "inactive")
	}
	return words(response.StatusCode, memberNames(members), challenge)
}

// pageShown tells what page a browser is shown.
func pageShown(p *party, body []byte) string {
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	shown := &page{t: p.t, root: root}
	if code := shown.element("error-code"); code != nil && code.FirstChild != nil {
		return "error page " + code.FirstChild.Data
	}
	for _, name := range []string{"signin-form", "signup-form", "consent-form", "logout-form", "signed-out"} {
		if shown.has(name) {
			return name + " page"
		}
	}
	if form := find(root, func(n *html.Node) bool { return n.Data == "form" }); form != nil {
		fields := url.Values{}
		for n := range form.Descendants() {
			if n.Type == html.ElementNode && n.Data == "input" {
				fields.Set(attribute(n, "name"), attribute(n, "value"))
			}
		}
		return "form_post " + parameters(fields)
	}
	return "some page"
}

// parameters are those of an authorization response: names, and the error code.
func parameters(values url.Values) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch name {
		case "error":
			names = append(names, values.Get(name))
		case "error_description": // optional, and not compared
		default:
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func fragment(u *url.URL) string {
	if u.Fragment == "" {
		return ""
	}
	values, err := url.ParseQuery(u.Fragment)
	if err != nil {
		return "in the fragment: unreadable"
	}
	return "in the fragment: " + parameters(values)
}

func memberNames(members map[string]any) string {
	return "{" + strings.Join(slices.Sorted(maps.Keys(members)), " ") + "}"
}

// words joins what there is to say.
func words(status int, texts ...string) string {
	said := strconv.Itoa(status)
	for _, text := range texts {
		if text != "" {
			said += " " + text
		}
	}
	return said
}
