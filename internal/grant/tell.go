package grant

import (
	"context"
	"errors"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// tellSessions has others told that sessions of a person have ended, in the
// transaction that ends them and before their grants end: who held something is
// who may hear of it. A person who was deleted before is told of as such.
func (g *Grants) tellSessions(ctx context.Context, tx *db.Tx, accountID string, ids [][16]byte, by outbox.Initiator, reason string) error {
	if len(ids) == 0 {
		return nil
	}
	who, err := g.people.ByID(ctx, tx, accountID)
	if errors.Is(err, account.ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	known, err := g.ClientsOf(ctx, tx, accountID)
	if err != nil {
		return err
	}
	for i := range ids {
		clients, err := clientsOfSession(ctx, tx, ids[i], g.now())
		if err != nil {
			return err
		}
		err = outbox.Append(ctx, tx, outbox.Happening{
			Type: oauth.EventSessionRevoked, Handle: who.Ref.Handle, Gen: who.Ref.Gen,
			Session: &ids[i], Clients: clients, KnownTo: known, At: g.now(),
			Payload: outbox.About(by, reason, nil),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
