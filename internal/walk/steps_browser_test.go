package walk_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// begin sends an authorization request.
func (w *walk) begin(context.Context) *told {
	b, name := w.someBrowser(), clientNames[w.rand.IntN(3)]
	p := &page{client: name, login: w.chance(1, 8), none: w.chance(1, 8)}
	p.none = p.none && !p.login
	for i, scope := range clients[name].asks {
		if i == 0 && w.chance(9, 10) || i > 0 && w.chance(2, 3) {
			p.scopes = append(p.scopes, scope)
		}
	}
	if w.chance(1, 3) {
		p.scopes = append(p.scopes, "offline_access")
	}
	if len(p.scopes) == 0 {
		p.scopes = []string{"openid"}
	}
	verifier := fmt.Sprintf("%032x%016x", w.rand.Uint64(), w.rand.Uint64())
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {name}, "redirect_uri": {clients[name].redirect}, "response_type": {"code"},
		"scope": {strings.Join(p.scopes, " ")}, "state": {"st"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if p.login {
		query.Set("prompt", "login")
	}
	if p.none {
		query.Set("prompt", "none")
	}
	want, made := w.model.begin(b, p)
	got := w.windows[b].visit(http.MethodGet, "/oauth2/authorize?"+query.Encode(), nil)
	p.verifier = verifier
	w.took(b, p, got, made)
	return &told{fmt.Sprintf("begin %s %q login=%t none=%t", name, query.Get("scope"), p.login, p.none), want, got.verdict}
}

// took keeps the page that is shown now, or the code that came.
func (w *walk) took(b *browser, p *page, got view, made *code) {
	if got.action != "" {
		w.forms[p] = got
	}
	if made != nil {
		made.verifier = p.verifier
		w.codes = append(w.codes, made)
		w.texts[made] = w.windows[b].code
	}
}

func (w *walk) somePage() (*browser, *page) {
	b := w.someBrowser()
	pages := slices.DeleteFunc(slices.Clone(b.pages), func(p *page) bool { return p.client == "" })
	return b, living(w, pages, func(p *page) bool { return w.model.open(b, p) == "" })
}

// answer sends the form of a page that a browser has open.
func (w *walk) answer(context.Context) *told {
	b, p := w.somePage()
	as, yes := w.someone(), w.chance(9, 10)
	if p == nil || as.failures >= 4 { // after the fifth failure it is the throttle that answers
		return nil
	}
	what := fmt.Sprintf("answer %s of %s as %s, yes=%t", p.kind, p.client, as.email, yes)
	form := url.Values{"csrf": w.forms[p].fields["csrf"]}
	switch {
	case p.kind == "consent":
		form.Set("decision", map[bool]string{true: "allow", false: "deny"}[yes])
	case yes:
		form.Set("email", as.email)
		form.Set("password", password)
	default:
		form.Set("cancel", "yes")
	}
	got := w.windows[b].visit(http.MethodPost, w.forms[p].action, form)
	want, made := w.model.answer(b, p, as, yes)
	w.took(b, p, got, made)
	return &told{what, want, got.verdict}
}

// reload opens a page again.
func (w *walk) reload(context.Context) *told {
	b, p := w.somePage()
	if p == nil {
		return nil
	}
	got := w.windows[b].visit(http.MethodGet, w.forms[p].action, nil)
	want, made := w.model.open(b, p), (*code)(nil)
	if want == "" {
		want, made = w.model.proceed(b, p)
	}
	w.took(b, p, got, made)
	return &told{"reload " + p.client, want, got.verdict}
}

// signOut leads a browser to the logout page, sometimes with an ID token.
func (w *walk) signOut(context.Context) *told {
	b := w.someBrowser()
	path, want := "/oauth2/logout", "logout shown 200"
	s := w.model.session(b)
	if s == nil {
		want = "shown 200"
	}
	if len(w.hints) > 0 && w.chance(1, 2) {
		h := one(w, w.hints)
		if w.model.now.Sub(h.made) < 24*time.Hour { // its key may be gone after that
			path += "?id_token_hint=" + h.text
			if s != nil && h.of.session == s && w.model.declared(h.of.client) {
				want = "shown 200"
			}
		}
	}
	got := w.windows[b].visit(http.MethodGet, path, nil)
	verdict := got.verdict
	if verdict == "logout" {
		verdict += " " + w.windows[b].visit(http.MethodPost, got.action, got.fields).verdict
	}
	if s != nil {
		w.model.signOut(b)
	}
	return &told{"sign out, " + path, want, verdict}
}

// withdraw takes back a consent on the account page.
func (w *walk) withdraw(context.Context) *told {
	b := w.someBrowser()
	got := w.windows[b].visit(http.MethodGet, "/account", nil)
	switch {
	case got.verdict == "account" && got.action == "":
		got.verdict = "nothing"
	case got.verdict == "account":
		if after := w.windows[b].visit(http.MethodPost, got.action, got.fields); after.verdict == "account" && after.action == "" {
			got.verdict = "withdrawn"
		}
	}
	return &told{"withdraw", w.model.withdraw(b, "blog.spa"), got.verdict}
}
