package walk_test

import "slices"

// request is what a token request says beside code or token.
type request struct {
	client   string
	right    bool // PKCE verifier
	resource string
	scope    string
}

// redeem gives the access token and the first refresh token, or an error.
func (m *model) redeem(c *code, r request) (string, *access, *family) {
	if refusal := m.mayAsk(r.client, "authorization_code"); refusal != "" {
		return refusal, nil, nil
	}
	if c.grant.client != r.client || !r.right {
		return "invalid_grant", nil, nil // and the code is as good as before
	}
	if c.used {
		c.grant.ended = true
	}
	if c.used || c.grant.ended || !m.now.Before(c.expires) || !c.grant.who.active() {
		return "invalid_grant", nil, nil
	}
	token, refusal := m.target(c.grant, request{client: r.client, resource: r.resource})
	if refusal != "" {
		return refusal, nil, nil // the code may be tried again
	}
	c.used = true
	return "ok", token, &family{grant: c.grant, expires: m.now.Add(refreshIdle), ends: m.now.Add(refreshAbsolute)}
}

// refresh says beside the access token what becomes of the refresh token.
func (m *model) refresh(f *family, at int, r request) (string, *access) {
	if refusal := m.mayAsk(r.client, "refresh_token"); refusal != "" {
		return refusal, nil
	}
	if f.grant.client != r.client {
		f.grant.ended = true
	}
	if f.grant.ended || !f.grant.who.active() || !m.now.Before(f.expires) {
		return "invalid_grant", nil
	}
	newest := len(f.tokens) - 1
	repeat := at == newest-1 && f.previous && f.repeats < 2 && !m.now.After(f.rotated.Add(refreshGrace))
	if at != newest && !repeat {
		f.grant.ended = true
		return "invalid_grant", nil
	}
	token, refusal := m.target(f.grant, r)
	if refusal != "" {
		return refusal, nil
	}
	if repeat {
		f.repeats++
		return "repeated", token
	}
	f.expires = earlier(m.now.Add(refreshIdle), f.ends)
	if clients[r.client].secret != "" {
		return "kept", token
	}
	f.previous, f.rotated, f.repeats = true, m.now, 0
	return "rotated", token
}

// target is the access token that a grant gives today for what is asked.
func (m *model) target(g *given, r request) (*access, string) {
	granted := map[string][]string{}
	for _, scope := range g.scopes {
		if m.maySignInFor(g.client, scope) {
			granted[resourceOf[scope]] = append(granted[resourceOf[scope]], scope)
		}
	}
	asked := granted
	if r.scope != "" {
		if asked = nil; !slices.Contains(granted[resourceOf[r.scope]], r.scope) {
			return nil, "invalid_scope"
		}
		asked = map[string][]string{resourceOf[r.scope]: {r.scope}}
	}
	t := &access{grant: g, client: g.client, chain: []string{g.client}, expires: m.now.Add(userTokenLife)}
	add := func(resource string) {
		t.audience, t.scopes = append(t.audience, resource), append(t.scopes, asked[resource]...)
	}
	switch {
	case r.resource != "" && len(granted[r.resource]) == 0:
		return nil, "invalid_target"
	case r.resource != "" && len(asked[r.resource]) == 0:
		return nil, "invalid_scope"
	case r.resource != "":
		add(r.resource)
	case len(asked[goods]) > 0 && len(asked[pay]) > 0:
		return nil, "invalid_target"
	default:
		for _, api := range []string{goods, pay} {
			if len(asked[api]) > 0 {
				add(api)
			}
		}
		if slices.Contains(asked[issuer], "openid") || len(t.audience) == 0 && len(asked[issuer]) > 0 {
			add(issuer)
		}
	}
	if len(t.audience) == 0 {
		return nil, "invalid_grant"
	}
	return t, ""
}

// alive reports whether an access token is worth anything.
func (m *model) alive(t *access) bool {
	if t.grant != nil && (t.grant.ended || !t.grant.who.active()) {
		return false
	}
	return m.now.Before(t.expires) && m.declared(t.client) && !t.revoked && (t.root == nil || !t.root.revoked)
}

// exchange is a token for the resource of another service.
func (m *model) exchange(t *access, asker, to, scope string) (string, *access) {
	if refusal := m.mayAsk(asker, "exchange"); refusal != "" {
		return refusal, nil
	}
	own := clients[asker].resource
	if !m.alive(t) || t.grant == nil || !slices.Contains(t.audience, own) ||
		m.edge(t.client, asker) == nil || len(t.chain) >= 4 {
		return "invalid_request", nil
	}
	edge := m.edge(asker, serviceOf[to])
	if edge == nil || clients[t.chain[0]].thirdParty && !edge.chains {
		return "invalid_target", nil
	}
	passed := &access{
		grant: t.grant, client: asker, chain: append(slices.Clone(t.chain), asker), audience: []string{to},
		expires: earlier(m.now.Add(userTokenLife), t.expires), root: t.root,
	}
	if t.root == nil {
		passed.root = t
	}
	for given, needs := range edge.user {
		if (needs == "" || slices.Contains(t.scopes, needs)) && (scope == "" || scope == given) {
			passed.scopes = append(passed.scopes, given)
		}
	}
	if len(passed.scopes) == 0 {
		return "invalid_scope", nil
	}
	return "ok", passed
}

// service is a token in service context.
func (m *model) service(client string) (string, *access) {
	if refusal := m.mayAsk(client, "client_credentials"); refusal != "" {
		return refusal, nil
	}
	t := &access{client: client, chain: []string{client}, audience: []string{issuer}, scopes: []string{"subjects:convert"}, expires: m.now.Add(serviceLife)}
	if clients[client].resource == goods && m.edge(client, payBackend) != nil {
		t.audience, t.scopes = []string{pay}, []string{"charge"}
	}
	return "ok", t
}

// revoke takes back a client's own token: a chain by its first token.
func (m *model) revoke(t *access, client string) {
	if m.declared(client) && m.alive(t) && t.client == client {
		t.revoked = true
	}
}
