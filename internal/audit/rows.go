package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

const (
	columns    = "id, at, event, outcome, client_id, account_id, grant_id, reason, source, request, detail"
	sweepBatch = 1000 // rows removed in one transaction
)

// Append writes a record in the transaction that causes it.
func Append(ctx context.Context, tx *db.Tx, r Record) error {
	made, err := makeRow(r)
	if err != nil {
		return err
	}
	return insert(ctx, tx, []row{made})
}

// insert writes rows in one statement, parsed once. A batch whose commit was not
// confirmed may be there already.
func insert(ctx context.Context, tx *db.Tx, rows []row) error {
	lists := make([][]any, len(rows))
	for i, r := range rows {
		lists[i] = []any{r.id, r.at, r.event, r.outcome, r.client, r.account, r.grant, r.reason, r.source, r.request, r.detail}
	}
	err := tx.ExecEach(ctx, `INSERT INTO audit_record (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING`, lists)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// Query says which records to find. Zero values do not restrict.
type Query struct {
	Account string
	Client  string
	Event   Event
	From    time.Time
	To      time.Time // not included
	After   string    // id of the last record of the page before
	Limit   int       // 100 by default, 1000 at most
}

// Find gives records in order of time.
func Find(ctx context.Context, tx *db.Tx, q Query) ([]Record, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	where, args := q.conditions()
	rows, err := tx.Rows(ctx, fmt.Sprintf("SELECT %s FROM audit_record WHERE %s ORDER BY id LIMIT %d",
		columns, where, min(q.Limit, 1000)), args...)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var records []Record
	for rows.Next() {
		var r Record
		var at int64
		var detail string
		if err := rows.Scan(&r.ID, &at, &r.Event, &r.Outcome, &r.Client, &r.Account, &r.Grant,
			&r.Reason, &r.Source, &r.Request, &detail); err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		r.At = db.Time(at)
		if detail != "" {
			if err := json.Unmarshal([]byte(detail), &r.Detail); err != nil {
				return nil, fmt.Errorf("audit: detail of record %s: %w", r.ID, err)
			}
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

// conditions writes the WHERE clause. Values are always parameters.
func (q Query) conditions() (where string, args []any) {
	conditions := []string{"id > $1"}
	args = []any{q.After}
	add := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if q.Account != "" {
		add("account_id = $%d AND account_id <> ''", q.Account)
	}
	if q.Client != "" {
		add("client_id = $%d", q.Client)
	}
	if q.Event != "" {
		add("event = $%d", string(q.Event))
	}
	if !q.From.IsZero() {
		add("at >= $%d", db.Millis(q.From))
	}
	if !q.To.IsZero() {
		add("at < $%d", db.Millis(q.To))
	}
	return strings.Join(conditions, " AND "), args
}

// Sweep removes the records before a time, in small transactions.
func Sweep(ctx context.Context, database *db.DB, before time.Time) (removed int64, err error) {
	// Ids begin with their time, so their own index finds the old ones.
	bound := fmt.Sprintf("%012x", max(0, db.Millis(before)))
	for {
		var n int64
		err := database.Update(ctx, func(tx *db.Tx) error {
			n, err = tx.Exec(ctx, `DELETE FROM audit_record WHERE id IN
				(SELECT id FROM audit_record WHERE id < $1 ORDER BY id LIMIT $2)`, bound, sweepBatch)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("audit: sweep: %w", err)
		}
		removed += n
		if n < sweepBatch {
			return removed, nil
		}
	}
}
