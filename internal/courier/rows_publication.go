package courier

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// publicationLife is how long an event may be handed in again and is known. It
// is longer than any publisher goes on trying.
const publicationLife = 14 * 24 * time.Hour

// digest is a hash as this table has it.
type digest = [sha256.Size]byte

// eventKey hashes the name of an event, which a publisher may have made of
// something that does not belong here.
func eventKey(publisher, id string) digest {
	return sha256.Sum256([]byte(publisher + "\x00" + id))
}

// publishedBefore gives what is known of these events: key to digest.
func publishedBefore(ctx context.Context, tx *db.Tx, publisher string, list []publication) (map[digest]digest, error) {
	args, marks := []any{publisher}, make([]string, len(list))
	for i := range list {
		key := eventKey(publisher, list[i].ID)
		args = append(args, key[:])
		marks[i] = "$" + strconv.Itoa(i+2)
	}
	rows, err := tx.Rows(ctx, "SELECT event, digest FROM event_publication WHERE publisher = $1 AND event IN ("+strings.Join(marks, ", ")+")", args...)
	if err != nil {
		return nil, fmt.Errorf("courier: publications: %w", err)
	}
	defer func() { _ = rows.Close() }()
	before := map[digest]digest{}
	for rows.Next() {
		var event, said []byte
		if err := rows.Scan(&event, &said); err != nil {
			return nil, fmt.Errorf("courier: publications: %w", err)
		}
		if len(event) != sha256.Size || len(said) != sha256.Size {
			return nil, fmt.Errorf("courier: publications: hashes of %d and %d bytes", len(event), len(said))
		}
		before[digest(event)] = digest(said)
	}
	return before, rows.Err()
}

// insertPublications notes events. One that another process has noted meanwhile
// is a conflict, and the transaction is not to be committed.
func insertPublications(ctx context.Context, tx *db.Tx, publisher string, list []publication, expires time.Time) error {
	lists := make([][]any, len(list))
	for i := range list {
		key := eventKey(publisher, list[i].ID)
		lists[i] = []any{publisher, key[:], slices.Clone(list[i].digest[:]), db.Millis(expires)}
	}
	err := tx.ExecEach(ctx, `INSERT INTO event_publication (publisher, event, digest, expires_at) VALUES ($1, $2, $3, $4)`, lists)
	if err != nil {
		return fmt.Errorf("courier: publications: %w", err)
	}
	return nil
}

// sweepPublications forgets events that are not handed in any more.
func sweepPublications(ctx context.Context, tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM event_publication WHERE event IN
		(SELECT event FROM event_publication WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, db.Millis(now), limit)
}
