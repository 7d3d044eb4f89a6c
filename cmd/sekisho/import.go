package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/app"
)

// importCommand moves in what existed before.
type importCommand struct {
	Accounts importAccounts `cmd:"" help:"Add people from another system, with their password hashes."`
}

type importAccounts struct {
	installation
	File   string `arg:"" help:"JSON Lines: one person a line, with email, email_verified, password_hash, created_at, disabled and profile. - for standard input."`
	DryRun bool   `help:"Read and check everything, and write nothing."`
	Report string `placeholder:"FILE" help:"File for the lines that were refused, with the reason. Default: standard error."`
}

const maxImportLine = 64 << 10

// importTotals is how far an import is.
type importTotals struct {
	lines, taken, added, known, refused int
}

func (c importAccounts) Run(ctx context.Context, term terminal) (err error) {
	in := term.in
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	report := term.err
	if c.Report != "" {
		file, err := os.OpenFile(c.Report, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		report = file
	}
	var totals importTotals
	err = withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		return c.read(in, report, &totals, func(batch []account.Imported) error {
			if ctx.Err() != nil {
				return errors.New("interrupted: run the same command again to go on; people who are there are left as they are")
			}
			totals.taken += len(batch)
			if !c.DryRun {
				added, err := rooms.People.Import(ctx, batch, account.Origin{By: operator()})
				if err != nil {
					return err
				}
				totals.added, totals.known = totals.added+added, totals.known+len(batch)-added
			}
			_, err := fmt.Fprintf(term.err, "line %d: %s\n", totals.lines, c.say(totals))
			return err
		})
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(term.out, "%d lines: %s\n", totals.lines, c.say(totals)); err != nil {
		return err
	}
	if totals.refused > 0 {
		return fmt.Errorf("%d lines were refused", totals.refused)
	}
	return nil
}

func (c importAccounts) say(t importTotals) string {
	if c.DryRun {
		return fmt.Sprintf("%d could be added, %d refused; nothing was written", t.taken, t.refused)
	}
	return fmt.Sprintf("%d added, %d there before, %d refused", t.added, t.known, t.refused)
}

// read hands on the people of a file in batches, and reports those it cannot.
func (c importAccounts) read(in io.Reader, report io.Writer, totals *importTotals, take func([]account.Imported) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, maxImportLine), maxImportLine)
	batch := make([]account.Imported, 0, account.ImportBatch)
	for lines.Scan() {
		totals.lines++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		person, err := readPerson(line)
		if err != nil {
			totals.refused++
			if _, err := fmt.Fprintf(report, "line %d: %v\n", totals.lines, err); err != nil {
				return err
			}
			continue
		}
		if batch = append(batch, person); len(batch) == account.ImportBatch {
			if err := take(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", totals.lines+1, err)
	}
	if len(batch) > 0 {
		return take(batch)
	}
	return nil
}

// readPerson reads one line. What is wrong is said without the hash, which is a secret.
func readPerson(line []byte) (person account.Imported, err error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&person); err != nil {
		return person, err
	}
	if decoder.More() {
		return person, errors.New("more than one JSON object")
	}
	return person, person.Check()
}
