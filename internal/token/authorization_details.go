package token

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// joinWithDetails makes one target of several resources, each with those of the held
// authorization details that are for it (RFC 9396 §6, §7): all of them, or those that
// the request narrows them to.
func (c call) joinWithDetails(parts []part, held rar.Details) (target, error) {
	wanted, err := c.wantedDetails(held)
	if err != nil {
		return target{}, err
	}
	taken := make([]bool, len(wanted))
	for i := range parts {
		if err := c.takeDetails(&parts[i], wanted, held, taken); err != nil {
			return target{}, err
		}
	}
	if c.details != "" {
		if i := slices.Index(taken, false); i >= 0 {
			return target{}, refuse(oauth.InvalidAuthorizationDetails,
				"Element %d of the authorization_details asks for more than was allowed, or for nothing that this token could be good for.", i+1)
		}
	}
	return c.join(parts)
}

// wantedDetails are the details that a request asks for; those that are held if it
// asks for none.
func (c call) wantedDetails(held rar.Details) (rar.Details, error) {
	if c.details == "" {
		return held, nil
	}
	wanted, err := rar.Parse(c.details)
	if err != nil {
		return nil, refuse(oauth.InvalidAuthorizationDetails, "The authorization_details are refused: %s.", web.Plain(err.Error()))
	}
	return wanted, nil
}

// takeDetails gives a part the details that are for its resource, and takes from it
// the scopes that are given with details alone and have none.
func (c call) takeDetails(p *part, wanted, held rar.Details, taken []bool) error {
	for i, detail := range wanted {
		kind, ok := p.resource.DetailType(detail.Type)
		if !ok || !p.scopes.Has(kind.Scope) || !detail.For(p.resource.Audience) ||
			!slices.ContainsFunc(held, func(of rar.Detail) bool { return kind.Within(detail, of) }) {
			continue
		}
		if err := kind.Check(detail); err != nil {
			return refuse(oauth.InvalidAuthorizationDetails, "The authorization detail %s is not as %s declares the type: %s.",
				word(detail.Type), word(p.resource.Audience), web.Plain(err.Error()))
		}
		p.details, taken[i] = append(p.details, detail), true
	}
	var kept oauth.Scopes
	for _, scope := range p.scopes {
		types := p.resource.Detailed(scope)
		if len(types) == 0 || slices.ContainsFunc(p.details, func(d rar.Detail) bool { return slices.Contains(types, d.Type) }) {
			kept = append(kept, scope)
		} else if c.scopes.Has(scope) || len(p.scopes) == 1 {
			return refuse(oauth.InvalidAuthorizationDetails, "The scope %s of %s is given together with authorization_details alone, of the type %s, and none were allowed or asked for.",
				word(scope), word(p.resource.Audience), strings.Join(types, " or "))
		}
	}
	if len(kept) == 0 && len(p.scopes) > 0 {
		return refuse(oauth.InvalidAuthorizationDetails, "The scopes of %s are given together with authorization_details alone, and none were allowed or asked for.",
			word(p.resource.Audience))
	}
	p.scopes = kept
	return nil
}

// joinDetails are the details of all parts, each once. As with scopes, none may mean
// something at a resource that it was not given for.
func joinDetails(parts []part) (rar.Details, error) {
	var all rar.Details
	for _, p := range parts {
		for _, detail := range p.details {
			if !slices.ContainsFunc(all, detail.Equal) {
				all = append(all, detail)
			}
		}
	}
	for _, p := range parts {
		for _, detail := range all {
			_, known := p.resource.DetailType(detail.Type)
			if known && detail.For(p.resource.Audience) && !slices.ContainsFunc(p.details, detail.Equal) {
				return nil, refuse(oauth.InvalidTarget, "The authorization detail %s means something at %s too, where it was not given; ask for one resource at a time.",
					word(detail.Type), word(p.resource.Audience))
			}
		}
	}
	return all, nil
}

// heldDetails are the authorization details of a subject token.
func heldDetails(subject *mint.User) (rar.Details, error) {
	if len(subject.Claims.AuthorizationDetails) == 0 {
		return nil, nil
	}
	return rar.Parse(string(subject.Claims.AuthorizationDetails))
}

// detailsFor are those of a token's authorization details that are for a resource.
func detailsFor(resource *registry.Resource, claim json.RawMessage) json.RawMessage {
	if len(claim) == 0 {
		return nil
	}
	all, err := rar.Parse(string(claim))
	if err != nil {
		return nil // of a later version; what is not known lets nobody do anything
	}
	var own rar.Details
	for _, detail := range all {
		if _, known := resource.DetailType(detail.Type); known && detail.For(resource.Audience) {
			own = append(own, detail)
		}
	}
	return own.JSON()
}
