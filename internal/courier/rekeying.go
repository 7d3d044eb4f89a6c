package courier

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/oauth"
)

// addRekeyings tells the streams of a sector that it was re-keyed. Nobody has to
// ask for it or be declared: it is about what the stream itself is sent.
func (c *Courier) addRekeyings(ctx context.Context, tx *db.Tx, group *registry.Snapshot, happenings []outbox.Happening) error {
	table := c.table.Load()
	for i := range happenings {
		h := &happenings[i]
		if h.Type != oauth.EventSubjectsRekeyed {
			continue
		}
		for _, receiver := range group.Subsystems() {
			if receiver.Sector.Name != h.Payload["sector"] {
				continue
			}
			for _, stream := range table.byReceiver[receiver.Name] {
				if stream.Status == StreamDisabled || !current(group, stream) {
					continue
				}
				if err := c.addStreamEvent(ctx, tx, stream, h.Type, h.Payload); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
