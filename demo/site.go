package demo

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

//go:embed page
var pageFiles embed.FS

// templates are parsed once for the page and the sites.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"short": short, "life": life,
}).ParseFS(pageFiles, "page/*.html"))

// short keeps what is enough to tell ids apart by eye.
func short(id string) string {
	if len(id) <= 16 || strings.Contains(id, ".") {
		return id
	}
	return id[:8] + "…"
}

func life(seconds int64) string {
	if seconds%60 == 0 {
		return fmt.Sprintf("lives %d min", seconds/60)
	}
	return fmt.Sprintf("lives %d min %d s", seconds/60, seconds%60)
}

// site is what the small web sites of market-app, crypto and partner share: how
// they write a page, go back, and keep a browser's session. Each system has
// its own.
type site struct {
	party   string
	title   string
	tagline string
	issuer  string
	pageURL string // the page of the example, where forms may ask to go back to
	trace   *Trace
	logger  *slog.Logger
	spans   trace.TracerProvider // nil: none
}

// sitePage is one page of a site.
type sitePage struct {
	Party, Title, Tagline, PageURL string

	GoOn    string // where the browser shall go next, by itself
	Notice  string
	Person  *Person
	Items   []Item
	Actions []siteAction
}

type siteAction struct {
	Method, Path, Title string
	Fields              []siteField
}

type siteField struct{ Name, Label, Type, Autocomplete string }

// person says how this site knows whom it serves.
func (s *site) person(subject, internal string) Person {
	return Person{System: s.party, Role: "the person", Subject: subject, Sector: s.party, Internal: internal}
}

func (s *site) show(w http.ResponseWriter, status int, page sitePage) {
	page.Party, page.Title, page.Tagline, page.PageURL = s.party, s.title, s.tagline, s.pageURL
	writePage(w, s.logger, status, "site.html", page)
}

func writePage(w http.ResponseWriter, logger *slog.Logger, status int, name string, data any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		logger.Error("page not made", "page", name, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(body.Bytes()); err != nil {
		logger.Debug("page not sent", "page", name, "error", err)
	}
}

// fail shows what went wrong, with the words of whoever refused.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.logger.Info("refused", "site", s.party, "path", r.URL.Path, "error", err)
	s.done(w, r, "That was refused. "+err.Error())
}

// done ends what a form started: back to the page of the example where the
// form came from there, else a page of this site that says how it went.
func (s *site) done(w http.ResponseWriter, r *http.Request, notice string) {
	if fromPage(r) {
		http.Redirect(w, r, s.pageURL, http.StatusSeeOther)
		return
	}
	s.show(w, http.StatusOK, sitePage{Notice: notice, Actions: []siteAction{{Method: http.MethodGet, Title: "Go on"}}})
}

// fromPage reports whether a form or link of the example's page asked to come
// back to it. Where to is fixed, so nobody can be sent elsewhere.
func fromPage(r *http.Request) bool { return r.FormValue("back") == "page" }

// returnTo is the path of this site to come back to after signing in.
func returnTo(r *http.Request) string {
	if fromPage(r) {
		return "/?back=page"
	}
	return "/"
}

// goOn ends a sign-in. It answers with a page that goes on by itself instead of
// a redirect: browsers hold the sign-in form of the authorization server to
// account for every redirect that follows its post (CSP form-action).
func (s *site) goOn(w http.ResponseWriter, path string) {
	next := "/"
	if parsed, err := url.Parse(path); err == nil && parsed.Query().Get("back") == "page" {
		next = s.pageURL
	}
	s.show(w, http.StatusOK, sitePage{Notice: "Signed in.", GoOn: next})
}

// handler adds what every site has: its style sheet, headers, and refusal of
// forms from other origins than itself and the example's page.
func (s *site) handler(routes map[string]http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.Handle(pattern, s.traced(handler))
	}
	mux.Handle("GET /demo.css", asset("demo.css"))
	protection := http.NewCrossOriginProtection()
	if err := protection.AddTrustedOrigin(s.pageURL); err != nil {
		return nil, fmt.Errorf("trust the page of the example: %w", err)
	}
	return secured(contentPolicy("", s.issuer, s.pageURL), protection.Handler(mux)), nil
}

func asset(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "page/"+name)
	})
}

// contentPolicy allows own styles, what more says, and forms that lead to the
// given origins: Chromium holds a form to account for the redirects after it.
func contentPolicy(more string, formTargets ...string) string {
	return "default-src 'none'; style-src 'self'; " + more + "form-action 'self' " + strings.Join(formTargets, " ") +
		"; base-uri 'none'; frame-ancestors 'none'"
}

// secured sets the headers every page has. The referrer policy keeps the Origin
// header on forms from one site to another.
func secured(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "strict-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// sessions are the browsers signed in to one site, in memory: whoever restarts
// the example signs in again.
type sessions[T any] struct {
	cookie string // each site its own name: browsers do not tell ports apart

	mu   sync.Mutex
	held map[string]T
}

func newSessions[T any](cookie string) *sessions[T] {
	return &sessions[T]{cookie: cookie, held: map[string]T{}}
}

// start gives the browser a new session, also where it had one (the id of a
// session from before a sign-in is never kept).
func (s *sessions[T]) start(w http.ResponseWriter, r *http.Request, value T) {
	s.end(w, r)
	id := rand.Text()
	s.mu.Lock()
	s.held[id] = value
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: s.cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (s *sessions[T]) load(r *http.Request) (value T, ok bool) {
	cookie, err := r.Cookie(s.cookie)
	if err != nil {
		return value, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok = s.held[cookie.Value]
	return value, ok
}

// find looks for a session that matches, whosever browser it is.
func (s *sessions[T]) find(match func(T) bool) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, held := range s.held {
		if match(held) {
			return held, true
		}
	}
	return value, false
}

func (s *sessions[T]) end(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(s.cookie)
	if err != nil {
		return
	}
	s.mu.Lock()
	delete(s.held, cookie.Value)
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: s.cookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}
