package grant

import (
	"context"
	"errors"

	"github.com/sekisho-id/sekisho/internal/db"
)

// ByID finds a grant that was not ended, or gives ErrUnknown. It reads nothing
// of the person, so the Ref has no generation.
func (g *Grants) ByID(ctx context.Context, tx *db.Tx, id int64) (*Grant, error) {
	found, err := scanGrant(tx.Row(ctx, `SELECT `+grantColumns+` FROM access_grant WHERE id = $1 AND ended_at IS NULL`, id))
	if errors.Is(err, db.ErrNotFound) {
		return nil, ErrUnknown
	}
	return found, err
}
