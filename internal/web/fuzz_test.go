package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// FuzzReadParameters holds that the query of a GET and the body of a POST are
// read alike, within the limits, and never otherwise than by net/url.
func FuzzReadParameters(f *testing.F) {
	for _, seed := range []string{
		"client_id=a&scope=openid+email&state=%E3%81%82", "a=1&a=2", "a", "a=&b=", "a=%00", "a=%ff", "a;b=1", "%zz=1", "+=%2B&&",
		strings.Repeat("a=1&", 64), "claims=" + strings.Repeat("x", 5<<10), "state=" + strings.Repeat("x", 5<<10),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		get := httptest.NewRequest(http.MethodGet, "/", nil)
		get.URL.RawQuery = raw
		values, err := web.ReadParameters(httptest.NewRecorder(), get, web.FormLimit)
		posted, postErr := web.ReadParameters(httptest.NewRecorder(), post("/", formType, raw), web.FormLimit)
		if (err == nil) != (postErr == nil) && len(raw) <= web.FormLimit || err == nil && postErr == nil && values.Encode() != posted.Encode() {
			t.Errorf("%q is %v (%v) in a URL, %v (%v) in a body", raw, values, err, posted, postErr)
		}
		if err != nil {
			var refusal *oauth.Error
			if !errors.As(err, &refusal) || refusal.HTTPStatus() >= 500 {
				t.Errorf("%v", err)
			}
			return
		}
		standard, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("%q was taken: %v", raw, err)
		}
		delete(standard, "")
		for name, list := range standard {
			if slices.Equal(list, []string{""}) {
				delete(standard, name)
			}
			if slices.ContainsFunc(list, func(v string) bool { return len(v) > 16<<10 || !utf8.ValidString(v) || strings.Contains(v, "\x00") }) {
				t.Errorf("%s of %q was taken", name, raw)
			}
		}
		if standard.Encode() != values.Encode() || len(standard) > 64 {
			t.Errorf("%q is %v, not %v", raw, values, standard)
		}
	})
}

// FuzzLanguage holds that a page is always in a language there is, and that
// ui_locales, where it names one, goes before the browser's wish.
func FuzzLanguage(f *testing.F) {
	f.Add("ja en", "en")
	f.Add("", "ja-JP;q=0.9, en;q=0.1")
	f.Add("JA-x\x00", "*;q=0")
	f.Add("de\tja", strings.Repeat("a-b,", 500))
	f.Fuzz(func(t *testing.T, uiLocales, accept string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", accept)
		got := web.Language(r, uiLocales)
		if !slices.Contains(web.Languages, got) {
			t.Errorf("%q", got)
		}
		if again := web.Language(r, got+" "+uiLocales); again != got {
			t.Errorf("%s first, and the page is in %s", got, again)
		}
	})
}

// FuzzClientIP holds that nobody but a trusted proxy says where a request comes
// from, and that of what proxies say the last untrusted hop counts.
func FuzzClientIP(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	within := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	f.Add("10.0.0.1:1", "203.0.113.9", "")
	f.Add("203.0.113.9:1", "10.0.0.1", "127.0.0.1")
	f.Add("[::ffff:10.0.0.1]:1", "1.2.3.4, ::ffff:10.9.9.9", "10.1.1.1")
	f.Add("10.0.0.1:1", "fe80::1%eth0", "unknown, 10.0.0.2")
	f.Add("@", ",,", " 10.0.0.1 ")
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {first, second}}}
		got := web.ClientIP(r, trusted)
		peer, err := netip.ParseAddrPort(remote)
		switch {
		case err != nil:
			if got.IsValid() {
				t.Errorf("%q is from %s", remote, got)
			}
		case !within(peer.Addr().Unmap()):
			if got != peer.Addr().Unmap() {
				t.Errorf("%q is from %s", remote, got)
			}
		case got != peer.Addr().Unmap():
			hops := strings.Split(first+","+second, ",")
			at := slices.IndexFunc(hops, func(hop string) bool {
				a, err := netip.ParseAddr(strings.TrimSpace(hop))
				return err == nil && a.Unmap() == got
			})
			if at < 0 {
				t.Fatalf("%q, %q: %s is nobody's word", first, second, got)
			}
			// A proxy's word counts only if all that stood nearer are proxies.
			r.Header.Set("X-Forwarded-For", strings.Join(hops[at:], ","))
			if nearer := web.ClientIP(r, trusted); nearer != got {
				t.Errorf("%q, %q: %s, and %s without what lies beyond", first, second, got, nearer)
			}
		}
	})
}

// FuzzLogLine holds that whatever is noted of a request, its log line is one
// line of JSON within 8 KiB.
func FuzzLogLine(f *testing.F) {
	f.Add("client", "a\nb\r\n{\"level\":\"ERROR\"}", "/x\u2028y")
	f.Add("\x00\x1b[31m", strings.Repeat("\x01", 4000), strings.Repeat("%0a", 1000))
	f.Add("msg", "\xff\xfe", "")
	f.Fuzz(func(t *testing.T, key, value, path string) {
		var log bytes.Buffer
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			event := web.Event(r.Context())
			event.Set("note", value)
			event.Set("list", []string{value, key})
			event.Set("error", errors.New(value+value))
			event.Set("other", value)
			event.Set("more", strings.Repeat(key, 9))
		})
		r := &http.Request{Method: key, URL: &url.URL{Path: path}, Header: http.Header{}}
		web.Log(slog.New(slog.NewJSONHandler(&log, nil)), nil, handler).ServeHTTP(httptest.NewRecorder(), r)
		line := log.String()
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || len(line) > 8<<10 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(c rune) bool { return c < 0x20 || c == 0x2028 || c == 0x2029 }) {
			t.Errorf("%q", line)
		}
		var read map[string]any
		if err := json.Unmarshal([]byte(line), &read); err != nil || read["msg"] != "request" || read["level"] != "INFO" {
			t.Errorf("%q: %v", line, err)
		}
	})
}

// fields is the data of every page at once, each text of it the same.
type fields struct {
	Days                            int
	Providers, More                 []provider
	Identities                      []identity
	Linking, Provider, Sealed, Back string

	Action, SignUp, Client, Email, Current, Name, Withdraw, Logout, Account, Host, PolicyURI, TOSURI string
	Code, Description, ID                                                                            string
	Reauthenticate, Offline                                                                          bool
	Status                                                                                           int
	Problem, Notice                                                                                  web.Message
	Identity                                                                                         []web.Message
	Groups                                                                                           []group
	Consents                                                                                         []fields
	Passkey, NewPasskey, Methods, Security                                                           string
	None, MayDrop, App, Password                                                                     bool
	PasskeyName                                                                                      web.Message
	Sessions                                                                                         []session
	Others                                                                                           bool
	Recover, Sent                                                                                    string
	Unverified, Letters, Gone, Done                                                                  bool
	Data, Delete                                                                                     string
	Passkeys                                                                                         []passkey
	Setup                                                                                            *setup
	RecoveryCodes                                                                                    int
	NewCodes                                                                                         []string
	Since, CSRF, ClientID, SignIn                                                                    string
}

type session struct {
	ID, Source, Since, Seen string
	Device                  web.Message
	Here                    bool
}

type passkey struct {
	ID, Name, Since, Used string
	Synced, Suspect       bool
}

type provider struct{ ID, Name, Link string }

type identity struct {
	Provider, Email, Issuer, Subject, Since, Used string
	Next                                          int
}

type setup struct{ Picture, Secret, Sealed string }

type group struct {
	Name    string
	Scopes  []string
	Details []detail
}

type detail struct {
	Name    string
	Members []member
}

type member struct {
	Name, Value string
	Truth       web.Message
}

func everywhere(s string) fields {
	f := fields{
		Action: s, SignUp: s, Client: s, Email: s, Current: s, Name: s, Withdraw: s, Logout: s, Account: s, Host: s, PolicyURI: s, TOSURI: s,
		Code: s, Description: s, ID: s, Reauthenticate: true, Offline: true, Status: 400,
		Problem: web.Say("signin.to-client", s), Notice: web.Say("account.withdrawn", s), Identity: []web.Message{web.Say("account.withdrawn", s)},
		Groups: []group{{Name: s, Scopes: []string{s}, Details: []detail{{s, []member{{Name: s, Value: s}, {Name: s, Truth: web.Say("yes")}}}}}}, Since: s, CSRF: s, ClientID: s, SignIn: s,
	}
	f.Passkey, f.NewPasskey, f.Methods, f.Security, f.None, f.MayDrop, f.Password = s, s, s, s, true, true, true
	f.Passkeys, f.Setup, f.NewCodes = []passkey{{s, s, s, s, true, true}}, &setup{"", s, s}, []string{s}
	f.PasskeyName = web.Say("account.withdrawn", s)
	f.Sessions, f.Others, f.Data, f.Delete = []session{{s, s, s, s, web.Say("account.device", s, s), false}}, true, s, s
	f.Providers, f.More, f.Linking, f.Provider, f.Sealed, f.Back = []provider{{s, s, s}}, []provider{{s, s, s}}, s, s, s, s
	f.Days = 30
	f.Identities = []identity{{s, s, s, s, s, s, 1}}
	f.Recover, f.Unverified, f.Letters = s, true, true
	f.Consents = []fields{f}
	return f
}

// FuzzPages holds that no text changes what a page is made of: an HTML
// tokeniser sees the same elements with the same attributes as with a harmless
// text, and no address that runs something.
func FuzzPages(f *testing.F) {
	pages := open(f, "https://id.test")
	for _, seed := range []string{
		`"><script>alert(1)</script>`, `' onload=x `, "javascript:alert(1)", "</title><img src=x>", "{{7*7}}", "\x00<", "--><b>", "data:text/html,x", "あ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"signin", "verify", "security", "delete", "deleted", "recover", "choosepassword", "confirmemail", "connect", "signup", "consent", "account", "logout", "error", "signedout"} {
			for _, language := range web.Languages {
				want, _ := shape(t, pages, name, language, "harmless")
				got, addresses := shape(t, pages, name, language, "x"+text)
				if !slices.Equal(got, want) {
					t.Errorf("%s with %q is made of\n%q, not\n%q", name, text, got, want)
				}
				bare, more := shape(t, pages, name, language, text)
				if text != "" && !slices.Equal(bare, want) {
					t.Errorf("%s with %q is made of\n%q, not\n%q", name, text, bare, want)
				}
				for _, address := range append(addresses, more...) {
					u, err := url.Parse(address)
					if err != nil || !slices.Contains([]string{"", "https", "http", "mailto"}, strings.ToLower(u.Scheme)) && !strings.HasPrefix(address, "#ZgotmplZ") {
						t.Errorf("%s with %q leads to %q", name, text, address)
					}
				}
			}
		}
	})
}

// shape lists the elements of a page with the names of their attributes, and
// the addresses in them.
func shape(t *testing.T, pages *web.Pages, name, language, text string) (elements, addresses []string) {
	t.Helper()
	w := httptest.NewRecorder()
	pages.Write(w, request(), web.Page{Name: name, UILocales: language, CSRF: text, Data: everywhere(text)})
	if w.Code != http.StatusOK {
		t.Fatalf("%s with %q: %d %s", name, text, w.Code, w.Body)
	}
	tokens := html.NewTokenizer(w.Body)
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return elements, addresses
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			token := tokens.Token()
			element := token.Type.String() + " " + token.Data
			for _, a := range token.Attr {
				element += " " + a.Key
				if slices.Contains([]string{"href", "action", "src", "formaction"}, a.Key) {
					addresses = append(addresses, a.Val)
				}
			}
			elements = append(elements, element)
		case html.CommentToken, html.DoctypeToken:
			elements = append(elements, tokens.Token().Type.String())
		}
	}
}

// FuzzFormToken holds that of all form tokens and cookies only the right pair
// passes, and that no cookie header makes the reading of it fail.
func FuzzFormToken(f *testing.F) {
	pages := open(f, "https://id.test")
	first := httptest.NewRecorder()
	browser := pages.NewBrowser(first)
	good := first.Result().Cookies()[0]
	token := browser.Token("purpose")
	f.Add("{t}", "{n}={v}")
	f.Add("{t}", "{n}={v}; {n}=other")
	f.Add("{t}=", "{n}=\"{v}\"")
	f.Add("", "{n}=")
	f.Add("\x00", ";;=;{n}={v};")
	fill := strings.NewReplacer("{t}", token, "{n}", good.Name, "{v}", good.Value).Replace
	f.Fuzz(func(t *testing.T, text, cookie string) {
		r := httptest.NewRequest(http.MethodPost, "https://id.test/page/x", nil)
		r.Header["Cookie"] = []string{fill(cookie)}
		known := pages.KnownBrowser(r)
		passed := pages.CheckPost(r, known, "purpose", fill(text)) == nil
		if held := pages.Cookie(r, "browser"); passed != (held == good.Value && fill(text) == token) && held == good.Value {
			t.Errorf("token %q with cookie %q: %t", text, cookie, passed)
		}
		if passed && fill(text) != known.Token("purpose") {
			t.Errorf("%q passed", text)
		}
		if known.Hash() == nil && passed {
			t.Error("a browser without a name passed")
		}
	})
}
