package signin_test

import (
	"context"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// chromium is a real browser in front of a real server, and the clients it is
// sent back to.
type chromium struct {
	*testing.T
	b       *bundle
	issuer  string
	clients *httptest.Server
	ctx     context.Context
	refused *refusals
}

// refusals are what the browser's security policy refused.
type refusals struct {
	mu   sync.Mutex
	list []string
}

func startChromium(t *testing.T, replace ...string) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: the pages are not tried in a real browser")
	}
	listener, err := net.Listen("tcp", "localhost:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	c := &chromium{T: t, refused: new(refusals), issuer: "http://localhost:" + fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)}
	c.clients = httptest.NewServer(http.HandlerFunc(showAnswer))
	t.Cleanup(c.clients.Close)
	c.b = setup(t, append(replace, issuer, c.issuer,
		"https://a.example", c.clients.URL+"/shop", "https://games.test", c.clients.URL+"/games",
		"https://blog.test", c.clients.URL+"/blog", "https://evil.test", c.clients.URL+"/evil",
	)...)
	server := &http.Server{Handler: c.b.handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("accept-lang", "en"))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	c.ctx, cancel = chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Listen(c.ctx, c.refused.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(c.ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// run does the steps one by one, within a time that even a busy machine keeps.
func (c *chromium) run(steps ...chromedp.Action[chromedp.Void]) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(c.ctx, chromedp.Location())
		body, _ := chromedp.Run(c.ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		c.Fatalf("%v at %s\n%s", err, where, body)
	}
}

// text is the text of an element that must be there.
func (c *chromium) text(selector string) string {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS(selector)))
	if err != nil {
		c.Fatal(err)
	}
	return got
}

// looks are the sizes and colours in which a page is kept as a picture.
var looks = []struct {
	name          string
	width, height int64
	scheme        string
}{
	{"desktop-light", 1280, 800, "light"},
	{"desktop-dark", 1280, 800, "dark"},
	{"phone-light", 390, 844, "light"},
	{"phone-dark", 390, 844, "dark"},
}

// keep takes pictures of the page that is shown, where SEKISHO_PICTURES names a
// directory for them.
func (c *chromium) keep(name string) {
	c.Helper()
	directory := os.Getenv("SEKISHO_PICTURES")
	if directory == "" {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
	defer cancel()
	for _, look := range looks {
		colours := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}}
		if _, err := chromedp.Call(c.ctx, emulation.SetEmulatedMedia, colours); err != nil {
			c.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(look.width, look.height)); err != nil {
			c.Fatal(err)
		}
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			c.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, name+"-"+look.name+".png"), picture, 0o600); err != nil {
			c.Fatal(err)
		}
	}
	if err := chromedp.Do(ctx, chromedp.ResetViewport()); err != nil {
		c.Fatal(err)
	}
}

func see(id string) chromedp.Action[chromedp.Void]   { return chromedp.WaitVisible(chromedp.ID(id)) }
func click(id string) chromedp.Action[chromedp.Void] { return chromedp.Click(chromedp.ID(id)) }
func typed(id, text string) chromedp.Action[chromedp.Void] {
	return chromedp.SetValue(chromedp.ID(id), text)
}

func (r *refusals) listen(event any) {
	entry, ok := event.(*cdplog.EventEntryAdded)
	if !ok || entry.Entry.Source != cdplog.EntrySourceSecurity {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, entry.Entry.Text)
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// showAnswer is the callback of every client: it shows what it got, how, and
// nothing else.
func showAnswer(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil { //nolint:gosec // of a test
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html><link rel=icon href=data:,><p id=how>%s %s</p><p id=answer>%s</p>",
		html.EscapeString(r.Method), html.EscapeString(r.URL.Path), html.EscapeString(r.Form.Encode()))
}

// ask goes to the authorization endpoint as a client.
func (c *chromium) ask(client, scope string, pairs ...string) chromedp.Action[chromedp.Void] {
	name, _, _ := strings.Cut(client, ".")
	all := append([]string{"client_id", client, "redirect_uri", c.clients.URL + "/" + name + "/cb", "scope", scope}, pairs...)
	return chromedp.Navigate(c.issuer + "/oauth2/authorize?" + ask(all...))
}

// wantAnswer waits until a client has its answer, and gives it.
func (c *chromium) wantAnswer(how string) url.Values {
	c.Helper()
	c.run(see("how"))
	got, answer := c.text("#how"), c.text("#answer")
	values, err := url.ParseQuery(answer)
	if err != nil || got != how || values.Get("iss") != c.issuer {
		c.Fatalf("answer %q %q, want %q", got, answer, how)
	}
	return values
}

func (c *chromium) wantCode(how string) {
	c.Helper()
	if values := c.wantAnswer(how); values.Get("code") == "" {
		c.Fatalf("answer %v, want a code", values)
	}
}

// TestInChromium is one person's day: sign up at one client, be known at the
// next, allow a third, sign out, sign in again. Nothing on any page is refused
// by its own policy.
func TestInChromium(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	c.run(c.ask("shop.web", "openid profile"), see("signin-form"), click("signup-link"), see("signup-form"))
	c.keep("signup")
	c.run(typed("name", "Chie"), typed("email", "chie@example.test"), typed("password", "four quiet herons wading"),
		click("submit"))
	c.wantCode("GET /shop/cb")

	c.run(c.ask("games.web", "openid"))
	c.wantCode("GET /games/cb")

	c.run(c.ask("blog.web", "openid items.read"), see("consent-form"))
	c.keep("consent")
	c.run(click("allow"))
	c.wantCode("GET /blog/cb")
	c.run(c.ask("blog.web", "openid items.read", "prompt", "consent"), see("consent-form"), click("deny"))
	if values := c.wantAnswer("GET /blog/cb"); values.Get("error") != "access_denied" {
		t.Errorf("answer %v", values)
	}

	c.run(c.ask("shop.web", "openid", "response_mode", "form_post"))
	c.wantCode("POST /shop/cb") // sent on by the page's one script

	c.run(chromedp.Navigate(c.issuer+"/account"), see("account-consents"))
	c.keep("account")
	list := c.text("#account-consents")
	if !strings.Contains(list, "Blog") || !strings.Contains(list, "See items (Market)") {
		t.Errorf("account page lists %q", list)
	}
	c.run(chromedp.Click(chromedp.CSS(`[id="withdraw-blog.web"]`)), see("notice"))

	c.run(chromedp.Navigate(c.issuer+"/oauth2/logout"), see("logout-form"))
	c.keep("logout")
	c.run(click("logout-confirm"), see("signed-out"))
	c.keep("signed-out")
	c.run(c.ask("games.web", "openid"), see("signin-form"), typed("email", "chie@example.test"), typed("password", "not this one at all"),
		click("submit"), see("problem"))
	c.keep("signin-problem")
	c.run(typed("password", "four quiet herons wading"), click("submit"))
	c.wantCode("GET /games/cb")

	// The name of the client is markup; its page must show it, not run it.
	c.run(c.ask("evil.web", "openid"), see("consent-form"))
	title, heading := c.text("title"), c.text("h1")
	if title == "1" || !strings.Contains(heading, "<script>") {
		t.Errorf("title %q, heading %q", title, heading)
	}
	if refused := c.refused.all(); len(refused) > 0 {
		t.Errorf("the browser refused: %q", refused)
	}
	// Had it refused anything, we would have heard of it.
	const inline = `void document.head.append(Object.assign(document.createElement("style"), {textContent: "p{}"}))`
	if _, err := chromedp.Run(c.ctx, chromedp.Evaluate[chromedp.Void](inline, chromedp.EvalAsValue)); err != nil || len(c.refused.all()) == 0 {
		t.Errorf("an inline style was not refused: %v", err)
	}
}

// TestDetailsInChromium: a payment is shown in words, and allowed.
func TestDetailsInChromium(t *testing.T) {
	t.Parallel()
	c := startChromium(t, detailed...)
	c.run(c.ask("blog.web", "openid items.read", "authorization_details", payment), see("signin-form"),
		typed("email", "aiko@example.test"), typed("password", password), click("submit"), see("consent-form"))
	if got := c.text(".detail"); !strings.Contains(got, "Make a payment") || !strings.Contains(got, "<b>for Ben</b>") {
		t.Errorf("the page shows %q", got)
	}
	c.keep("consent-details")
	c.run(click("allow"))
	c.wantCode("GET /blog/cb")
}

// TestAccountInChromium: an authenticator app is set up, used, and the account deleted.
func TestAccountInChromium(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	c.run(chromedp.Navigate(c.issuer+"/account/security"), see("signin-form"), typed("email", "aiko@example.test"), typed("password", password),
		click("submit"), see("app-setup"), chromedp.Click(chromedp.CSS("#app-setup summary")), see("app-form"))
	c.keep("security-app")
	code := func() string {
		text, err := totp.GenerateCode(strings.ReplaceAll(c.text("#app-secret"), "-", ""), c.b.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	c.run(typed("code", code()), click("add-app"), see("make-codes"), click("make-codes"), see("new-codes"))
	c.keep("security-codes")
	recovery := c.text("#new-codes li code")
	c.run(chromedp.Navigate(c.issuer+"/oauth2/logout"), see("logout-form"), click("logout-confirm"), see("signed-out"))
	c.run(c.ask("shop.web", "openid"), see("signin-form"), typed("email", "aiko@example.test"), typed("password", password), click("submit"), see("code-form"))
	c.keep("verify-code")
	c.run(typed("code", recovery), click("submit"))
	c.wantCode("GET /shop/cb")
	c.run(chromedp.Navigate(c.issuer+"/account"), see("delete-link"), click("delete-link"), see("delete-form"))
	c.keep("delete")
	c.run(typed("email", "aiko@example.test"), click("delete"), see("deleted"))
	c.keep("deleted")
	if refused := c.refused.all(); len(refused) > 0 {
		t.Errorf("the browser refused: %q", refused)
	}
}

// TestInChromiumWithoutJavaScript: every page works, the form_post page by its
// button.
func TestInChromiumWithoutJavaScript(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	_, err := chromedp.Call(c.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	if err != nil {
		t.Fatal(err)
	}
	c.run(c.ask("blog.web", "openid", "response_mode", "form_post"), see("signin-form"), typed("email", "aiko@example.test"), typed("password", password),
		click("submit"), see("allow"), click("allow"))
	c.run(see("continue"), click("continue"))
	c.wantCode("POST /blog/cb")
	c.run(chromedp.Navigate(c.issuer+"/account"), see("logout-confirm"), click("logout-confirm"), see("signed-out"))
}
