package courier

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// caller is the person as a subsystem knows them that may call the receiver.
type caller struct {
	Subsystem string `json:"subsystem"`
	Subject   string `json:"sub"`
	Session   string `json:"sid,omitempty"`
}

// platformPayload is what the platform says of an event to one receiver (CAEP 1.0
// §2). ok is false where nothing of it is for this receiver.
func (c *Courier) platformPayload(ctx context.Context, tx *db.Tx, group *registry.Snapshot, known acquaintances, t telling) (payload json.RawMessage, ok bool, err error) {
	members := map[string]any{}
	maps.Copy(members, t.payload)
	members["event_timestamp"] = t.at.Unix()
	if t.event.URI == oauth.EventTokenClaimsChange {
		values, err := c.licensed(ctx, tx, t)
		if err != nil || len(values) == 0 {
			return nil, false, err
		}
		members["claims"] = values
	}
	if callers := c.callers(group, known, t); len(callers) > 0 {
		members["callers"] = callers
	}
	payload, err = json.Marshal(members)
	return payload, err == nil, err
}

// callersOf are the edges along which a receiver is called, for news that end
// tokens which it takes.
func callersOf(group *registry.Snapshot, n *news, to registry.EventReceiver) []*registry.Edge {
	if n.event.Publisher != nil || n.event.URI == oauth.EventTokenClaimsChange || to.Resource == nil {
		return nil
	}
	return group.EdgesTo(to.Subsystem)
}

// mustBeKnown reports whether subjects are converted along an edge only for people
// whom the caller knows. What conversion would not tell, an event does not either.
func mustBeKnown(edge *registry.Edge) bool {
	return edge.RequireGrant || edge.From.Scenario.NeedsConsent()
}

func (c *Courier) callers(group *registry.Snapshot, known acquaintances, t telling) []caller {
	var callers []caller
	for _, edge := range callersOf(group, t.news, t.to) {
		if mustBeKnown(edge) && !known.knows(edge.From, t.news, t.who) {
			continue
		}
		one := caller{Subsystem: edge.From.Name, Subject: c.Pairwise.Subject(edge.From.Sector, t.who)}
		if t.session != nil {
			one.Session = c.Pairwise.SessionID(edge.From.Sector, *t.session)
		}
		callers = append(callers, one)
	}
	return callers
}

// licensed are the new values of the changed claims that the receiver may know: by
// a scope that is declared for it and, where people are asked, that the person
// allowed. null stands for a claim that is no more (CAEP 1.0 §3.2).
func (c *Courier) licensed(ctx context.Context, tx *db.Tx, t telling) (map[string]any, error) {
	person, err := c.People.ByHandle(ctx, tx, t.who.Handle)
	if errors.Is(err, account.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	scopes := t.to.Identity
	if t.to.Scenario.NeedsConsent() {
		if scopes, err = c.consented(ctx, tx, person.ID, t.to.Subsystem); err != nil {
			return nil, err
		}
	}
	changed, _ := t.payload["claims"].([]any)
	values := map[string]any{}
	for _, claim := range account.Claims() {
		if slices.Contains(changed, any(claim.Name)) && slices.Contains(scopes, claim.Scope) {
			values[claim.Name] = claim.Value(person)
		}
	}
	return values, nil
}

// consented are the identity scopes of a third party that the person allowed one
// of its clients.
func (c *Courier) consented(ctx context.Context, tx *db.Tx, accountID string, party *registry.Subsystem) ([]string, error) {
	var scopes []string
	for _, client := range party.Clients {
		allowed, err := c.Grants.Consent(ctx, tx, accountID, client.ID)
		if err != nil {
			return nil, err
		}
		for _, scope := range allowed[c.Mint.Issuer] {
			if slices.Contains(party.Identity, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes, nil
}
