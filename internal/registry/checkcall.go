package registry

import (
	"fmt"
	"slices"
)

// callCheck is a call with all that its rules ask for. from and to are not nil.
type callCheck struct {
	checker
	*GroupCall
	path string
	from *GroupSubsystem
	to   *GroupSubsystem
}

func (c checker) checkCalls() {
	first := map[[2]string]int{}
	for i := range c.group.Calls {
		call := &c.group.Calls[i]
		path := fmt.Sprintf("calls[%d]", i)
		if c.isLost(path) {
			continue
		}
		pair := [2]string{call.From, call.To}
		if other, twice := first[pair]; twice && call.From != "" && call.To != "" {
			c.value(path, fmt.Sprintf("%s calls %s already, in calls[%d]", call.From, call.To, other), "bring the two together, so that all of an edge stands in one place")
			continue
		}
		first[pair] = i
		from, fromKnown := c.checkEnd(path+".from", call.From)
		to, toKnown := c.checkEnd(path+".to", call.To)
		if !fromKnown || !toKnown {
			continue
		}
		check := callCheck{checker: c, GroupCall: call, path: path, from: from, to: to}
		if check.checkEnds() {
			check.checkUser()
			check.checkService()
			check.checkOptions()
			check.checkReach()
		}
	}
}

// checkEnd finds the subsystem at one end of a call.
func (c checker) checkEnd(path, name string) (*GroupSubsystem, bool) {
	if name == "" {
		c.value(path, "is missing", "write the name of a subsystem")
		return nil, false
	}
	subsystem := c.group.Subsystems[name]
	if subsystem == nil {
		c.value(path, quote(name)+" is no subsystem", didYouMean(name, sortedKeys(c.group.Subsystems), "subsystems"))
		return nil, false
	}
	return subsystem, subsystem.Scenario.Valid()
}

// checkEnds checks that the call goes to a resource.
func (c callCheck) checkEnds() bool {
	switch {
	case c.From == c.To:
		c.value(c.path+".to", c.From+" needs no edge to itself", "remove the call")
		return false
	case c.to.Resource != nil && c.to.Scenario.AllowsResource():
		if len(c.User) == 0 && len(c.Service) == 0 {
			c.value(c.path, "allows nothing", "write `user: [...]` or `service: [...]`, or remove the call")
		}
		return true
	case c.to.Scenario.AllowsResource():
		if !c.isLost(below("subsystems", c.To) + ".resource") {
			c.value(c.path+".to", c.To+" has no resource, so there is nothing to call", "give it `resource:`, or remove the call")
		}
		return false
	default:
		c.value(c.path+".to", fmt.Sprintf("%s has no resource, since it is %s", c.To, c.to.Scenario.described()), "calls go to a service with a resource; there is "+list(c.resources(), "and"))
		return false
	}
}

// resources lists the subsystems that can be called.
func (c checker) resources() []string {
	var names []string
	for _, name := range sortedKeys(c.group.Subsystems) {
		if s := c.group.Subsystems[name]; s != nil && s.Resource != nil && s.Scenario.AllowsResource() {
			names = append(names, name)
		}
	}
	return names
}

// checkUser checks the scopes for a person.
func (c callCheck) checkUser() {
	seen := map[string]bool{}
	for i, user := range c.User {
		path := fmt.Sprintf("%s.user[%d]", c.path, i)
		scopePath := path
		if c.present(path + ".scope") {
			scopePath = path + ".scope"
		}
		c.checkScope(scopePath, user.Scope, seen)
		c.checkWhen(path+".when", user.When)
		switch {
		case len(user.When) == 0 && !c.from.signsIn() && !c.from.Scenario.AllowsExchange():
			c.value(path, fmt.Sprintf("%s signs nobody in, so it never has a token for a person", c.From), "give a client of it `redirect_uris:`, or write the scope under `service:`")
		case c.from.Scenario.AllowsExchange() && len(c.from.Clients) == 0:
			c.value(path, fmt.Sprintf("%s has no clients, so it cannot ask for a token", c.From), "give it a client")
		}
	}
}

// checkScope checks that a scope is one of the callee's.
func (c callCheck) checkScope(path, scope string, seen map[string]bool) {
	known := sortedKeys(c.to.Resource.Scopes)
	switch {
	case scope == "":
		c.value(path, "has no scope", "write a scope of "+c.To)
	case !slices.Contains(known, scope):
		c.value(path, fmt.Sprintf("%s is no scope of %s", quote(scope), c.To), didYouMean(scope, known, "scopes of "+c.To))
	case seen[scope]:
		c.value(path, scope+" is there twice", "remove one of them")
	}
	seen[scope] = true
}

// checkWhen checks a condition: scopes that the caller was called with, so they
// are scopes of its own resource.
func (c callCheck) checkWhen(path string, when []string) {
	if len(when) == 0 {
		if c.present(path) {
			c.value(path, "has no scope, so it is no condition", "remove `when:`, or name scopes of "+c.From)
		}
		return
	}
	if !c.from.Scenario.AllowsExchange() {
		c.value(path, fmt.Sprintf("`when` is about the token the caller was called with, and %s is never called: it is %s", c.From, c.from.Scenario.described()), "remove `when:`")
		return
	}
	if c.from.Resource == nil {
		if !c.isLost(below("subsystems", c.From) + ".resource") {
			c.value(path, fmt.Sprintf("`when` is about the token the caller was called with, and %s has no resource to be called at", c.From), "give it `resource:`, or remove `when:`")
		}
		return
	}
	known := sortedKeys(c.from.Resource.Scopes)
	for i, scope := range when {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case !slices.Contains(known, scope):
			c.value(at, fmt.Sprintf("%s is no scope of %s, whose token is exchanged", quote(scope), c.From), didYouMean(scope, known, "scopes of "+c.From))
		case slices.Contains(when[:i], scope):
			c.value(at, scope+" is there twice", "remove one of them")
		}
	}
}

// checkService checks the scopes for the caller itself.
func (c callCheck) checkService() {
	path := c.path + ".service"
	switch {
	case len(c.Service) == 0:
		return
	case !c.from.Scenario.AllowsClientCredentials():
		c.value(path, fmt.Sprintf("%s cannot call for itself, since it is %s", c.From, c.from.Scenario.described()), "write the scopes under `user:`, or let a backend or a service make the call")
		return
	case len(c.from.Clients) == 0 && !c.from.leftToRegister():
		c.value(path, fmt.Sprintf("%s has no clients, so it cannot ask for a token", c.From), "give it a client")
		return
	case !c.from.provesItself():
		c.value(path, fmt.Sprintf("%s has public clients only, and anyone could call in its name", c.From), "give it a client with `auth: private_key_jwt` or `client_secret_basic`")
	}
	seen := map[string]bool{}
	for i, scope := range c.Service {
		c.checkScope(fmt.Sprintf("%s[%d]", path, i), scope, seen)
	}
}

func (c callCheck) checkOptions() {
	if c.ThirdPartyChains && !c.from.Scenario.AllowsExchange() {
		c.value(c.path+".third_party_chains", fmt.Sprintf("chains go on by token exchange, which %s has not: it is %s", c.From, c.from.Scenario.described()), "remove it")
	}
	if c.ThirdPartyChains && len(c.User) == 0 {
		c.value(c.path+".third_party_chains", "chains are of a person's tokens, and the call has no `user:` scopes", "remove it")
	}
	if c.from.Scenario == ThirdParty && !c.RequireGrant && c.present(c.path+".require_grant") {
		c.value(c.path+".require_grant", fmt.Sprintf("identifiers in the sector of %s are converted only for people who have a grant there, since it is %s", c.From, c.from.Scenario.described()), "remove it")
	}
}
