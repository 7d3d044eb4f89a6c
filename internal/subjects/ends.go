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
	"Subjects are converted between your own subsystem and one that an edge lets call it, and outwards to one that receives your events; no edge joins these two.")

// findEnds finds what lets the asker convert between two subsystems, one of which
// is its own.
func findEnds(group *registry.Snapshot, asker *registry.Subsystem, request *request) (ends, error) {
	outward := asker.Name == request.From
	other := request.From
	switch {
	case outward:
		other = request.To
	case asker.Name != request.To:
		return ends{}, errNoEdge
	}
	party, ok := group.Subsystem(other)
	if !ok {
		return ends{}, errNoEdge
	}
	may, holdersOnly := edgeRight(group, asker, party)
	if outward {
		publishes, receivesOfHolders := eventRight(group, asker, party)
		// Two rights are no less than one of them.
		holdersOnly = (holdersOnly || !may) && (receivesOfHolders || !publishes)
		may = may || publishes
	}
	if !may {
		return ends{}, errNoEdge
	}
	found := ends{from: party.Sector, to: asker.Sector}
	if outward {
		found.from, found.to = found.to, found.from
	}
	if holdersOnly || party.Scenario.NeedsConsent() {
		found.holdersOf = party.ClientIDs()
	}
	return found, nil
}

// edgeRight asks for the edge by which the other subsystem calls the asker's
// resource: inwards the asker turns what it is called with, outwards what it
// answers.
func edgeRight(group *registry.Snapshot, asker, party *registry.Subsystem) (may, holdersOnly bool) {
	edge, ok := group.Edge(party, asker)
	return ok, ok && edge.RequireGrant
}

// eventRight asks whether the other subsystem receives events of the asker, which
// speak of people to it: a right outwards only, since a receiver need not be
// able to call anybody.
func eventRight(group *registry.Snapshot, asker, party *registry.Subsystem) (may, holdersOnly bool) {
	holdersOnly = true
	for _, event := range group.EventsOf(asker) {
		if receiver, ok := event.Receiver(party.Name); ok {
			may, holdersOnly = true, holdersOnly && receiver.RequireGrant
		}
	}
	return may, holdersOnly
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
