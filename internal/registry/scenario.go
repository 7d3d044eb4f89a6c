package registry

import "github.com/sekisho-id/sekisho/oauth"

// Scenario is the way a subsystem takes part in the group. It decides what is
// possible at all; edges decide what of that is allowed. The methods are the
// table of scenarios, each column one method.
type Scenario string

// The three scenarios of the group, and the one of outsiders.
const (
	App        Scenario = "app"         // first-party app or web site
	Backend    Scenario = "backend"     // outside the protected area, calls in
	Service    Scenario = "service"     // inside the protected area, calls and is called
	ThirdParty Scenario = "third_party" // of another company
)

// scenarios in the order in which they are explained.
var scenarios = []Scenario{App, Backend, Service, ThirdParty}

// Valid reports whether s is a scenario.
func (s Scenario) Valid() bool {
	return s == App || s == Backend || s == Service || s == ThirdParty
}

// AllowsCodeFlow reports whether clients may sign people in.
func (s Scenario) AllowsCodeFlow() bool { return s.Valid() }

// AllowsPublicClients reports whether clients without authentication may exist.
func (s Scenario) AllowsPublicClients() bool { return s == App || s == ThirdParty }

// AllowsClientCredentials reports whether clients may act for themselves.
func (s Scenario) AllowsClientCredentials() bool {
	return s == Backend || s == Service || s == ThirdParty
}

// AllowsExchange reports whether clients may exchange the token they were
// called with for one to call on.
func (s Scenario) AllowsExchange() bool { return s == Service }

// AllowsResource reports whether the subsystem may have an API of its own.
func (s Scenario) AllowsResource() bool { return s == Service }

// AllowsConversion reports whether the subsystem may convert pairwise subjects.
func (s Scenario) AllowsConversion() bool { return s == Service }

// AllowsRegistration reports whether clients may register themselves, with a
// token of the operator, instead of being declared.
func (s Scenario) AllowsRegistration() bool { return s == ThirdParty }

// NeedsConsent reports whether people are asked before the subsystem gets
// anything.
func (s Scenario) NeedsConsent() bool { return s == ThirdParty }

// FirstParty reports whether the subsystem belongs to the group.
func (s Scenario) FirstParty() bool { return s == App || s == Backend || s == Service }

// phrase is the scenario with its article.
func (s Scenario) phrase() string {
	if s == App {
		return "an app"
	}
	return "a " + string(s)
}

// described says what the scenario is, for sentences: "an app, a first-party
// app or web site".
func (s Scenario) described() string {
	switch s {
	case App:
		return "an app: a first-party app or web site that acts for the person using it"
	case Backend:
		return "a backend: it stands outside the protected area, calls in, and is never called with our tokens"
	case Service:
		return "a service: it stands inside the protected area, calls and is called"
	case ThirdParty:
		return "a third_party: another company's, never first-party"
	default:
		return "of an unknown scenario"
	}
}

// allows reports whether the scenario knows the grant type at all.
func (s Scenario) allows(grant oauth.GrantType) bool {
	switch grant {
	case oauth.GrantAuthorizationCode, oauth.GrantRefreshToken:
		return s.AllowsCodeFlow()
	case oauth.GrantClientCredentials:
		return s.AllowsClientCredentials()
	case oauth.GrantTokenExchange:
		return s.AllowsExchange()
	default:
		return false
	}
}
