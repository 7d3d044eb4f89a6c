package courier

import (
	"context"
	"slices"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// acquaintances says which subsystems know which people: those where a person
// holds a consent or a living grant. All that is noted is asked for at once, by
// name of the subsystem.
type acquaintances map[string]*acquaintance

type acquaintance struct {
	clients []string
	people  map[account.Handle]bool
}

// noteAll notes every question that one receiver's news will bring up.
func (a acquaintances) noteAll(group *registry.Snapshot, n *news, to registry.EventReceiver) {
	if n.knownTo != nil {
		return // answered already
	}
	if to.RequireGrant {
		a.note(to.Subsystem, n.who)
		for _, who := range n.people {
			a.note(to.Subsystem, who)
		}
	}
	for _, edge := range callersOf(group, n, to) {
		if mustBeKnown(edge) {
			a.note(edge.From, n.who)
		}
	}
}

func (a acquaintances) note(subsystem *registry.Subsystem, who account.Ref) {
	asked := a[subsystem.Name]
	if asked == nil {
		asked = &acquaintance{clients: subsystem.ClientIDs(), people: map[account.Handle]bool{}}
		a[subsystem.Name] = asked
	}
	asked.people[who.Handle] = false
}

func (a acquaintances) load(ctx context.Context, tx *db.Tx, grants *grant.Grants) error {
	for _, asked := range a {
		people := make([]account.Handle, 0, len(asked.people))
		for who := range asked.people {
			people = append(people, who)
		}
		known, err := grants.HoldersAmong(ctx, tx, asked.clients, people)
		if err != nil {
			return err
		}
		asked.people = known
	}
	return nil
}

// knows reports whether a subsystem knows a person whom news are about. For news
// that say who knew the person when they happened, those count: what was held may
// have ended with it.
func (a acquaintances) knows(subsystem *registry.Subsystem, n *news, who account.Ref) bool {
	if n.knownTo != nil {
		return slices.ContainsFunc(subsystem.Clients, func(client *registry.Client) bool {
			return slices.Contains(n.knownTo, client.ID)
		})
	}
	asked := a[subsystem.Name]
	return asked != nil && asked.people[who.Handle]
}
