package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
)

// migrateCommand moves an installation to another database.
type migrateCommand struct {
	From     string `placeholder:"DATABASE" help:"Where the installation is: SQLite file or postgres:// URL. Stop its servers first."`
	FromFile string `placeholder:"FILE" help:"File that holds the URL of --from."`
	To       string `placeholder:"DATABASE" help:"Where it goes: an empty database."`
	ToFile   string `placeholder:"FILE" help:"File that holds the URL of --to."`
	Undo     bool   `help:"Take it back: let the database of --from be served again, as it was when it was left."`
}

func (c migrateCommand) Run(ctx context.Context, term terminal) error {
	from, err := oneOf("from", c.From, c.FromFile)
	if err != nil {
		return err
	}
	if c.Undo {
		if c.To != "" || c.ToFile != "" {
			return errors.New("--undo concerns the database of --from alone; leave --to out")
		}
		if err := db.TakeBack(ctx, from); err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, "taken back; stop whatever serves the other database before you serve this one")
		return err
	}
	to, err := oneOf("to", c.To, c.ToFile)
	if err != nil {
		return err
	}
	moved, err := db.Move{From: from, To: to, Progress: progressOn(term.err)}.Run(ctx)
	if ctx.Err() != nil {
		return errors.New("interrupted: run the same command again to go on, or take it back with --undo")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(term.out, `moved %d rows of %d tables; each table has the same content on both sides.
Serve the new database with the same PPID secret and the same key-encryption key. The old one is kept, and nothing starts on it.
`, moved.Rows, moved.Tables)
	return err
}

// oneOf is the database that --NAME or --NAME-file names.
func oneOf(name, dsn, file string) (string, error) {
	switch {
	case dsn == "" && file == "":
		return "", fmt.Errorf("no database: give --%s or --%s-file", name, name)
	case dsn != "" && file != "":
		return "", fmt.Errorf("--%s and --%s-file are both set; keep one", name, name)
	}
	return database{Database: dsn, DatabaseFile: file}.dsn()
}

// progressOn writes a line when a table is done, and now and then before.
func progressOn(w io.Writer) func(db.Progress) {
	var last time.Time
	return func(p db.Progress) {
		if p.Done < p.Total && time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		doing := "copied"
		if p.Verifying {
			doing = "verified"
		}
		_, _ = fmt.Fprintf(w, "%-8s %s: %d of %d\n", doing, p.Table, p.Done, p.Total) // who does not read it, does not need it
	}
}
