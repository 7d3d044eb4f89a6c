package pairwise

import (
	"context"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

type generationRow struct {
	gen        int
	salt       []byte
	checkValue []byte
	createdAt  time.Time
	activeFrom time.Time
}

func loadGenerations(ctx context.Context, tx *db.Tx) ([]generationRow, error) {
	rows, err := tx.Rows(ctx, "SELECT gen, salt, check_value, created_at, active_from FROM pairwise_generation ORDER BY gen")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var known []generationRow
	for rows.Next() {
		var g generationRow
		var created, active int64
		if err := rows.Scan(&g.gen, &g.salt, &g.checkValue, &created, &active); err != nil {
			return nil, err
		}
		g.createdAt, g.activeFrom = db.Time(created), db.Time(active)
		if g.gen != len(known)+1 {
			return nil, fmt.Errorf("pairwise: key generation %d is missing in the database", len(known)+1)
		}
		known = append(known, g)
	}
	return known, rows.Err()
}

func insertGeneration(ctx context.Context, tx *db.Tx, g generationRow) error {
	_, err := tx.Exec(ctx, "INSERT INTO pairwise_generation (gen, salt, check_value, created_at, active_from) VALUES ($1, $2, $3, $4, $5)",
		g.gen, g.salt, g.checkValue, db.Millis(g.createdAt), db.Millis(g.activeFrom))
	return err
}
