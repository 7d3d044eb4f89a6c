package signin

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// scopePolicy says what a client may be granted of the scopes it asks for, per
// resource. A scope that no resource of the group has is left out, and the token
// answer tells by its scope (RFC 6749 §3.3). A scope that exists but is not
// declared for this client is refused: somebody expects it to work.
//
// Authorization details (RFC 9396) ask for the scope that they detail, and such a scope
// is given with details alone.
//
// It is asked when the request comes in and again before the code is made, since
// the group may have changed between.
type scopePolicy struct {
	group     *registry.Snapshot
	client    *registry.Client
	resources []*registry.Resource // named by the resource parameter; empty for any
}

func (p scopePolicy) resolve(scopes, resources []string, details rar.Details) (grant.Scopes, *oauth.Error) {
	for _, audience := range resources {
		resource, refusal := p.target(audience)
		if refusal != nil {
			return nil, refusal
		}
		p.resources = append(p.resources, resource)
	}
	granted := grant.Scopes{}
	for _, scope := range scopes {
		holders, refusal := p.holders(scope)
		if refusal != nil {
			return nil, refusal
		}
		for _, holder := range holders {
			granted[holder.Audience] = append(granted[holder.Audience], scope)
		}
	}
	if refusal := p.addDetails(granted, details); refusal != nil {
		return nil, refusal
	}
	for _, resource := range p.resources {
		if len(granted[resource.Audience]) == 0 {
			return nil, oauth.Refuse(oauth.InvalidScope, "No scope of the resource "+web.Plain(resource.Audience)+" is asked for. Add one to the scope parameter.")
		}
	}
	if len(granted) == 0 {
		return nil, oauth.Refuse(oauth.InvalidScope, "None of the scopes asked for exists in this group.")
	}
	return granted, nil
}

// target finds the resource that a resource parameter names (RFC 8707 §2).
func (p scopePolicy) target(audience string) (*registry.Resource, *oauth.Error) {
	u, err := url.Parse(audience)
	if err != nil || !u.IsAbs() || strings.Contains(audience, "#") {
		return nil, oauth.Refuse(oauth.InvalidTarget, "A resource must be an absolute URI without a fragment.")
	}
	resource, ok := p.group.ResourceByAudience(audience)
	if !ok {
		return nil, oauth.Refuse(oauth.InvalidTarget, "The resource "+web.Plain(audience)+" is not known in this group.")
	}
	if resource.Subsystem == nil {
		return resource, nil // the authorization server itself
	}
	if edge, ok := p.group.Edge(p.client.Subsystem, resource.Subsystem); !ok || len(edge.User) == 0 {
		return nil, oauth.Refuse(oauth.InvalidTarget, "There is no edge from "+p.client.Subsystem.Name+" to "+
			resource.Subsystem.Name+" for people. Declare the call in the group file.")
	}
	return resource, nil
}

// holders are the resources at which the client gets a scope; none when the
// group does not know the scope.
func (p scopePolicy) holders(scope string) ([]*registry.Resource, *oauth.Error) {
	known := p.group.ResourcesWithScope(scope)
	if len(known) == 0 {
		return nil, nil
	}
	var holders []*registry.Resource
	var refusal *oauth.Error
	for _, resource := range known {
		why := p.refuse(resource, scope)
		if why == nil {
			holders = append(holders, resource)
		} else if refusal == nil {
			refusal = why
		}
	}
	if len(holders) == 0 {
		return nil, refusal
	}
	return holders, nil
}

// refuse says why the client does not get a scope of a resource, or nil.
func (p scopePolicy) refuse(resource *registry.Resource, scope string) *oauth.Error {
	if resource.Subsystem == nil {
		return p.refuseIdentity(scope)
	}
	from, to := p.client.Subsystem, resource.Subsystem
	edge, ok := p.group.Edge(from, to)
	if !ok {
		return oauth.Refuse(oauth.InvalidScope, "The scope "+scope+" needs an edge from "+from.Name+" to "+to.Name+", and there is none.")
	}
	declared, ok := edge.UserScope(scope)
	switch {
	case !ok:
		return oauth.Refuse(oauth.InvalidScope, "The edge from "+from.Name+" to "+to.Name+" does not list the scope "+scope+" for people.")
	case declared.ExchangeOnly():
		return oauth.Refuse(oauth.InvalidScope, "The edge from "+from.Name+" to "+to.Name+" gives the scope "+scope+" in exchange for a token only.")
	case len(p.resources) > 0 && !slices.Contains(p.resources, resource):
		return oauth.Refuse(oauth.InvalidScope, "The scope "+scope+" belongs to no resource that the resource parameter names.")
	}
	return nil
}

// serviceScopes are the scopes of the authorization server's own API.
var serviceScopes = []string{oauth.ScopeConvert, oauth.ScopeReissue, oauth.ScopePublish, oauth.ScopeStreamRead, oauth.ScopeStreamManage}

// refuseIdentity is refuse for the authorization server's own scopes.
func (p scopePolicy) refuseIdentity(scope string) *oauth.Error {
	switch {
	case slices.Contains(serviceScopes, scope):
		return oauth.Refuse(oauth.InvalidScope, "The scope "+scope+" is for a client itself, not for people. Ask for it with client credentials.")
	case !p.group.MaySignIn(p.client, scope):
		return oauth.Refuse(oauth.InvalidScope, "The scope "+scope+" is not among the identity scopes declared for "+p.client.Subsystem.Name+".")
	}
	return nil
}
