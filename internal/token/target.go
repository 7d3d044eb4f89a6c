package token

import (
	"maps"
	"slices"

	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// target is what one access token will be good for.
type target struct {
	audience oauth.Audience
	scopes   oauth.Scopes
	details  rar.Details
	opaque   bool
}

// part is one resource of a target, with the scopes that are given there.
type part struct {
	resource *registry.Resource
	scopes   oauth.Scopes
	details  rar.Details // that go with the scopes
}

// join makes one target of several resources. A token for several is refused
// where it would say more than was given: where a scope given at one of them
// is also the name of a scope of another that was not given there, the other
// could not tell.
func (c call) join(parts []part) (t target, err error) {
	for _, p := range parts {
		if err := c.checkStrength(p.resource); err != nil {
			return target{}, err
		}
		t.audience = append(t.audience, p.resource.Audience)
		for _, scope := range p.scopes {
			if !t.scopes.Has(scope) {
				t.scopes = append(t.scopes, scope)
			}
		}
	}
	for _, p := range parts {
		for _, scope := range t.scopes {
			if p.resource.HasScope(scope) && !p.scopes.Has(scope) {
				return target{}, refuse(oauth.InvalidTarget, "The scope %s means something at %s too, where it was not given; ask for one resource at a time.",
					word(scope), word(p.resource.Audience))
			}
		}
	}
	if t.details, err = joinDetails(parts); err != nil {
		return target{}, err
	}
	opaque, apis := 0, 0
	for _, p := range parts {
		if p.resource.Subsystem != nil {
			apis++
			if p.resource.Opaque {
				opaque++
			}
		}
	}
	if opaque != 0 && opaque != apis {
		return target{}, oauth.Refuse(oauth.InvalidTarget,
			"One of these resources takes opaque tokens only and another takes JWTs; ask for one resource at a time.")
	}
	t.opaque = opaque > 0
	return t, nil
}

// checkStrength refuses a token to a client that is not as strict as the resource
// asks, and one that is bound to no key where the edge demands it.
func (c call) checkStrength(resource *registry.Resource) error {
	if resource.Subsystem == nil {
		return nil
	}
	if !c.client.MayCall(resource) {
		return refuse(oauth.UnauthorizedClient, "Tokens for %s are given to clients of the profile %s only.", word(resource.Audience), resource.Profile)
	}
	edge, ok := c.group.Edge(c.client.Subsystem, resource.Subsystem)
	if ok && !edge.Bound || c.bound != nil {
		return nil
	}
	return refuse(oauth.InvalidRequest, "Tokens of %s for %s are given only bound to a key; send a DPoP proof with the request.",
		c.client.Subsystem.Name, word(resource.Audience))
}

// grantTarget picks what of a person's grant one access token is for.
//
// Named resources: exactly these, each of which the grant must cover. None
// named: the one API of the grant, and with it, if openid was granted, the
// server itself, so that userinfo opens. A grant of several APIs needs
// resource, since a token for all of them could be replayed from one to the
// other (RFC 8707 §2.2, RFC 9068 §5).
func (c call) grantTarget(granted map[string]oauth.Scopes, held rar.Details) (target, error) {
	wanted, err := narrow(granted, c.scopes)
	if err != nil {
		return target{}, err
	}
	if len(c.resources) > 0 {
		return c.namedTarget(granted, wanted, held)
	}
	self := c.group.Self()
	var parts []part
	for _, audience := range slices.Sorted(maps.Keys(wanted)) {
		if resource, ok := c.group.ResourceByAudience(audience); ok && resource != self {
			parts = append(parts, part{resource: resource, scopes: wanted[audience]})
		}
	}
	if len(parts) > 1 {
		return target{}, oauth.Refuse(oauth.InvalidTarget,
			"The grant covers several resources; say with the resource parameter which one this access token is for.")
	}
	if identity := wanted[self.Audience]; identity.Has(oauth.ScopeOpenID) || len(parts) == 0 && len(identity) > 0 {
		parts = append(parts, part{resource: self, scopes: identity})
	}
	if len(parts) == 0 {
		return target{}, oauth.Refuse(oauth.InvalidGrant,
			"Nothing of what was granted is allowed by the group any more; sign the person in again.")
	}
	return c.joinWithDetails(parts, held)
}

// namedTarget is the target of the resources that a request names.
func (c call) namedTarget(granted, wanted map[string]oauth.Scopes, held rar.Details) (target, error) {
	var parts []part
	for _, audience := range c.resources {
		if len(granted[audience]) == 0 {
			return target{}, refuse(oauth.InvalidTarget, "The resource %s is not part of this grant, or no edge from %s leads there any more.",
				word(audience), c.client.Subsystem.Name)
		}
		if len(wanted[audience]) == 0 {
			return target{}, refuse(oauth.InvalidScope, "None of the scopes asked for belongs to the resource %s.", word(audience))
		}
		resource, ok := c.group.ResourceByAudience(audience)
		if !ok {
			return target{}, refuse(oauth.InvalidTarget, "The resource %s is not declared any more.", word(audience))
		}
		parts = append(parts, part{resource: resource, scopes: wanted[audience]})
	}
	return c.joinWithDetails(parts, held)
}

// narrow keeps of what was granted the scopes that are asked for, all if none
// are. To ask for more than was granted is an error (RFC 6749 §6).
func narrow(granted map[string]oauth.Scopes, asked oauth.Scopes) (map[string]oauth.Scopes, error) {
	if asked == nil {
		return granted, nil
	}
	wanted := make(map[string]oauth.Scopes, len(granted))
	for _, scope := range asked {
		found := false
		for audience, scopes := range granted {
			if scopes.Has(scope) {
				wanted[audience] = append(wanted[audience], scope)
				found = true
			}
		}
		if !found {
			return nil, refuse(oauth.InvalidScope, "The scope %s was not granted, or is not allowed any more; ask for it in a new authorization request.", word(scope))
		}
	}
	return wanted, nil
}

// stillAllowed keeps of a grant what today's edges and identity scopes let the
// client have in the code flow. What the file took away since is gone from the
// next token on.
func stillAllowed(group *registry.Snapshot, client *registry.Client, granted map[string][]string) map[string]oauth.Scopes {
	allowed := make(map[string]oauth.Scopes, len(granted))
	for audience, scopes := range granted {
		resource, ok := group.ResourceByAudience(audience)
		if !ok {
			continue
		}
		for _, scope := range scopes {
			if maySignInFor(group, client, resource, scope) {
				allowed[audience] = append(allowed[audience], scope)
			}
		}
	}
	return allowed
}

// maySignInFor reports whether a client may have a scope of a resource for a
// person that it signs in.
func maySignInFor(group *registry.Snapshot, client *registry.Client, resource *registry.Resource, scope string) bool {
	if resource == group.Self() {
		return group.MaySignIn(client, scope)
	}
	edge, ok := group.Edge(client.Subsystem, resource.Subsystem)
	if !ok {
		return false
	}
	user, ok := edge.UserScope(scope)
	return ok && !user.ExchangeOnly()
}
