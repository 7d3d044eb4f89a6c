package audit

import (
	"context"

	"github.com/sekisho-id/sekisho/internal/db"
)

// FormatDetail is tested beside encoding/json.
var FormatDetail = formatDetail

// LoseAnswer writes what waits, and forgets that it did, as happens when the
// connection is lost between a commit and its answer.
func LoseAnswer(ctx context.Context, l *Log) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill()
	return l.database.Update(ctx, func(tx *db.Tx) error { return insert(ctx, tx, l.pending) })
}
