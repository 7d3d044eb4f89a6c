package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"github.com/sekisho-id/sekisho/oauth"
)

//go:embed templates/*.html
var templateFiles embed.FS

// pageNames are the pages there are; each is a file in templates.
var pageNames = []string{
	"signin", "verify", "signup", "consent", "logout", "signedout", "account", "security", "delete", "deleted", "recover", "choosepassword", "confirmemail", "connect", "error", "formpost",
}

// Pages renders every page a person sees, in each language, and keeps the
// cookies and form tokens that go with them.
type Pages struct {
	https       bool
	origin      string // of the issuer
	host        string // of the issuer, shown at the foot of a page
	group       func(language string) string
	theme       func() string
	key         []byte // makes form tokens
	crossOrigin *http.CrossOriginProtection
	assets      map[string]asset
	templates   map[string]map[string]*template.Template // language, page
}

// OpenPages loads the embedded pages. Key makes the form tokens; it is the same
// on every replica. Group names the group of companies in a language, for the
// head of each page; where it is empty the issuer's host stands there. Theme names the
// colours of pages that have none of their own, as in 2f5aa8-8db1f2; empty for the usual ones.
func OpenPages(issuer string, key []byte, group func(language string) string, theme func() string) (*Pages, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("issuer %q is no URL", issuer)
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, err
	}
	templates, err := loadTemplates(assets)
	if err != nil {
		return nil, err
	}
	return &Pages{
		https: u.Scheme == "https", origin: u.Scheme + "://" + u.Host, host: u.Host, group: group, theme: theme,
		key: key, crossOrigin: http.NewCrossOriginProtection(), assets: assets, templates: templates,
	}, nil
}

// loadTemplates parses each page with the layout once per language, so that the
// function t in them speaks that language.
func loadTemplates(assets map[string]asset) (map[string]map[string]*template.Template, error) {
	catalogs, err := loadCatalogs()
	if err != nil {
		return nil, err
	}
	templates := make(map[string]map[string]*template.Template, len(catalogs))
	for lang, texts := range catalogs {
		templates[lang] = make(map[string]*template.Template, len(pageNames))
		for _, name := range pageNames {
			page := template.New("layout.html").Funcs(template.FuncMap{
				"t":     texts.text,
				"say":   texts.message,
				"lang":  func() string { return lang },
				"asset": func(name string) string { return assets[name].url },
			})
			page, err = page.ParseFS(templateFiles, "templates/layout.html", "templates/"+name+".html")
			if err != nil {
				return nil, err
			}
			templates[lang][name] = page
		}
	}
	return templates, nil
}

// Page is one answer to a browser.
type Page struct {
	Name        string   // one of pageNames
	Status      int      // 200 where nothing is said
	UILocales   string   // languages the client asked for, before the browser's own
	FormTargets []string // redirect URIs whose origin a form's answer may lead to
	CSRF        string   // token of the page's forms
	Theme       string   // its colours; empty for those of the group
	Data        any      // what the page's template shows
}

// view is what a template sees.
type view struct {
	Group  string
	Theme  string
	Host   string
	CSRF   string
	Script template.JS
	Data   any
}

// Write renders the page. A page that cannot be rendered is answered as a
// server error, since nothing has been sent yet.
func (p *Pages) Write(w http.ResponseWriter, r *http.Request, page Page) {
	status := page.Status
	if status == 0 {
		status = http.StatusOK
	}
	body, err := p.render(r, page)
	if err != nil {
		WriteError(w, r, err)
		return
	}
	pageHeaders(w.Header(), page.FormTargets)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the browser is gone if this fails
}

func (p *Pages) render(r *http.Request, page Page) ([]byte, error) {
	lang := Language(r, page.UILocales)
	group := p.group(lang)
	if group == "" {
		group = p.host
	}
	var body bytes.Buffer
	err := p.templates[lang][page.Name].Execute(&body, view{
		Group: group, Theme: cmp.Or(page.Theme, p.theme()), Host: p.host, CSRF: page.CSRF, Script: submitScript, Data: page.Data,
	})
	if err != nil {
		return nil, fmt.Errorf("page %s: %w", page.Name, err)
	}
	return body.Bytes(), nil
}

// submitScript sends the form_post page on by itself. Without JavaScript the
// page shows a button.
const submitScript = "document.forms[0].submit()"

func submitScriptHash() string {
	sum := sha256.Sum256([]byte(submitScript))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// FormField is one field of a form_post answer.
type FormField struct{ Name, Value string }

type formPostView struct {
	Target template.URL
	Fields []FormField
}

// WriteFormPost carries fields to target in a form that sends itself (OAuth 2.0
// Form Post Response Mode §2). Target must have been compared with the client's
// registration: html/template would not let a native app's own scheme pass, so
// it is trusted here.
func (p *Pages) WriteFormPost(w http.ResponseWriter, r *http.Request, target string, fields []FormField) {
	body, err := p.render(r, Page{
		Name: "formpost",
		Data: formPostView{Target: template.URL(target), Fields: fields}, //nolint:gosec // compared byte by byte with the registered one
	})
	if err != nil {
		WriteError(w, r, err)
		return
	}
	formPostHeaders(w.Header(), submitScriptHash(), target)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the browser is gone if this fails
}

type errorView struct {
	Code        oauth.Code
	Description string
	Status      int
	ID          string
}

// WriteRefusal shows err as a page: code, one sentence and the correlation id,
// nothing of what went wrong inside.
func (p *Pages) WriteRefusal(w http.ResponseWriter, r *http.Request, err error) {
	refusal := Refusal(r.Context(), err)
	if refusal.Code == oauth.TemporarilyUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	status := refusal.HTTPStatus()
	if status == http.StatusUnauthorized {
		status = http.StatusBadRequest // a browser would look for a challenge it can answer
	}
	p.Write(w, r, Page{Name: "error", Status: status, Data: errorView{
		Code: refusal.Code, Description: refusal.Description, Status: status, ID: Event(r.Context()).ID,
	}})
}
