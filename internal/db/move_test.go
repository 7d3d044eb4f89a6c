package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/postgrestest"
)

// revoked is how many rows the biggest table of an installation has here: more
// than two batches.
const revoked = 25_000

// installation is a file with an installation that the test may change.
func installation(t *testing.T) string {
	t.Helper()
	data, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// seed is made once.
var seed = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "sekisho-move-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "seed.db")
	if err := fill(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// fill fills a new database with rows of every type.
func fill(ctx context.Context, dsn string) error {
	d, err := db.Open(ctx, dsn)
	if err != nil {
		return err
	}
	err = d.Update(ctx, func(tx *db.Tx) error {
		var revocations [][]any
		for i := range revoked {
			revocations = append(revocations, []any{[]byte(fmt.Sprintf("%d", i*7919)), i, i})
		}
		if err := tx.ExecEach(ctx, "INSERT INTO revocation (id, seq, expires_at) VALUES ($1, $2, $3)", revocations); err != nil {
			return err
		}
		var throttles [][]any
		for i, subject := range []string{"", "a", "A", "ä", "z", "Z", "\x01", "京都", `"'\`, "a b", "1", "10", "9"} {
			throttles = append(throttles, []any{"kind", subject, i, -1, int64(1) << 62}, []any{"Kind", subject, i, 0, i})
		}
		if err := tx.ExecEach(ctx, "INSERT INTO throttle (kind, subject, failures, not_before, expires_at) VALUES ($1, $2, $3, $4, $5)", throttles); err != nil {
			return err
		}
		return tx.ExecEach(ctx, `INSERT INTO access_grant (id, account, handle, client, session, offline, scopes, auth_time,
				exact_auth_time, acr, amr, nonce, claims, created_at, expires_at, ended_at, ended_why)
			VALUES ($1, 'who', $2, 'client', $3, $4, '', 0, $5, '', '', '', '{"a":1}', 0, 0, $6, $7)`, [][]any{
			{-1, []byte{}, nil, true, false, nil, nil},
			{2, []byte{0, 255}, []byte{}, false, true, 0, ""},
			{3, []byte("text"), []byte{0}, false, false, 5, "why"},
		})
	})
	return errors.Join(err, d.Close())
}

// contentOf is what an installation holds, written in a way of this test's own.
func contentOf(t *testing.T, dsn string) string {
	t.Helper()
	d := open(t, dsn)
	var lines []string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		for _, query := range []string{
			"SELECT id, seq, expires_at, 0, 0 FROM revocation",
			"SELECT kind, subject, failures, not_before, expires_at FROM throttle",
			"SELECT handle, session, CASE WHEN offline THEN 1 ELSE 0 END, ended_at, ended_why FROM access_grant",
			"SELECT one, last, 0, 0, 0 FROM revocation_count",
			"SELECT name, last, 0, 0, 0 FROM delivery_count",
		} {
			rows, err := tx.Rows(t.Context(), query)
			if err != nil {
				return err
			}
			for rows.Next() {
				var a, b, c, d, e any
				if err := rows.Scan(&a, &b, &c, &d, &e); err != nil {
					return err
				}
				lines = append(lines, fmt.Sprintf("%T%x %T%x %v %v %q", a, a, b, b, c, d, e))
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func refusedAsMoved(t *testing.T, dsn, want string) {
	t.Helper()
	d, err := db.Open(t.Context(), dsn)
	if err == nil {
		err = d.Close()
		t.Errorf("opened, want %s; %v", want, err)
	} else if !errors.Is(err, db.ErrMoved) || !strings.Contains(err.Error(), want) {
		t.Errorf("refused: %v, want %s", err, want)
	}
}

func TestMoveThereAndBack(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, "CREATE DATABASE target")
	dir := t.TempDir()
	file, back, target := installation(t), filepath.Join(dir, "back.db"), server.URL("target")
	before := contentOf(t, file)

	var shown []string
	move := db.Move{From: file, To: target, Progress: func(p db.Progress) { shown = append(shown, fmt.Sprint(p)) }}
	moved, err := move.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if moved.Tables < 20 || moved.Rows < revoked+29 {
		t.Errorf("%+v", moved)
	}
	if !slices.Contains(shown, "{revocation false 20000 25000}") || !slices.Contains(shown, "{revocation true 25000 25000}") {
		t.Errorf("progress: %v", shown)
	}
	refusedAsMoved(t, file, "it was moved to postgres://")
	if after := contentOf(t, target); after != before {
		t.Errorf("the content is not what it was: %s", cmp.Diff(before, after))
	}
	if _, err := move.Run(t.Context()); !errors.Is(err, db.ErrMoved) {
		t.Errorf("moved twice: %v", err)
	}
	if _, err := (db.Move{From: target, To: "sqlite:" + back}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	refusedAsMoved(t, target, "it was moved to sqlite:"+back)
	if contentOf(t, back) != before {
		t.Error("the content that came back is not what it was")
	}
	if info, err := os.Stat(back); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v, %v", info.Mode(), err)
	}
}

// TestMoveInterrupted after each batch, until it is done.
func TestMoveInterrupted(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, "CREATE DATABASE target")
	server.Exec(t, "CREATE DATABASE another")
	file, target := installation(t), server.URL("target")
	before := contentOf(t, file)

	var copied []int64 // of the biggest table
	runs := 0
	for again := true; again; runs++ {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := db.Move{From: file, To: target, Progress: func(p db.Progress) {
			if !p.Verifying {
				cancel()
			}
			if p.Table == "revocation" && !p.Verifying {
				copied = append(copied, p.Done)
			}
		}}.Run(ctx)
		cancel()
		if again = err != nil; again && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if again && runs == 0 {
			refusedAsMoved(t, file, "run sekisho migrate again to finish")
			refusedAsMoved(t, target, "run sekisho migrate again to finish")
		}
	}
	if fmt.Sprint(copied) != "[10000 20000 25000]" || runs < 5 {
		t.Errorf("copied %v in %d runs", copied, runs)
	}
	if contentOf(t, target) != before {
		t.Error("the content is not what it was")
	}

	// Between the two halves of the hand-over: the one was left, the other does
	// not know yet.
	mark(t, server, "target", idOf(t, file))
	refusedAsMoved(t, file, "it was moved to")
	refusedAsMoved(t, target, "on its way here")
	if _, err := (db.Move{From: file, To: server.URL("another")}).Run(t.Context()); !errors.Is(err, db.ErrMoved) {
		t.Errorf("to another database: %v", err)
	}
	if _, err := (db.Move{From: file, To: target}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	open(t, target)
}

// idOf is the id of the move of an installation that has left.
func idOf(t *testing.T, file string) (id string) {
	t.Helper()
	raw := rawSQLite(t, file)
	if err := raw.QueryRowContext(t.Context(), "SELECT id FROM installation_move").Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func mark(t *testing.T, server *postgrestest.Server, database, id string) {
	t.Helper()
	raw := rawConnection(t, server.URL(database))
	_, err := raw.ExecContext(t.Context(), "INSERT INTO installation_move (one, id, state, other, at) VALUES (1, $1, 'arriving', 'x', 0)", id)
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestMoveRefusals(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	for _, name := range []string{"used", "filled", "other", "fresh"} {
		server.Exec(t, "CREATE DATABASE "+name)
	}
	file := installation(t)
	refused := func(from, to, want string) {
		t.Helper()
		_, err := db.Move{From: from, To: to}.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused(file+".missing", server.URL("fresh"), "--from: db: there is no database file")
	refused(file, "host=localhost password=x", "--to: db: this is no DSN")
	refused(file, file, "uses this database")

	served := open(t, file)
	refused(file, server.URL("fresh"), "--from: db: a server or a command uses this database")
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}
	served = open(t, server.URL("used"))
	refused(file, server.URL("used"), "other sessions use this database")
	refused(server.URL("used"), file, "other sessions use this database")
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}

	if err := fill(t.Context(), server.URL("filled")); err != nil {
		t.Fatal(err)
	}
	refused(file, server.URL("filled"), "--to: db: this database is not empty: access_grant has rows")
	open(t, file) // nothing was begun
	if err := db.TakeBack(t.Context(), file); err == nil {
		t.Error("took back what had not left")
	}
}

// TestMoveTakenBack holds that one who changes his mind is served from where he
// was, and that what had come over is of no use any more.
func TestMoveTakenBack(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	for _, name := range []string{"first", "second"} {
		server.Exec(t, "CREATE DATABASE "+name)
	}
	file := installation(t)
	before := contentOf(t, file)
	interrupt := func(to string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := db.Move{From: file, To: to, Progress: func(db.Progress) { cancel() }}.Run(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	interrupt(server.URL("first"))
	if err := db.TakeBack(t.Context(), server.URL("first")); err == nil {
		t.Error("took back on the side where it arrives")
	}
	if err := db.TakeBack(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if contentOf(t, file) != before {
		t.Error("the content is not what it was")
	}
	_, err := db.Move{From: file, To: server.URL("first")}.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "an unfinished move arrives in this database") {
		t.Errorf("went on with what was taken back: %v", err)
	}
	if _, err := (db.Move{From: server.URL("first"), To: file + "2"}).Run(t.Context()); !errors.Is(err, db.ErrMoved) {
		t.Errorf("moved half an installation: %v", err)
	}

	// Begun and given up for another database, without being taken back.
	interrupt(server.URL("second"))
	server.Exec(t, "CREATE DATABASE third")
	if _, err := (db.Move{From: file, To: server.URL("third")}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := (db.Move{From: file, To: server.URL("second")}).Run(t.Context()); !errors.Is(err, db.ErrMoved) {
		t.Errorf("arrived twice: %v", err)
	}
	refusedAsMoved(t, server.URL("second"), "on its way here")
	if err := db.TakeBack(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if contentOf(t, file) != before {
		t.Error("the content is not what it was")
	}
}

// TestMoveOfBigRows holds that a batch is not bigger than memory allows.
func TestMoveOfBigRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, target := filepath.Join(dir, "s.db"), filepath.Join(dir, "t.db")
	d := open(t, file)
	for i := range 5 {
		update(t, d, "INSERT INTO outbox_happening (seq, type, handle, gen, clients, payload, at) VALUES ($1, '', $2, 0, '', $3, 0)",
			i, []byte{}, strings.Repeat("x", 10<<20))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var copied []int64
	moved, err := db.Move{From: file, To: target, Progress: func(p db.Progress) {
		if p.Table == "outbox_happening" {
			copied = append(copied, p.Done)
		}
	}}.Run(t.Context())
	if err != nil || moved.Rows < 5 || fmt.Sprint(copied) != "[4 5 4 5]" {
		t.Errorf("%+v, %v, %v", moved, copied, err)
	}
}

// TestMoveSeesDifferences holds that one changed byte on the way is seen.
func TestMoveSeesDifferences(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	for name, statement := range map[string]string{
		"changed":  "UPDATE throttle SET subject = 'B' WHERE subject = 'A' AND kind = 'kind'",
		"swapped":  "UPDATE throttle SET failures = not_before::int, not_before = failures WHERE kind = 'Kind' AND subject = 'z'",
		"lost":     "DELETE FROM revocation WHERE seq = 17",
		"nothing":  "UPDATE access_grant SET session = NULL WHERE id = 2",
		"one_more": "INSERT INTO revocation (id, seq, expires_at) VALUES ('more', 1, 1)",
	} {
		server.Exec(t, "CREATE DATABASE "+name)
		file := installation(t)
		_, err := db.Move{From: file, To: server.URL(name), Progress: func(p db.Progress) {
			if p.Table == "throttle" && !p.Verifying { // the last table with rows
				there := rawConnection(t, server.URL(name))
				if _, err := there.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}}.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "the content is not the same") {
			t.Errorf("%s: %v", name, err)
		}
		refusedAsMoved(t, file, "on its way to")
	}
}

func rawSQLite(t *testing.T, file string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}
