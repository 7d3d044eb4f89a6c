package db

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/sync/errgroup"
)

const (
	moveBatch  = 10_000 // rows of one transaction
	moveBytes  = 32 << 20
	moveParams = 20_000 // of one statement of PostgreSQL, which allows 65,535
)

// copyTable brings the rows that have not arrived yet.
func (m Move) copyTable(ctx context.Context, from, to *side, t table) error {
	total, err := from.count(ctx, t)
	if err != nil {
		return err
	}
	done, last, err := to.arrived(ctx, t)
	if err != nil {
		return err
	}
	for {
		rows, err := from.batch(ctx, t, last)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		done += int64(len(rows))
		if last, err = to.take(ctx, t, rows, done); err != nil {
			return err
		}
		m.tell(Progress{Table: t.name, Done: done, Total: total})
	}
}

func (m Move) tell(p Progress) {
	if m.Progress != nil {
		m.Progress(p)
	}
}

// arrived tells how many rows have arrived, and the key of the last.
func (s *side) arrived(ctx context.Context, t table) (done int64, last []any, err error) {
	var text string
	err = s.pool.QueryRowContext(ctx, "SELECT done, last FROM installation_move_table WHERE name = $1", t.name).Scan(&done, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, s.engine.classify(err)
	}
	last, err = t.decodeKey(text)
	return done, last, err
}

func (s *side) count(ctx context.Context, t table) (n int64, err error) {
	err = s.pool.QueryRowContext(ctx, "SELECT count(*) FROM "+t.quoted()).Scan(&n)
	return n, s.engine.classify(err)
}

// batch reads rows that follow the one with the key, in the order of keys that this
// side has; the other may have another.
func (s *side) batch(ctx context.Context, t table, after []any) ([][]any, error) {
	var where string
	if after != nil {
		where = " WHERE (" + t.keyList() + ") > (" + placeholders(0, len(after)) + ")"
	}
	query := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d", t.columnList(), t.quoted(), where, t.keyList(), moveBatch)
	rows, err := s.pool.QueryContext(ctx, query, after...)
	if err != nil {
		return nil, s.engine.classify(err)
	}
	defer func() { _ = rows.Close() }()
	var list [][]any
	for size := 0; size < moveBytes && rows.Next(); {
		row, err := t.scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, row)
		for _, value := range row {
			switch value := value.(type) {
			case string:
				size += len(value)
			case []byte:
				size += len(value)
			}
		}
	}
	return list, s.engine.classify(rows.Err())
}

func placeholders(before, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", before+i+1)
	}
	return strings.Join(list, ", ")
}

// scan reads a row into values of the classes of its columns: drivers give bytes
// for text, and numbers for truth, where it is all the same to them.
func (t table) scan(rows *sql.Rows) ([]any, error) {
	row := make([]any, len(t.columns))
	to := make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.class {
		case classInt:
			to[i] = new(sql.Null[int64])
		case classBool:
			to[i] = new(sql.Null[bool])
		case classText:
			to[i] = new(sql.Null[string])
		case classBytes:
			to[i] = &row[i]
		}
	}
	if err := rows.Scan(to...); err != nil {
		return nil, err
	}
	for i := range row {
		switch value := to[i].(type) {
		case *sql.Null[int64]:
			row[i] = orNil(*value)
		case *sql.Null[bool]:
			row[i] = orNil(*value)
		case *sql.Null[string]:
			row[i] = orNil(*value)
		default:
			switch value := row[i].(type) {
			case string:
				row[i] = []byte(value)
			case []byte:
				row[i] = append([]byte{}, value...) // one of no bytes is not NULL
			}
		}
	}
	return row, nil
}

func orNil[T any](value sql.Null[T]) any {
	if !value.Valid {
		return nil
	}
	return value.V
}

// take writes rows and how far the table has come in one transaction.
func (s *side) take(ctx context.Context, t table, rows [][]any, done int64) (last []any, err error) {
	newest := rows[len(rows)-1]
	for _, at := range t.key {
		last = append(last, newest[at])
	}
	text, err := t.encodeKey(last)
	if err != nil {
		return nil, err
	}
	return last, s.inTx(ctx, func(tx *sql.Tx) error {
		if err := s.insert(ctx, tx, t, rows); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO installation_move_table (name, done, last) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET done = excluded.done, last = excluded.last`, t.name, done, text)
		return err
	})
}

// insert writes many rows with one statement where each is a journey to the
// server, and one by one where it is not.
func (s *side) insert(ctx context.Context, tx *sql.Tx, t table, rows [][]any) error {
	width := 1
	if s.engine.postgres != nil {
		width = max(1, moveParams/len(t.columns))
	}
	var stmt *sql.Stmt
	for prepared := 0; len(rows) > 0; {
		n := min(width, len(rows))
		if n != prepared {
			if stmt != nil {
				_ = stmt.Close()
			}
			var err error
			if stmt, err = tx.PrepareContext(ctx, t.insertion(n)); err != nil {
				return err
			}
			prepared = n
		}
		values := make([]any, 0, n*len(t.columns))
		for _, row := range rows[:n] {
			values = append(values, row...)
		}
		if _, err := stmt.ExecContext(ctx, values...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return stmt.Close()
}

// insertion is a statement that writes n rows.
func (t table) insertion(n int) string {
	lists := make([]string, n)
	for i := range lists {
		lists[i] = "(" + placeholders(i*len(t.columns), len(t.columns)) + ")"
	}
	return "INSERT INTO " + t.quoted() + " (" + t.columnList() + ") VALUES " + strings.Join(lists, ", ")
}

// digest is the content of a table, whatever the order of its rows: their number
// and the sum of their hashes.
type digest struct {
	rows int64
	sum  [4]uint64
}

func (d *digest) add(row [sha256.Size]byte) {
	d.rows++
	var carry uint64
	for i := range d.sum {
		d.sum[i], carry = bits.Add64(d.sum[i], binary.LittleEndian.Uint64(row[8*i:]), carry)
	}
}

// verifyTable reads both sides anew, side by side.
func (m Move) verifyTable(ctx context.Context, from, to *side, t table) (int64, error) {
	total, err := from.count(ctx, t)
	if err != nil {
		return 0, err
	}
	var here, there digest
	both, reading := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		here, err = from.digest(reading, t, func(done int64) {
			m.tell(Progress{Table: t.name, Verifying: true, Done: done, Total: total})
		})
		return err
	})
	both.Go(func() (err error) {
		there, err = to.digest(reading, t, func(int64) {})
		return err
	})
	if err := both.Wait(); err != nil {
		return 0, err
	}
	if here.rows != total || here != there {
		return 0, fmt.Errorf("the content is not the same: %d rows of %d here, %d there; drop the database it was to be moved to, and begin anew", here.rows, total, there.rows)
	}
	return here.rows, nil
}

// digest reads a whole table.
func (s *side) digest(ctx context.Context, t table, progress func(int64)) (d digest, err error) {
	var last []any
	for {
		rows, err := s.batch(ctx, t, last)
		if err != nil || len(rows) == 0 {
			return d, err
		}
		var text []byte
		for _, row := range rows {
			text = t.appendCanonical(text[:0], row)
			d.add(sha256.Sum256(text))
		}
		last = nil
		for _, at := range t.key {
			last = append(last, rows[len(rows)-1][at])
		}
		progress(d.rows)
	}
}

// appendCanonical writes a row in the one way in which its content can be written.
func (t table) appendCanonical(to []byte, row []any) []byte {
	for i, value := range row {
		if value == nil {
			to = append(to, 0)
			continue
		}
		to = append(to, byte(t.columns[i].class))
		switch value := value.(type) {
		case int64:
			to = binary.BigEndian.AppendUint64(to, uint64(value)) //nolint:gosec // the same bits
		case bool:
			if value {
				to = append(to, 1)
			} else {
				to = append(to, 0)
			}
		case string:
			to = append(binary.BigEndian.AppendUint64(to, uint64(len(value))), value...)
		case []byte:
			to = append(binary.BigEndian.AppendUint64(to, uint64(len(value))), value...)
		}
	}
	return to
}
