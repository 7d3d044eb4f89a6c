package subjects

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// ends are the two sectors of a conversion.
type ends struct {
	from, to registry.Sector
	// holdersOf are the clients of a third party: people who hold no consent and
	// no grant there are nobody, or the asker would learn of accounts that the
	// third party does not know.
	holdersOf []string
}

// errNoEdge is one answer for a subsystem that does not exist, one that may not
// call the asker, and two that are both not the asker.
var errNoEdge = oauth.Refuse(oauth.AccessDenied,
	"Subjects are converted between your own subsystem and one that an edge lets call it; no edge joins these two.")

// findEnds finds the edge that a conversion goes along. Whichever way it goes, it
// is the edge by which the other subsystem calls the asker's resource: inwards
// the asker turns what it is called with, outwards what it answers.
func findEnds(group *registry.Snapshot, asker *registry.Subsystem, request *request) (ends, error) {
	var other string
	switch asker.Name {
	case request.To:
		other = request.From
	case request.From:
		other = request.To
	default:
		return ends{}, errNoEdge
	}
	party, ok := group.Subsystem(other)
	if !ok {
		return ends{}, errNoEdge
	}
	edge, ok := group.Edge(party, asker)
	if !ok {
		return ends{}, errNoEdge
	}
	found := ends{from: party.Sector, to: asker.Sector}
	if asker.Name == request.From {
		found.from, found.to = found.to, found.from
	}
	if edge.RequireGrant || party.Scenario.NeedsConsent() {
		for _, client := range party.Clients {
			found.holdersOf = append(found.holdersOf, client.ID)
		}
	}
	return found, nil
}

// keepHolders makes nobody of the people who hold nothing of the clients, in one
// question for all of them.
func (d *Door) keepHolders(ctx context.Context, clients []string, people []account.Ref) error {
	handles := make([]account.Handle, 0, len(people))
	for _, who := range people {
		if !who.Nobody() {
			handles = append(handles, who.Handle)
		}
	}
	if len(handles) == 0 {
		return nil
	}
	var holders map[account.Handle]bool
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		holders, err = d.Grants.HoldersAmong(ctx, tx, clients, handles)
		return err
	})
	if err != nil {
		return err
	}
	for i := range people {
		if !holders[people[i].Handle] {
			people[i] = account.Ref{}
		}
	}
	return nil
}
