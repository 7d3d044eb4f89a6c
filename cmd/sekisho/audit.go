package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/audit"
)

// auditCommand shows what was decided.
type auditCommand struct {
	database
	Since   time.Duration `default:"24h" help:"How far to look back (${default})."`
	Client  string        `placeholder:"ID" help:"Only this client."`
	Account string        `placeholder:"ID" help:"Only this account, by its id."`
	Event   string        `placeholder:"NAME" help:"Only this event, for example signin.failed."`
	Output  string        `enum:"text,json" default:"text" help:"text, or json with a record a line (${default})."`
}

func (c auditCommand) Run(ctx context.Context, term terminal) error {
	query := audit.Query{
		Account: c.Account, Client: c.Client, Event: audit.Event(c.Event), From: time.Now().Add(-c.Since),
	}
	dsn, err := c.dsn()
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(term.out)
	return app.EachAuditRecord(ctx, dsn, query, func(r audit.Record) error {
		if c.Output == "json" {
			return encoder.Encode(r)
		}
		_, err := fmt.Fprintln(term.out, auditLine(r))
		return err
	})
}

// auditLine writes a record for people: when, what, and what it was about.
func auditLine(r audit.Record) string {
	var line strings.Builder
	fmt.Fprintf(&line, "%s  %-18s %-7s", r.At.Format(timeLayout), r.Event, r.Outcome)
	for _, part := range []struct{ name, value string }{
		{"client", r.Client}, {"account", r.Account}, {"from", r.Source}, {"reason", r.Reason}, {"request", r.Request},
	} {
		if part.value != "" {
			fmt.Fprintf(&line, " %s=%s", part.name, quoted(part.value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Detail)) {
		fmt.Fprintf(&line, " %s=%s", name, quoted(fmt.Sprint(r.Detail[name])))
	}
	return line.String()
}

// quoted keeps a value in one piece, and what it holds away from the terminal.
func quoted(value string) string {
	if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c == '"' || c > '~' }) {
		return fmt.Sprintf("%q", value)
	}
	return value
}
