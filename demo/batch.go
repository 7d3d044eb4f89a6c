package demo

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"

	"github.com/sekisho-id/sekisho/sdk/rp"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// batch is pay's nightly job. It works on pay's database under a client of its
// own, and speaks for pay, never for a person (service context).
type batch struct {
	client    *rp.Client
	settling  *http.Client // calls market for the job itself
	mapping   *rs.Mapping  // pay's
	db        *sql.DB      // pay's
	marketURL string
}

// run settles all charges that are not settled yet, and answers how many.
func (b *batch) run(ctx context.Context) (int, error) {
	open, numbers, err := b.open(ctx)
	if err != nil || len(open) == 0 {
		return 0, err
	}
	// To market a person is named as pay knows them: by pay's own subject.
	if err := b.mapping.Out(ctx, partyPay, &open); err != nil {
		return 0, err
	}
	var settled Settled
	err = call{client: b.settling, method: http.MethodPost, url: b.marketURL + "/settlements", body: open}.do(ctx, &settled)
	if err != nil {
		return 0, err
	}
	for _, number := range numbers {
		if _, err := b.db.ExecContext(ctx, `UPDATE charge SET settled = TRUE WHERE number = $1`, number); err != nil {
			return 0, fmt.Errorf("mark the charge: %w", err)
		}
	}
	return settled.Count, nil
}

func (b *batch) open(ctx context.Context) (open []Settlement, numbers []int64, err error) {
	rows, err := b.db.QueryContext(ctx, `SELECT number, payee, payer, amount FROM charge WHERE settled = FALSE ORDER BY number LIMIT 500`)
	if err != nil {
		return nil, nil, fmt.Errorf("read open charges: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var number int64
		var one Settlement
		if err := rows.Scan(&number, &one.Seller, &one.Buyer, &one.Amount); err != nil {
			return nil, nil, fmt.Errorf("read a charge: %w", err)
		}
		one.Reference = fmt.Sprintf("charge-%d", number)
		open, numbers = append(open, one), append(numbers, number)
	}
	return open, numbers, rows.Err()
}

// readItems tries a call that is for people only, with the job's own token.
func (b *batch) readItems(ctx context.Context) error {
	var items []Item
	return call{client: b.settling, method: http.MethodGet, url: b.marketURL + "/items/mine"}.do(ctx, &items)
}
