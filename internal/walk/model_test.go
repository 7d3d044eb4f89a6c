package walk_test

import (
	"slices"
	"time"
)

// The lives of things, written down a second time on purpose.
const (
	codeLife        = 60 * time.Second
	pageLife        = 30 * time.Minute
	pagesAtOnce     = 5
	sessionIdle     = time.Hour
	sessionAbsolute = 24 * time.Hour
	refreshIdle     = 14 * 24 * time.Hour
	refreshAbsolute = 90 * 24 * time.Hour
	refreshGrace    = 30 * time.Second
	userTokenLife   = 5 * time.Minute
	serviceLife     = 10 * time.Minute
)

// model is what there is, as far as answers depend on it.
type model struct {
	now      time.Time
	off      map[string]bool // optional declarations that the group is without
	sessions []*session
	grants   []*given
}

type person struct {
	account, email   string
	disabled, gone   bool
	failures         int // of sign-ins
	consents         map[string][]string
	subjectsBySector map[string]string // that were seen
}

func (p *person) active() bool { return !p.disabled && !p.gone }

type session struct {
	who                     *person
	authTime, seen, runsOut time.Time
	ended                   bool
}

// page is a request that waits at a form.
type page struct {
	client      string // empty for the account page
	scopes      []string
	login, none bool // prompt
	kind        string
	owner       int // the name of the browser it was made for
	expires     time.Time
	signedIn    *session // by a password that was given for this request
	shownTo     *session
	done        bool
	verifier    string
}

// browser has one cookie for itself and one for its session.
type browser struct {
	name    int
	session *session
	pages   []*page
}

// given is a grant.
type given struct {
	who     *person
	client  string
	session *session
	scopes  []string
	ended   bool
}

type code struct {
	grant    *given
	verifier string
	expires  time.Time
	used     bool
}

// family is a line of refresh tokens; the last of them is the newest.
type family struct {
	grant         *given
	tokens        []string
	previous      bool // the token before the newest may be repeated
	rotated       time.Time
	repeats       int
	expires, ends time.Time
}

type access struct {
	grant    *given // nil in service context
	client   string
	chain    []string // the clients it came through, the first one first
	audience []string
	scopes   []string
	expires  time.Time
	root     *access // nil for the first of a chain
	revoked  bool
}

// session is the living session of a browser, or nil.
func (m *model) session(b *browser) *session {
	s := b.session
	if s == nil || s.ended || !m.now.Before(s.runsOut) || !s.who.active() {
		return nil
	}
	return s
}

func (m *model) touch(s *session) {
	s.seen, s.runsOut = m.now, earlier(m.now.Add(sessionIdle), s.authTime.Add(sessionAbsolute))
}

func (m *model) end(which func(*given) bool) {
	for _, g := range m.grants {
		g.ended = g.ended || which(g)
	}
}

func (m *model) endSession(s *session) {
	s.ended = true
	m.end(func(g *given) bool { return g.session == s && !slices.Contains(g.scopes, "offline_access") })
}

// begin is an authorization request.
func (m *model) begin(b *browser, p *page) (string, *code) {
	if refusal := m.refusal(p); refusal != "" {
		return refusal, nil
	}
	next := m.next(b, p)
	if p.none && next != "code" {
		return map[string]string{"signin": "login_required", "consent": "consent_required"}[next], nil
	}
	if next != "code" {
		m.wait(b, p)
	}
	return m.proceed(b, p)
}

// wait keeps a request for later, one of the newest of its browser.
func (m *model) wait(b *browser, p *page) {
	p.owner, p.expires = b.name, m.now.Add(pageLife)
	b.pages = append(b.pages, p)
	waiting := 0
	for _, one := range slices.Backward(b.pages) {
		if one.owner == b.name && !one.done {
			waiting++
			one.done = waiting > pagesAtOnce
		}
	}
}

// refusal is what stands against a request whatever the person does.
func (m *model) refusal(p *page) string {
	if !m.declared(p.client) {
		return "shown 400"
	}
	for _, scope := range p.scopes {
		if !m.maySignInFor(p.client, scope) {
			return "invalid_scope"
		}
	}
	return ""
}

func (m *model) next(b *browser, p *page) string {
	s := m.session(b)
	switch {
	case s == nil || p.login && p.signedIn != s:
		return "signin"
	case clients[p.client].thirdParty && !hasAll(s.who.consents[p.client], p.scopes):
		return "consent"
	}
	return "code"
}

// proceed shows the next page, or makes the grant and its code.
func (m *model) proceed(b *browser, p *page) (string, *code) {
	if next := m.next(b, p); next != "code" {
		p.kind, p.shownTo = next, m.session(b)
		return next, nil
	}
	s := m.session(b)
	m.touch(s)
	p.done = true
	g := &given{who: s.who, client: p.client, session: s, scopes: p.scopes}
	m.grants = append(m.grants, g)
	return "code", &code{grant: g, expires: m.now.Add(codeLife)}
}

// open is what opening a page gives that cannot be shown any more, else "".
func (m *model) open(b *browser, p *page) string {
	if p.done || p.owner != b.name || !m.now.Before(p.expires) {
		return "shown 410"
	}
	return m.refusal(p)
}

// answer is a form that is sent: as somebody, with yes or no.
func (m *model) answer(b *browser, p *page, as *person, yes bool) (string, *code) {
	if refusal := m.open(b, p); refusal != "" {
		return refusal, nil
	}
	if p.kind == "consent" && m.session(b) != p.shownTo {
		return "shown 403", nil
	}
	switch next := m.next(b, p); {
	case next != p.kind: // another tab was faster
	case !yes:
		p.done = true
		return "access_denied", nil
	case next == "consent":
		who := m.session(b).who
		who.consents[p.client] = union(who.consents[p.client], p.scopes)
	case !as.active():
		as.failures++
		return "signin refused", nil
	default:
		m.signIn(b, as)
		p.signedIn = b.session
	}
	return m.proceed(b, p)
}

// signIn renews the session of the same person and ends that of another.
func (m *model) signIn(b *browser, as *person) {
	before := m.session(b)
	if before != nil && before.who != as {
		m.endSession(before)
	}
	if before == nil || before.who != as {
		b.session = &session{who: as}
		m.sessions = append(m.sessions, b.session)
	}
	b.session.authTime = m.now
	m.touch(b.session)
}

// signOut also gives the browser a new name.
func (m *model) signOut(b *browser) {
	m.endSession(b.session)
	b.session = nil
	b.name++
}

// withdraw is the account page, with the button of a client.
func (m *model) withdraw(b *browser, client string) string {
	s := m.session(b)
	if s == nil {
		m.wait(b, &page{})
		return "signin"
	}
	if m.now.Sub(s.seen) >= time.Minute {
		m.touch(s)
	}
	if s.who.consents[client] == nil {
		return "nothing"
	}
	delete(s.who.consents, client)
	m.end(func(g *given) bool { return g.who == s.who && g.client == client })
	return "withdrawn"
}

// endPerson is what happens to somebody who is disabled or deleted.
func (m *model) endPerson(p *person) {
	for _, s := range m.sessions {
		s.ended = s.ended || s.who == p
	}
	m.end(func(g *given) bool { return g.who == p })
}
