package token

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/dpop"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// maxChain is how many clients an act claim may name, the first included.
const maxChain = 4

// exchange is the token exchange grant (RFC 8693 §2): a service that was called
// for a person gets a token to call on for the same person. It writes nothing
// to the database and reads nothing from it, but for a token of a system of before (legacy.go). What proves events is asked for in
// the same way, and is another matter (event.go).
func (d *Door) exchange(ctx context.Context, c call) (answer, error) {
	if c.asksForEvents() {
		return d.eventCredentials(ctx, c)
	}
	subject, err := d.subject(ctx, c)
	if err != nil {
		return answer{}, err
	}
	if err := c.refuseActor(); err != nil {
		return answer{}, err
	}
	actor, err := c.actor(subject)
	if err != nil {
		return answer{}, err
	}
	switch c.requestedTokenType {
	case "", oauth.TokenTypeAccess:
		return d.exchangeForAccess(c, subject, actor)
	case oauth.TokenTypeID:
		return d.exchangeForID(c, subject, actor)
	default:
		return answer{}, oauth.Refuse(oauth.InvalidRequest,
			"The requested_token_type must be the URN of access_token or of id_token (RFC 8693 section 3).")
	}
}

// subject checks the subject token (RFC 8693 §2.1, §2.2.2): a living access
// token in user context, addressed to the asker's own API, from a client whose
// subsystem may still call it.
func (d *Door) subject(ctx context.Context, c call) (*mint.User, error) {
	if c.subjectToken == "" || c.subjectTokenType == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The parameters subject_token and subject_token_type are both needed.")
	}
	if c.subjectTokenType == oauth.TokenTypeJWT {
		return d.legacySubject(ctx, c)
	}
	if c.subjectTokenType != oauth.TokenTypeAccess {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The subject_token_type must be the URN of access_token, or of jwt for a legacy token; no other token can be exchanged.")
	}
	checked, err := d.Mint.Check(ctx, c.subjectToken)
	switch {
	case errors.Is(err, mint.ErrInvalid):
		return nil, oauth.Refuse(oauth.InvalidRequest, "The subject_token is not valid: expired, revoked, no access token, or not issued here.")
	case err != nil:
		return nil, err
	case checked.User == nil:
		return nil, oauth.Refuse(oauth.InvalidRequest, "The subject_token is in service context; only a token of a person can be exchanged.")
	}
	if err := d.checkSubjectProof(c, checked.User.Claims.Confirmation); err != nil {
		return nil, err
	}
	own := c.client.Subsystem.Resource
	if own == nil || !checked.User.Claims.Audience.Has(own.Audience) {
		return nil, refuse(oauth.InvalidRequest, "The subject_token is not addressed to %s; a service can exchange only tokens it was called with.",
			c.client.Subsystem.Name)
	}
	from, ok := c.group.Client(checked.User.Claims.ClientID)
	if ok {
		_, ok = c.group.Edge(from.Subsystem, c.client.Subsystem)
	}
	if !ok {
		return nil, refuse(oauth.InvalidRequest, "The subject_token comes from a client that no edge lets call %s any more.",
			c.client.Subsystem.Name)
	}
	return checked.User, nil
}

// checkSubjectProof asks for the proof that a bound subject token came with, so that a
// copy of the token alone is worth nothing here either. The asker has received it
// and hands it on; for which request it was made is for the asker to know, which
// checked it then.
func (d *Door) checkSubjectProof(c call, bound *oauth.Confirmation) error {
	switch {
	case bound == nil:
		return nil
	case bound.JKT == "":
		return oauth.Refuse(oauth.InvalidRequest, "The subject_token is bound to a certificate. Only its holder can prove that, and only to the service that it calls.")
	case c.subjectTokenProof == "":
		return oauth.Refuse(oauth.InvalidRequest, "The subject_token is bound to a key; send the DPoP proof that it came with as subject_token_proof.")
	}
	thumbprint, err := d.Mint.CheckSubjectProof(c.subjectTokenProof, c.subjectToken)
	if err != nil {
		return refuse(oauth.InvalidRequest, "The subject_token_proof is refused: %s.", dpop.Reason(err))
	}
	if thumbprint != bound.JKT {
		return oauth.Refuse(oauth.InvalidRequest, "The subject_token_proof is of another key than the one that the subject_token is bound to.")
	}
	return nil
}

// refuseActor refuses an actor token: here the actor is always the client that
// asks, which has just proved to be itself (RFC 8693 §1.1).
func (c call) refuseActor() error {
	if c.actorToken != "" || c.actorTokenType != "" {
		return oauth.Refuse(oauth.InvalidRequest,
			"An actor_token is not taken: the actor is the client that asks, by its own authentication.")
	}
	return nil
}

// actor nests the chain one deeper (RFC 8693 §4.1): the asker acts now, and
// innermost stays the client that the person used.
func (c call) actor(subject *mint.User) (*oauth.Actor, error) {
	before := subject.Claims.Actor
	if before == nil {
		before = &oauth.Actor{Subject: subject.Claims.ClientID}
	}
	actor := &oauth.Actor{Subject: c.client.ID, Actor: before}
	depth := 0
	for a := actor; a != nil; a = a.Actor {
		depth++
	}
	if depth > maxChain {
		return nil, refuse(oauth.InvalidRequest, "The chain of calls is too long: an act claim names at most %d clients.", maxChain)
	}
	return actor, nil
}

// exchangeForAccess makes an access token for another service.
func (d *Door) exchangeForAccess(c call, subject *mint.User, actor *oauth.Actor) (answer, error) {
	target, err := c.exchangeTarget(subject, actor)
	if err != nil {
		return answer{}, err
	}
	issued, err := d.Mint.UserToken(mint.UserToken{
		Client: c.client, Who: subject.Who, Audience: target.audience, Scopes: target.scopes, Details: target.details, Opaque: target.opaque, Bound: c.bound,
		SignIn: signInOf(subject), Grant: subject.Grant, Root: subject.Root,
		Actor: actor, NotAfter: time.Unix(subject.Claims.ExpiresAt, 0),
	})
	if err != nil {
		return answer{}, err
	}
	return answer{
		response: oauth.TokenResponse{
			AccessToken:     issued.Token,
			IssuedTokenType: oauth.TokenTypeAccess,
			TokenType:       tokenType(c.bound),
			ExpiresIn:       issued.ExpiresIn(),
			Scope:           target.scopes,

			AuthorizationDetails: target.details.JSON(),
		},
		record: exchangeRecord(subject, actor, accessDetail(subject, issued, target)),
	}, nil
}

// accessDetail is what is recorded of an access token made in exchange.
func accessDetail(subject *mint.User, issued mint.Issued, target target) map[string]any {
	detail := map[string]any{
		"subject_jti": subject.Claims.ID, "jti": issued.ID,
		"audience": target.audience, "scope": target.scopes,
	}
	if len(target.details) > 0 {
		detail["authorization_details"] = target.details.Types()
	}
	return detail
}

// exchangeForID makes an ID token that tells the asker, in its own terms, who
// the person of the subject token is.
func (d *Door) exchangeForID(c call, subject *mint.User, actor *oauth.Actor) (answer, error) {
	for _, named := range append(slices.Clone(c.resources), c.audiences...) {
		if named != c.client.ID {
			return answer{}, oauth.Refuse(oauth.InvalidTarget, "An ID token is for the client that asks only; leave resource and audience out.")
		}
	}
	if len(c.scopes) > 0 && !slices.Equal(c.scopes, oauth.Scopes{oauth.ScopeOpenID}) {
		return answer{}, oauth.Refuse(oauth.InvalidScope, "An ID token carries no scopes; leave scope out.")
	}
	if c.details != "" {
		return answer{}, oauth.Refuse(oauth.InvalidRequest, "An ID token carries no authorization_details; leave them out.")
	}
	issued, err := d.Mint.IDToken(mint.IDToken{
		Client: c.client, Who: subject.Who, SignIn: signInOf(subject),
		Actor: actor, NotAfter: time.Unix(subject.Claims.ExpiresAt, 0),
	})
	if err != nil {
		return answer{}, err
	}
	return answer{
		response: oauth.TokenResponse{
			AccessToken:     issued.Token, // RFC 8693 §2.2.1: whatever the token is
			IssuedTokenType: oauth.TokenTypeID,
			TokenType:       oauth.NotApplicable,
			ExpiresIn:       issued.ExpiresIn(),
		},
		record: exchangeRecord(subject, actor, map[string]any{
			"subject_jti": subject.Claims.ID, "audience": c.client.ID, "token": "id_token",
		}),
	}, nil
}

// exchangeTarget finds what the edges from the asker to the named resources
// give for this subject token.
func (c call) exchangeTarget(subject *mint.User, actor *oauth.Actor) (target, error) {
	edges, err := c.exchangeEdges()
	if err != nil {
		return target{}, err
	}
	parts := make([]part, len(edges))
	for i, edge := range edges {
		if err := c.mayPass(edge, actor); err != nil {
			return target{}, err
		}
		parts[i].resource = edge.To.Resource
		for _, user := range edge.User {
			if user.Met(subject.Claims.Scope) {
				parts[i].scopes = append(parts[i].scopes, user.Scope)
			}
		}
	}
	if len(c.scopes) > 0 {
		if err := c.checkExchangeScopes(edges, subject.Claims.Scope); err != nil {
			return target{}, err
		}
		for i := range parts {
			parts[i].scopes = slices.DeleteFunc(parts[i].scopes, func(s string) bool { return !c.scopes.Has(s) })
		}
	}
	for i, p := range parts {
		if len(p.scopes) == 0 {
			return target{}, refuse(oauth.InvalidScope, "The edge from %s to %s gives no scope for a person with this subject_token and scope parameter.",
				c.client.Subsystem.Name, edges[i].To.Name)
		}
	}
	held, err := heldDetails(subject)
	if err != nil {
		return target{}, err
	}
	return c.joinWithDetails(parts, held)
}

// exchangeEdges finds an edge for each resource named by resource (its URI) or
// audience (its URI, or the name of its service): RFC 8693 §2.1.
func (c call) exchangeEdges() ([]*registry.Edge, error) {
	if len(c.resources)+len(c.audiences) == 0 {
		return nil, oauth.Refuse(oauth.InvalidTarget, "Say with the resource parameter which resource the token is for.")
	}
	var edges []*registry.Edge
	for i, named := range append(slices.Clone(c.resources), c.audiences...) {
		to := c.subsystemOf(named, i >= len(c.resources))
		var edge *registry.Edge
		if to != nil {
			edge, _ = c.group.Edge(c.client.Subsystem, to)
		}
		if edge == nil || len(edge.User) == 0 {
			return nil, refuse(oauth.InvalidTarget, "No edge lets %s call %s for a person; declare one under calls with a user list.",
				c.client.Subsystem.Name, word(named))
		}
		if !slices.Contains(edges, edge) {
			edges = append(edges, edge)
		}
	}
	return edges, nil
}

// subsystemOf finds the service that a resource or audience value names.
func (c call) subsystemOf(named string, byName bool) *registry.Subsystem {
	if resource, ok := c.group.ResourceByAudience(named); ok {
		return resource.Subsystem
	}
	if byName {
		if subsystem, ok := c.group.Subsystem(named); ok && subsystem.Resource != nil {
			return subsystem
		}
	}
	return nil
}

// mayPass refuses a chain that a third party began, where the edge does not say
// that such chains may pass.
func (c call) mayPass(edge *registry.Edge, actor *oauth.Actor) error {
	first := actor
	for first.Actor != nil {
		first = first.Actor
	}
	client, ok := c.group.Client(first.Subject)
	if !ok {
		return refuse(oauth.InvalidRequest, "The client that began this chain of calls is not declared any more.")
	}
	if !client.FirstParty() && !edge.ThirdPartyChains {
		return refuse(oauth.InvalidTarget, "This chain of calls was begun by a third party, and the edge from %s to %s lets no such chain pass; it would need third_party_chains.",
			edge.From.Name, edge.To.Name)
	}
	return nil
}

// checkExchangeScopes refuses a scope that no edge gives for a person, or whose
// condition the subject token does not meet, and says which it is.
func (c call) checkExchangeScopes(edges []*registry.Edge, held oauth.Scopes) error {
	for _, scope := range c.scopes {
		var conditional *registry.UserScope
		met := false
		for _, edge := range edges {
			if user, ok := edge.UserScope(scope); ok {
				conditional = &user
				met = met || user.Met(held)
			}
		}
		switch {
		case conditional == nil:
			return refuse(oauth.InvalidScope, "No edge from %s gives the scope %s there for a person.", c.client.Subsystem.Name, word(scope))
		case !met:
			return refuse(oauth.InvalidScope, "The scope %s is given only in exchange for a token that holds %s.", word(scope), oauth.Scopes(conditional.When))
		}
	}
	return nil
}

// signInOf is the sign-in that a subject token tells of. Its time goes on in
// whole minutes, even where the first client asked for it exactly.
func signInOf(subject *mint.User) mint.SignIn {
	how := mint.SignIn{Session: subject.Session, ACR: subject.Claims.ACR, AMR: subject.Claims.AMR}
	if subject.Claims.AuthTime != 0 {
		how.At = time.Unix(subject.Claims.AuthTime, 0)
	}
	return how
}

// exchangeRecord is the audit record of an exchange. It names the person by the
// grant only: this path reads no account.
func exchangeRecord(subject *mint.User, actor *oauth.Actor, detail map[string]any) audit.Record {
	detail["chain"] = actor.Chain()
	return audit.Record{Event: audit.ExchangeIssued, Outcome: audit.OK, Grant: subject.Grant, Detail: detail}
}
