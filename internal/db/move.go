package db

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrMoved says that an installation is not, or not yet, in this database.
var ErrMoved = errors.New("db: the installation is not in this database")

// Move moves an installation that nobody uses from one database to another, of
// the same kind or not. It may be interrupted at any moment and run again. While
// it runs, and if it was not finished, no server starts on either database;
// afterwards none starts on the one that was left.
type Move struct {
	From, To string         // DSNs
	Progress func(Progress) // may be nil; not called side by side
}

// Progress is how far a move is with one table.
type Progress struct {
	Table       string
	Verifying   bool // else copying
	Done, Total int64
}

// Moved is what has been moved, and found the same on both sides.
type Moved struct {
	Tables int
	Rows   int64
}

// Run moves.
func (m Move) Run(ctx context.Context) (moved Moved, err error) {
	from, err := openAlone(ctx, m.From, true)
	if err != nil {
		return moved, fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openAlone(ctx, m.To, false)
	if err != nil {
		return moved, fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.close()) }()

	tables, err := sameTables(ctx, from, to)
	if err != nil {
		return moved, err
	}
	arrived, err := m.begin(ctx, from, to, tables)
	if err != nil {
		return moved, err
	}
	for _, t := range tables {
		if arrived {
			break
		}
		if err := m.copyTable(ctx, from, to, t); err != nil {
			return moved, fmt.Errorf("db: move table %s: %w", t.name, err)
		}
	}
	for _, t := range tables {
		rows, err := m.verifyTable(ctx, from, to, t)
		if err != nil {
			return moved, fmt.Errorf("db: verify table %s: %w", t.name, err)
		}
		moved.Tables++
		moved.Rows += rows
	}
	return moved, finish(ctx, from, to)
}

// begin marks both sides, or finds them marked by an earlier run, which may have
// come as far as the hand-over. The side that is left is marked first, so that
// nothing changes there from then on.
func (m Move) begin(ctx context.Context, from, to *side, tables []table) (arrived bool, err error) {
	here, err := from.mark(ctx)
	if err != nil {
		return false, err
	}
	there, err := to.mark(ctx)
	if err != nil {
		return false, err
	}
	switch {
	case here.state == stateArriving:
		return false, fmt.Errorf("--from: %w", here.refusal())
	case there.state == stateArriving && there.id == here.id:
		return here.state == stateLeft, nil
	case here.state == stateLeft:
		return false, fmt.Errorf("--from: %w", here.refusal())
	case there.state == stateArriving:
		return false, errors.New("--to: an unfinished move arrives in this database, which is not the one of this installation, or was taken back; drop it and make an empty one")
	case there.state != "":
		return false, fmt.Errorf("--to: %w", there.refusal())
	}
	if err := to.mustBeFresh(ctx, tables); err != nil {
		return false, fmt.Errorf("--to: %w", err)
	}
	// A new id: where an earlier attempt went, nothing can be finished any more.
	id := strings.ToLower(rand.Text())
	if err := from.setMark(ctx, mark{id: id, state: stateLeaving, other: to.name}, nil); err != nil {
		return false, err
	}
	// From now on no server starts on it; one that has started meanwhile is seen.
	if err := from.noOtherSessions(ctx); err != nil {
		return false, fmt.Errorf("--from: %w", err)
	}
	return false, to.setMark(ctx, mark{id: id, state: stateArriving, other: from.name}, tables)
}

// finish hands over. At no moment can both sides be served.
func finish(ctx context.Context, from, to *side) error {
	here, err := from.mark(ctx)
	if err != nil {
		return err
	}
	here.state, here.other = stateLeft, to.name
	if err := from.setMark(ctx, here, nil); err != nil {
		return err
	}
	return to.clearMark(ctx)
}

// TakeBack lets an installation that has left, or was leaving, be served from its
// old database again. What was changed in the new one meanwhile is not there.
func TakeBack(ctx context.Context, dsn string) (err error) {
	s, err := openAlone(ctx, dsn, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	found, err := s.mark(ctx)
	switch {
	case err != nil:
		return err
	case found.state == "":
		return errors.New("db: no move of this installation was begun")
	case found.state == stateArriving:
		return errors.New("db: an unfinished move arrives here; drop this database instead, and take the other one back")
	}
	return s.clearMark(ctx)
}

const (
	stateLeaving  = "leaving"
	stateLeft     = "left"
	stateArriving = "arriving"
)

// mark is what is written down of a move; the zero value: there is none.
type mark struct {
	id, state, other string
	at               time.Time
}

// refusal is why nothing is served from a database with this mark.
func (m mark) refusal() error {
	when := m.at.Format("2006-01-02 15:04 MST")
	switch m.state {
	case "":
		return nil
	case stateArriving:
		return fmt.Errorf("%w: since %s it is on its way here from %s; run sekisho migrate again to finish", ErrMoved, when, m.other)
	case stateLeaving:
		return fmt.Errorf("%w: since %s it is on its way to %s; run sekisho migrate again to finish, or take it back with sekisho migrate --undo --from this database", ErrMoved, when, m.other)
	}
	return fmt.Errorf("%w: it was moved to %s at %s; serve that, or take it back, without what has changed there, with sekisho migrate --undo --from this database", ErrMoved, m.other, when)
}

// nameOf names a database for people, without a password.
func nameOf(dsn string) string {
	if path, ok := File(dsn); ok {
		if whole, err := filepath.Abs(path); err == nil {
			path = whole
		}
		return "sqlite:" + path
	}
	config, _, err := parsePostgres(dsn)
	if err != nil {
		return "postgres://"
	}
	hosts := []string{config.Host}
	for _, one := range config.Fallbacks {
		if !slices.Contains(hosts, one.Host) {
			hosts = append(hosts, one.Host)
		}
	}
	return (&url.URL{Scheme: "postgres", Host: strings.Join(hosts, ","), Path: "/" + config.Database}).String()
}
