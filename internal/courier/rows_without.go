package courier

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
)

// leftOut names a person on a stream. It is a hash over both, so that the table
// tells neither who is meant nor that two streams mean the same person. A handle
// has 96 random bits: nobody finds one by trying.
type leftOut [16]byte

func leaveOut(stream string, who account.Handle) leftOut {
	sum := sha256.Sum256(slices.Concat([]byte(stream), []byte{0}, who[:]))
	return leftOut(sum[:16])
}

// removePerson takes a person off a stream, addPerson puts them back
// (SSF 1.0 §8.1.3). Either may be done twice.
func removePerson(ctx context.Context, tx *db.Tx, stream string, who account.Handle) error {
	key := leaveOut(stream, who)
	_, err := tx.Exec(ctx, `INSERT INTO event_stream_without (person, stream) VALUES ($1, $2)
		ON CONFLICT (person) DO NOTHING`, key[:], stream)
	return err
}

func addPerson(ctx context.Context, tx *db.Tx, stream string, who account.Handle) error {
	key := leaveOut(stream, who)
	_, err := tx.Exec(ctx, "DELETE FROM event_stream_without WHERE person = $1", key[:])
	return err
}

// leftOutAmong tells which of these people on these streams have been taken off.
func leftOutAmong(ctx context.Context, tx *db.Tx, pairs []leftOut) (map[leftOut]bool, error) {
	const most = 500 // parameters of one statement
	out := map[leftOut]bool{}
	for some := range slices.Chunk(pairs, most) {
		marks, args := make([]string, len(some)), make([]any, len(some))
		for i := range some {
			marks[i], args[i] = "$"+strconv.Itoa(i+1), some[i][:]
		}
		err := eachLeftOut(ctx, tx, strings.Join(marks, ", "), args, func(pair leftOut) { out[pair] = true })
		if err != nil {
			return nil, fmt.Errorf("courier: people left out: %w", err)
		}
	}
	return out, nil
}

func eachLeftOut(ctx context.Context, tx *db.Tx, marks string, args []any, found func(leftOut)) error {
	rows, err := tx.Rows(ctx, "SELECT person FROM event_stream_without WHERE person IN ("+marks+")", args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var pair []byte
		if err := rows.Scan(&pair); err != nil {
			return err
		}
		if len(pair) == len(leftOut{}) {
			found(leftOut(pair))
		}
	}
	return rows.Err()
}
