package walk_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// redeem sends a code to the token endpoint: rightly, once more, as another
// client, or with another verifier.
func (w *walk) redeem(context.Context) *told {
	c := living(w, w.codes, func(c *code) bool { return !c.used && w.model.now.Before(c.expires) })
	if c == nil {
		return nil
	}
	r := request{client: w.clientFor(c.grant.client), right: w.chance(9, 10), resource: w.someResource()}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {w.texts[c]},
		"redirect_uri": {clients[c.grant.client].redirect}, "code_verifier": {c.verifier},
	}
	if !r.right {
		form.Set("code_verifier", strings.Repeat("x", 43))
	}
	if r.resource != "" {
		form.Set("resource", r.resource)
	}
	got := w.server.ask("/oauth2/token", r.client, form)
	want, token, f := w.model.redeem(c, r)
	if f != nil {
		f.tokens = []string{got.text("refresh_token")}
		w.families = append(w.families, f)
	}
	return w.issued(fmt.Sprintf("redeem %d %+v", slices.Index(w.codes, c), r), want, token, got)
}

func (w *walk) someResource() string {
	return []string{"", "", "", goods, goods, goods, pay, issuer}[w.rand.IntN(8)]
}

// refresh sends a refresh token, mostly the newest of its family.
func (w *walk) refresh(context.Context) *told {
	f := w.family()
	if f == nil {
		return nil
	}
	at := len(f.tokens) - 1
	if w.chance(1, 3) {
		at = max(0, at-1-w.rand.IntN(2))
	}
	r := request{client: w.clientFor(f.grant.client), resource: w.someResource()}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.tokens[at]}}
	if w.chance(1, 5) {
		r.scope = one(w, clients["shop.web"].asks)
		form.Set("scope", r.scope)
	}
	if r.resource != "" {
		form.Set("resource", r.resource)
	}
	what := fmt.Sprintf("refresh family %d, %d of %d, %+v", slices.Index(w.families, f), at, len(f.tokens), r)
	got := w.server.ask("/oauth2/token", r.client, form)
	want, token := w.model.refresh(f, at, r)
	if got.verdict == "ok" {
		text := got.text("refresh_token")
		switch slices.Index(f.tokens, text) {
		case at:
			got.verdict = "kept"
		case at + 1:
			got.verdict = "repeated"
		case -1:
			got.verdict = "rotated"
			f.tokens = append(f.tokens, text)
		}
	}
	return w.issued(what, want, token, got)
}

// exchange sends an access token as if by a service that was called with it.
func (w *walk) exchange(context.Context) *told {
	t := living(w, w.tokens, func(t *access) bool {
		return w.model.alive(t) && t.grant != nil && t.audience[0] != issuer
	})
	if t == nil {
		return nil
	}
	asker := w.clientFor(serviceOf[t.audience[0]])
	if asker == "" {
		asker = "goods.backend"
	}
	to, scope := []string{goods, pay, pay}[w.rand.IntN(3)], ""
	if asker == payBackend && w.chance(3, 4) {
		to = goods
	}
	if w.chance(1, 6) {
		scope = []string{"read", "charge", "view"}[w.rand.IntN(3)]
	}
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "resource": {to},
		"subject_token": {w.bearer[t]}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	if scope != "" {
		form.Set("scope", scope)
	}
	got := w.server.ask("/oauth2/token", asker, form)
	want, token := w.model.exchange(t, asker, to, scope)
	return w.issued(fmt.Sprintf("exchange %d as %s for %s %s", slices.Index(w.tokens, t), asker, to, scope), want, token, got)
}

// service asks for a token in service context.
func (w *walk) service(context.Context) *told {
	name := one(w, clientNames)
	got := w.server.ask("/oauth2/token", name, url.Values{"grant_type": {"client_credentials"}})
	want, token := w.model.service(name)
	return w.issued("service token of "+name, want, token, got)
}

// introspect asks as a service what a token means to it.
func (w *walk) introspect(context.Context) *told {
	t := w.token()
	if t == nil {
		return nil
	}
	asker := w.clientFor(serviceOf[t.audience[0]])
	if asker == "" {
		asker = payBackend
	}
	what := fmt.Sprintf("introspect %d as %s", slices.Index(w.tokens, t), asker)
	got := w.server.ask("/oauth2/introspect", asker, url.Values{"token": {w.bearer[t]}})
	own := clients[asker].resource
	want, active := "ok inactive", w.model.alive(t) && own != "" && slices.Contains(t.audience, own)
	switch {
	case !w.model.declared(asker) || clients[asker].secret == "":
		want = "invalid_client"
	case active && t.grant == nil:
		want = "ok active sub=" + t.client
	case active:
		want = "ok active sub=" + t.grant.who.email + " sub=" + t.grant.who.email
	}
	if active && want != "invalid_client" {
		scopes := slices.DeleteFunc(slices.Clone(t.scopes), func(s string) bool { return resourceOf[s] != own })
		want += " scope=" + sorted(strings.Join(scopes, " "))
	}
	switch {
	case got.verdict != "ok":
	case got.body["active"] != true:
		got.verdict += " inactive"
		if len(got.body) != 1 {
			got.verdict += ", and more is said"
		}
	default:
		got.verdict += " active" + (&claims{Subject: got.text("sub")}).person(w, t)
		if t.grant != nil {
			got.verdict += w.subject(clients[asker].subsystem, got.text("resource_sub"), t.grant.who)
		}
		got.verdict += " scope=" + sorted(got.text("scope"))
	}
	return &told{what, want, got.verdict}
}

// userinfo asks who a token is about.
func (w *walk) userinfo(context.Context) *told {
	t := w.token()
	if t == nil {
		return nil
	}
	got := w.server.userinfo(w.bearer[t])
	want := "invalid_token"
	switch {
	case !w.model.alive(t):
	case t.grant == nil:
		want = "insufficient_scope"
	case !slices.Contains(t.audience, issuer):
	case !slices.Contains(t.scopes, "openid"):
		want = "insufficient_scope"
	default:
		want = "ok" + w.whose(t)
	}
	if got.verdict == "ok" {
		got.verdict += (&claims{Subject: got.text("sub")}).person(w, t)
	}
	return &told{fmt.Sprintf("userinfo %d", slices.Index(w.tokens, t)), want, got.verdict}
}

// revoke takes back an access token or a refresh token.
func (w *walk) revoke(context.Context) *told {
	var text, what, as string
	var effect func()
	if f := w.family(); f != nil && w.chance(1, 3) {
		as = w.clientFor(f.grant.client)
		text, what = one(w, f.tokens), fmt.Sprintf("revoke a token of family %d as %s", slices.Index(w.families, f), as)
		effect = func() { f.grant.ended = f.grant.ended || f.grant.client == as && w.model.declared(as) }
	} else {
		t := w.token()
		if t == nil {
			return nil
		}
		as = w.clientFor(t.client)
		text, what = w.bearer[t], fmt.Sprintf("revoke %d as %s", slices.Index(w.tokens, t), as)
		effect = func() { w.model.revoke(t, as) }
	}
	got := w.server.ask("/oauth2/revoke", as, url.Values{"token": {text}})
	effect()
	want := "ok"
	if !w.model.declared(as) {
		want = "invalid_client"
	}
	return &told{what, want, got.verdict}
}
