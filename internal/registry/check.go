package registry

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sekisho-id/sekisho/oauth"
)

// Limits of what people write.
const (
	maxName        = 40  // letters of a name
	maxDisplayName = 200 // runes of a text
)

// checker checks a group whose defaults are filled in.
type checker struct {
	*report
	group *Group
}

// Check checks the group, fills in its defaults and brings its lists in order.
// The error is Faults, all there are.
func (g *Group) Check() error {
	r := newReport("", "")
	g.check(r)
	return r.all()
}

// check adds the faults of the group to a report, and settles it where there
// are none.
func (g *Group) check(r *report) {
	g.settle()
	c := checker{report: r, group: g}
	c.checkIssuer()
	c.checkText("name", g.Name)
	if len(g.Subsystems) == 0 {
		c.value("subsystems", "a group has at least one subsystem", "write `subsystems:` and below it the name of each with its `scenario:`")
	}
	for _, name := range sortedKeys(g.Subsystems) {
		c.checkSubsystem(name)
	}
	c.checkProviders()
	c.checkSectors()
	c.checkAudiences()
	c.checkCalls()
	c.checkLegacy()
	c.checkEvents()
	c.checkNeverLink()
	if len(r.faults) == 0 {
		g.finish()
	}
}

func (c checker) checkIssuer() {
	if c.group.Issuer == "" {
		c.value("issuer", "is missing", "write `issuer: https://id.example.com`, the address people and clients reach this server at")
		return
	}
	c.checkTheme("theme", c.group.Theme)
	if what, hint := issuerFault(c.group.Issuer); what != "" {
		c.value("issuer", quote(c.group.Issuer)+" "+what, hint)
	}
}

func (c checker) checkSubsystem(name string) {
	path := below("subsystems", name)
	c.checkName(path, name, "a subsystem")
	if name == Platform {
		c.name(path, "is what the authorization server itself is called as a publisher of events", "choose another name")
	}
	subsystem := c.group.Subsystems[name]
	if subsystem == nil {
		c.lose(path, "has no value", "write its `scenario:`")
		return
	}
	c.checkText(path+".name", subsystem.Name)
	c.checkTheme(path+".theme", subsystem.Theme)
	c.checkIdentity(path, subsystem)
	if !c.checkScenario(path, name, subsystem) {
		return
	}
	if subsystem.Resource != nil {
		c.checkResource(path+".resource", subsystem.Resource)
	}
	for _, short := range sortedKeys(subsystem.Clients) {
		c.checkClient(name, short)
	}
}

// checkScenario checks that a subsystem has what its scenario allows.
func (c checker) checkScenario(path, name string, s *GroupSubsystem) bool {
	switch {
	case s.Scenario == "":
		c.value(path+".scenario", "is missing", "write `scenario: app`, `backend`, `service` or `third_party`")
		return false
	case !s.Scenario.Valid():
		c.value(path+".scenario", quote(string(s.Scenario))+" is no scenario", didYouMean(string(s.Scenario), scenarioNames(), "scenarios"))
		return false
	}
	if s.Resource != nil && !s.Scenario.AllowsResource() {
		c.lose(path+".resource", fmt.Sprintf("%s cannot have a resource, since it is %s", name, s.Scenario.described()),
			"make it `scenario: service`, or remove `resource:`")
	}
	if len(s.Clients) == 0 && s.Scenario != Service && !s.leftToRegister() {
		c.value(path+".clients", fmt.Sprintf("%s has no clients, and it is nothing else: %s is a relying party only", name, s.Scenario.phrase()),
			"write `clients:` and below it the name of each")
	}
	return true
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = string(s)
	}
	return names
}

// checkName checks a name of a subsystem or a client. It is part of a client
// id, which must never look like a pairwise subject: the dot and this alphabet
// see to it.
func (c checker) checkName(path, name, what string) {
	good := name != "" && len(name) <= maxName && isLower(rune(name[0]))
	for _, r := range name {
		good = good && (isLower(r) || isDigit(r) || r == '-')
	}
	if good {
		return
	}
	hint := fmt.Sprintf("begin with a small letter, then small letters, digits and hyphens, %d at most", maxName)
	if better := betterName(name); better != "" {
		hint += ": " + better
	}
	c.name(path, quote(name)+" cannot be the name of "+what, hint)
}

// betterName is a good name near a bad one, if there is one.
func betterName(name string) string {
	better := strings.Map(func(r rune) rune {
		switch r = unicode.ToLower(r); {
		case isLower(r) || isDigit(r):
			return r
		case r == '_' || r == '-' || r == '.' || r == ' ':
			return '-'
		default:
			return -1
		}
	}, name)
	if len(better) != len(name) || better == name || len(name) > maxName || !isLower(rune(better[0])) {
		return ""
	}
	return better
}

// checkText checks words that are shown to people.
func (c checker) checkText(path string, text Text) {
	c.checkWords(path, "en", text.En)
	c.checkWords(path, "ja", text.Ja)
}

func (c checker) checkWords(path, language, words string) {
	if long := below(path, language); c.present(long) {
		path = long
	}
	switch {
	case utf8.RuneCountInString(words) > maxDisplayName:
		c.value(path, fmt.Sprintf("has more than %d characters", maxDisplayName), "write fewer words")
	case strings.ContainsFunc(words, unseen):
		c.value(path, "has a character that is not seen", "write plain words on one line")
	}
}

// unseen reports whether a character is a control character or turns the
// direction of text, which could make a page say something else.
func unseen(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// identityScopes are what a subsystem's clients may ask for about a person.
var identityScopes = []string{oauth.ScopeProfile, oauth.ScopeEmail, oauth.ScopePhone, oauth.ScopeAddress}

func (c checker) checkIdentity(path string, s *GroupSubsystem) {
	seen := map[string]bool{}
	for i, scope := range s.Identity {
		at := fmt.Sprintf("%s.identity[%d]", path, i)
		switch {
		case scope == oauth.ScopeOpenID || scope == oauth.ScopeOfflineAccess:
			c.value(at, scope+" needs no mention: every client that signs people in may ask for it", "remove it")
		case !slices.Contains(identityScopes, scope):
			c.value(at, quote(scope)+" is no identity scope", didYouMean(scope, identityScopes, "identity scopes"))
		case seen[scope]:
			c.value(at, scope+" is there twice", "remove one of them")
		}
		seen[scope] = true
	}
	if len(s.Identity) > 0 && !s.signsIn() {
		c.value(path+".identity", "identity scopes are asked for at sign-in, and no client here signs people in", "give a client `redirect_uris:`, or remove `identity:`")
	}
}

// leftToRegister reports whether a subsystem declares no clients since its own
// people register them. What these will be is not known here.
func (s *GroupSubsystem) leftToRegister() bool {
	return len(s.Clients) == 0 && s.Scenario.AllowsRegistration()
}

// signsIn reports whether a client of the subsystem signs people in, or may.
func (s *GroupSubsystem) signsIn() bool {
	for _, client := range s.Clients {
		if client != nil && len(client.RedirectURIs) > 0 {
			return true
		}
	}
	return s.leftToRegister()
}

// provesItself reports whether a client of the subsystem is confidential, or may
// be.
func (s *GroupSubsystem) provesItself() bool {
	for _, client := range s.Clients {
		if client != nil && client.Auth != AuthNone {
			return true
		}
	}
	return s.leftToRegister()
}
