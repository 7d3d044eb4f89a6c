package main

import (
	"context"
	"fmt"

	"github.com/sekisho-id/sekisho/internal/app"
)

// restoredCommand is run once after a restore, before anything serves. See
// docs/backup.md.
type restoredCommand struct {
	installation
}

func (c restoredCommand) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		if err := rooms.Restored(ctx, operator()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(term.out, "codes, sign-ins under way and rotating refresh tokens of before now are void; sessions and all else go on")
		return err
	})
}
