package registry

import (
	"fmt"
	"slices"

	"github.com/sekisho-id/sekisho/oauth"
)

const maxScope = 128

// reservedScopes are the authorization server's own.
var reservedScopes = serverResource().scopeNames()

func (r *Resource) scopeNames() []string { return sortedKeys(r.Scopes) }

func (c checker) checkResource(path string, resource *GroupResource) {
	if resource.Audience == "" {
		c.value(path+".audience", "is missing", "write the URI that names the API in tokens, as in https://api.shop.example")
	} else if what, hint := audienceFault(resource.Audience); what != "" {
		c.value(path+".audience", quote(resource.Audience)+" "+what, hint)
	}
	if resource.Profile != "" && !slices.Contains(profiles, string(resource.Profile)) {
		c.value(path+".profile", quote(string(resource.Profile))+" is not one of "+list(profiles, "and"), oneOfHint(string(resource.Profile), profiles))
	}
	if len(resource.Scopes) == 0 {
		c.value(path+".scopes", "a resource has at least one scope, since a call is allowed scope by scope", "write `scopes: { items.read: See items }`")
	}
	for _, scope := range sortedKeys(resource.Scopes) {
		at := below(path+".scopes", scope)
		switch {
		case slices.Contains(reservedScopes, scope):
			c.name(at, scope+" is a scope of the authorization server itself", "choose another name")
		case !oauth.ValidScope(scope):
			c.name(at, quote(scope)+" is no scope: spaces, quotes, backslashes and what is not ASCII cannot be in one (RFC 6749 §3.3)", "write it as in items.read")
		case len(scope) > maxScope:
			c.name(at, fmt.Sprintf("the scope has more than %d characters", maxScope), "choose a shorter name")
		}
		if resource.Scopes[scope] == (Text{}) {
			c.value(at, "says nothing", "write in a few words what it lets one do")
		}
		c.checkText(at, resource.Scopes[scope])
	}
	for _, name := range sortedKeys(resource.Details) {
		c.checkDetailType(below(path+".authorization_details", name), name, resource.Details[name], resource)
	}
}

// checkAudiences checks that an audience names one resource alone. A token for
// one would be good at the other else.
func (c checker) checkAudiences() {
	first := map[string]string{}
	for _, name := range sortedKeys(c.group.Subsystems) {
		s := c.group.Subsystems[name]
		if s == nil || s.Resource == nil || s.Resource.Audience == "" {
			continue
		}
		path := below("subsystems", name) + ".resource.audience"
		switch other, taken := first[s.Resource.Audience]; {
		case s.Resource.Audience == c.group.Issuer || s.Resource.Audience == c.group.Issuer+"/":
			c.value(path, "is the issuer, and that is the audience of the authorization server itself", "write the address of the API")
		case taken:
			c.value(path, "is the audience of "+other+" too", "give each resource its own")
		default:
			first[s.Resource.Audience] = name
		}
	}
}

// checkPins checks that the sectors named in the file are there: a wrong one
// would give every person of a renamed subsystem another identifier. On an
// empty database nobody has one yet.
func (g *Group) checkPins(old *Group, sectors map[string]Sector) error {
	if old == nil {
		return nil
	}
	r := newReport("", "")
	for _, name := range sortedKeys(g.Subsystems) {
		if sector := g.Subsystems[name].Sector; sector != "" && sectors[sector].ID == "" {
			r.value(below("subsystems", name)+".sector", "there has never been a sector "+sector+", so nobody has identifiers there to keep",
				didYouMean(sector, sortedKeys(sectors), "sectors"))
		}
	}
	return r.all()
}

// checkSectors checks that no two subsystems share a sector: they would see the
// same identifiers.
func (c checker) checkSectors() {
	first := map[string]string{}
	for _, name := range sortedKeys(c.group.Subsystems) {
		if s := c.group.Subsystems[name]; s != nil && s.Sector == "" {
			first[name] = name
		}
	}
	for _, name := range sortedKeys(c.group.Subsystems) {
		s := c.group.Subsystems[name]
		if s == nil || s.Sector == "" {
			continue
		}
		path := below("subsystems", name) + ".sector"
		c.checkName(path, s.Sector, "a sector")
		if other, taken := first[s.Sector]; taken {
			c.value(path, fmt.Sprintf("%s is the sector of %s, and the two would see the same identifiers", s.Sector, other),
				"name the subsystem as it was called before, or remove `sector:`")
		}
		first[s.Sector] = name
	}
}
