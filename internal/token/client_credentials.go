package token

import (
	"context"
	"slices"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// clientCredentials is the client credentials grant (RFC 6749 §4.4): a token in
// service context, for what the edges of the client's subsystem give to itself.
// It writes nothing to the database and reads nothing from it.
func (d *Door) clientCredentials(_ context.Context, c call) (answer, error) {
	for _, scope := range identityScopes {
		if c.scopes.Has(scope) {
			return answer{}, refuse(oauth.InvalidScope, "The scope %s is about a person; client credentials speak for the client alone.", scope)
		}
	}
	target, err := c.serviceTarget()
	if err != nil {
		return answer{}, err
	}
	issued, err := d.Mint.ServiceToken(mint.ServiceToken{
		Client: c.client, Audience: target.audience, Scopes: target.scopes, Opaque: target.opaque, Bound: c.bound,
	})
	if err != nil {
		return answer{}, err
	}
	return answer{
		response: oauth.TokenResponse{
			AccessToken: issued.Token,
			TokenType:   tokenType(c.bound),
			ExpiresIn:   issued.ExpiresIn(),
			Scope:       target.scopes,
		},
		record: audit.Record{
			Event: audit.TokenIssued, Outcome: audit.OK,
			Detail: map[string]any{
				"grant_type": string(c.grantType), "jti": issued.ID,
				"audience": target.audience, "scope": target.scopes,
			},
		},
	}, nil
}

// serviceTarget picks the resources of a token in service context: the named
// ones, or the one that the scopes belong to, or the only one there is.
func (c call) serviceTarget() (target, error) {
	if len(c.resources) > 0 {
		return c.namedServiceTarget()
	}
	var found []part
	for _, p := range c.serviceParts() {
		if len(c.scopes) == 0 {
			found = append(found, p)
		} else if p.scopes.HasAll(c.scopes) {
			found = append(found, part{resource: p.resource, scopes: c.scopes})
		}
	}
	switch {
	case len(found) == 1:
		return c.join(found)
	case len(found) > 1:
		return target{}, refuse(oauth.InvalidTarget, "%s may call several resources; say with the resource parameter which one this token is for.",
			c.client.Subsystem.Name)
	case len(c.scopes) == 0:
		return target{}, refuse(oauth.InvalidTarget, "No edge gives %s anything in service context; declare one under calls with a service list.",
			c.client.Subsystem.Name)
	default:
		return target{}, refuse(oauth.InvalidScope, "No edge from %s gives all of these scopes in service context at one resource: %s.",
			c.client.Subsystem.Name, word(c.scopes[0])+more(c.scopes))
	}
}

// namedServiceTarget is the target of the resources that the request names.
func (c call) namedServiceTarget() (target, error) {
	all := c.serviceParts()
	var parts []part
	for _, audience := range c.resources {
		i := slices.IndexFunc(all, func(p part) bool { return p.resource.Audience == audience })
		if i < 0 {
			return target{}, refuse(oauth.InvalidTarget, "No edge lets %s call %s in service context; declare one under calls with a service list.",
				c.client.Subsystem.Name, word(audience))
		}
		parts = append(parts, all[i])
	}
	if len(c.scopes) > 0 {
		if err := pick(parts, c.scopes, c.client.Subsystem); err != nil {
			return target{}, err
		}
	}
	return c.join(parts)
}

// serviceParts lists what the client may have in service context. The API of the
// server itself needs no edge, and is not meant by a client that names nothing
// while there is an edge.
func (c call) serviceParts() []part {
	var parts []part
	for _, edge := range c.group.EdgesFrom(c.client.Subsystem) {
		if len(edge.Service) > 0 {
			parts = append(parts, part{resource: edge.To.Resource, scopes: edge.Service})
		}
	}
	named := len(c.resources) > 0 || len(c.scopes) > 0
	if own := c.ownScopes(); len(own) > 0 && (named || len(parts) == 0) {
		parts = append(parts, part{resource: c.group.Self(), scopes: own})
	}
	return parts
}

// ownScopes lists the scopes of the server's own API that the client may have:
// a service converts subjects, a re-keyed relying party renews its own, a publisher hands in events, a receiver manages
// its streams.
func (c call) ownScopes() (own oauth.Scopes) {
	if c.group.MayConvert(c.client) {
		own = append(own, oauth.ScopeConvert)
	}
	if c.group.MayReissue(c.client) {
		own = append(own, oauth.ScopeReissue)
	}
	if c.group.MayPublish(c.client) {
		own = append(own, oauth.ScopePublish)
	}
	if c.group.MayReceive(c.client) {
		own = append(own, oauth.ScopeStreamRead, oauth.ScopeStreamManage)
	}
	return own
}

// pick narrows each part to the scopes asked for. Each scope must be given at
// one of them at least, and each of them must be left with one.
func pick(parts []part, asked oauth.Scopes, from *registry.Subsystem) error {
	for _, scope := range asked {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.scopes.Has(scope) }) {
			return refuse(oauth.InvalidScope, "No edge from %s gives the scope %s there in service context.", from.Name, word(scope))
		}
	}
	for i, p := range parts {
		var kept oauth.Scopes
		for _, scope := range asked {
			if p.scopes.Has(scope) {
				kept = append(kept, scope)
			}
		}
		if len(kept) == 0 {
			return refuse(oauth.InvalidScope, "None of the scopes asked for belongs to the resource %s.", word(p.resource.Audience))
		}
		parts[i].scopes = kept
	}
	return nil
}

// more says that there are others.
func more(scopes oauth.Scopes) string {
	if len(scopes) > 1 {
		return " and others"
	}
	return ""
}
