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
}

func loadGenerations(ctx context.Context, tx *db.Tx) ([]generationRow, error) {
	rows, err := tx.Rows(ctx, "SELECT gen, salt, check_value FROM pairwise_generation ORDER BY gen")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var known []generationRow
	for rows.Next() {
		var g generationRow
		if err := rows.Scan(&g.gen, &g.salt, &g.checkValue); err != nil {
			return nil, err
		}
		if g.gen != len(known)+1 {
			return nil, fmt.Errorf("pairwise: key generation %d is missing in the database", len(known)+1)
		}
		known = append(known, g)
	}
	return known, rows.Err()
}

func insertGeneration(ctx context.Context, tx *db.Tx, g generationRow, now time.Time) error {
	_, err := tx.Exec(ctx, "INSERT INTO pairwise_generation (gen, salt, check_value, created_at) VALUES ($1, $2, $3, $4)",
		g.gen, g.salt, g.checkValue, db.Millis(now))
	return err
}
