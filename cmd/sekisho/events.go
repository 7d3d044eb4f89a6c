package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
)

// eventsCommand is what an operator can see of events on their way to receivers,
// and do about them. It needs no secrets, and shows neither what events say nor
// whom they are about.
type eventsCommand struct {
	Streams eventsStreams `cmd:"" help:"List the streams of events: how they are delivered, what waits, what went wrong."`
	Tail    eventsTail    `cmd:"" help:"Show deliveries as they succeed or are given up."`
	Dead    eventsDead    `cmd:"" help:"List deliveries that were given up, and why."`
	Resend  eventsResend  `cmd:"" help:"Deliver again what was given up."`
	Replay  eventsReplay  `cmd:"" help:"Deliver again what was delivered, under the same ids and with the same content."`
	Pause   eventsPause   `cmd:"" help:"Hold back what comes for a stream."`
	Resume  eventsResume  `cmd:"" help:"Let a stream that was paused or disabled go on."`
	Disable eventsDisable `cmd:"" help:"Drop what waits and what comes for a stream."`
}

// eventsFlags are the flags of all of them.
type eventsFlags struct {
	database
	Output string `enum:"text,json" default:"text" help:"text, or json with an object a line (${default})."`
}

// open opens the database for one piece of work.
func (f eventsFlags) open(ctx context.Context, work func(*db.DB) error) error {
	dsn, err := f.dsn()
	if err != nil {
		return err
	}
	return app.WithDatabase(ctx, dsn, work)
}

// found opens the database and finds the stream that is meant.
func (f eventsFlags) found(ctx context.Context, name string, work func(*db.DB, courier.Report) error) error {
	return f.open(ctx, func(database *db.DB) error {
		reports, err := overview(ctx, database)
		if err != nil {
			return err
		}
		for _, report := range reports {
			if name == report.ID || name == report.Client && report.Method != courier.MethodLogout {
				return work(database, report)
			}
		}
		return fmt.Errorf("no stream has the id %s, and no client of this name has one; see: sekisho events streams", quoted(name))
	})
}

// say answers a command that did something to n deliveries.
func (f eventsFlags) say(term terminal, stream string, n int64, text string) error {
	if f.Output == "json" {
		return json.NewEncoder(term.out).Encode(map[string]any{"stream": stream, "deliveries": n})
	}
	_, err := fmt.Fprintf(term.out, text+"\n", n)
	return err
}

func overview(ctx context.Context, database *db.DB) (reports []courier.Report, err error) {
	err = database.Read(ctx, func(tx *db.Tx) error {
		reports, err = courier.Overview(ctx, tx)
		return err
	})
	return reports, err
}

type eventsStreams struct {
	eventsFlags
}

// streamLine is a stream as the command tells of it.
type streamLine struct {
	Receiver string     `json:"receiver"`
	Client   string     `json:"client"`
	Stream   string     `json:"stream"`
	Method   string     `json:"method"`
	Endpoint string     `json:"endpoint,omitempty"`
	Status   string     `json:"status"`
	Reason   string     `json:"reason,omitempty"`
	Pending  int64      `json:"pending"`
	Dead     int64      `json:"dead"`
	Oldest   *time.Time `json:"oldest_pending,omitempty"`
	Failing  *time.Time `json:"failing_since,omitempty"`
	RetryAt  *time.Time `json:"retry_at,omitempty"`
	Fault    string     `json:"last_fault,omitempty"`
}

func (c eventsStreams) Run(ctx context.Context, term terminal) error {
	return c.open(ctx, func(database *db.DB) error {
		reports, err := overview(ctx, database)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(term.out)
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		if c.Output == "text" && len(reports) > 0 {
			fmt.Fprintln(table, "RECEIVER\tCLIENT\tMETHOD\tSTATUS\tPENDING\tDEAD\tWAITS SINCE\tSTREAM\tLAST FAULT")
		}
		for i := range reports {
			line := lineOf(&reports[i])
			if c.Output == "json" {
				if err := encoder.Encode(line); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", line.Receiver, line.Client, line.Method, line.Status,
				line.Pending, line.Dead, moment(line.Oldest), line.Stream, orDash(line.Fault))
		}
		return table.Flush()
	})
}

func lineOf(r *courier.Report) streamLine {
	line := streamLine{
		Receiver: r.Receiver, Client: r.Client, Stream: r.ID, Method: r.Method, Endpoint: r.Endpoint,
		Status: string(r.Status), Reason: r.Reason, Pending: r.Pending, Dead: r.Dead, Fault: r.Fault,
	}
	for _, one := range []struct {
		to *(*time.Time)
		at time.Time
	}{{&line.Oldest, r.Oldest}, {&line.Failing, r.FailingSince}, {&line.RetryAt, r.RetryAt}} {
		if !one.at.IsZero() {
			*one.to = &one.at
		}
	}
	return line
}

type eventsTail struct {
	eventsFlags
	Stream string        `placeholder:"STREAM" help:"Only this stream, by its id."`
	Since  time.Duration `default:"10m" help:"How far to look back (${default})."`
	Follow bool          `short:"f" help:"Go on until interrupted."`
}

const (
	tailEvery = 500 * time.Millisecond
	tailPage  = 500
	// A delivery becomes visible a moment after the time that it bears.
	tailOverlap = 2 * time.Second
)

func (c eventsTail) Run(ctx context.Context, term terminal) error {
	return c.open(ctx, func(database *db.DB) error {
		from := time.Now().Add(-c.Since)
		shown := map[[2]int64]time.Time{} // Seq and time of settling, which a replay has anew
		for {
			newest, err := c.show(ctx, database, term, from, shown)
			if err != nil || !c.Follow {
				return err
			}
			if again := newest.Add(-tailOverlap); again.After(from) {
				from = again
			}
			for key, at := range shown {
				if at.Before(from) {
					delete(shown, key)
				}
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(tailEvery):
			}
		}
	})
}

// show writes what was settled from a time on and was not shown before.
func (c eventsTail) show(ctx context.Context, database *db.DB, term terminal, from time.Time, shown map[[2]int64]time.Time) (newest time.Time, err error) {
	newest = from
	for after := int64(0); ; {
		var page []outbox.Delivery
		err := database.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = outbox.ListSettled(ctx, tx, newest, after, tailPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return newest, err
		}
		for i := range page {
			d := &page[i]
			newest, after = d.SettledAt, d.Seq
			key := [2]int64{d.Seq, db.Millis(d.SettledAt)}
			if _, known := shown[key]; known || c.Stream != "" && c.Stream != d.Stream {
				continue
			}
			shown[key] = d.SettledAt
			if err := c.write(term, d); err != nil {
				return newest, err
			}
		}
	}
}

// deliveryLine is a delivery as the commands tell of it.
type deliveryLine struct {
	Settled  time.Time `json:"settled_at"`
	State    string    `json:"state"`
	Stream   string    `json:"stream"`
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Created  time.Time `json:"created_at"`
	Attempts int       `json:"attempts"`
	Fault    string    `json:"fault,omitempty"`
}

func (f eventsFlags) write(term terminal, d *outbox.Delivery) error {
	line := deliveryLine{
		Settled: d.SettledAt, State: string(d.State), Stream: d.Stream, ID: d.ID, Type: d.Type,
		Created: d.CreatedAt, Attempts: d.Attempts, Fault: d.Fault,
	}
	if f.Output == "json" {
		return json.NewEncoder(term.out).Encode(line)
	}
	text := fmt.Sprintf("%s  %-4s %s stream=%s id=%s attempts=%d after=%s", line.Settled.Format(timeLayout), line.State,
		shortType(line.Type), quoted(line.Stream), line.ID, line.Attempts, line.Settled.Sub(line.Created))
	if line.Fault != "" {
		text += " fault=" + quoted(line.Fault)
	}
	_, err := fmt.Fprintln(term.out, text)
	return err
}

type eventsDead struct {
	eventsFlags
	Stream string `placeholder:"STREAM" help:"Only this stream, by its id or its client."`
}

func (c eventsDead) Run(ctx context.Context, term terminal) error {
	if c.Stream != "" {
		return c.found(ctx, c.Stream, func(database *db.DB, report courier.Report) error {
			return c.list(ctx, database, term, report.ID)
		})
	}
	return c.open(ctx, func(database *db.DB) error {
		reports, err := overview(ctx, database)
		for _, report := range reports {
			err = errors.Join(err, c.list(ctx, database, term, report.ID))
		}
		return err
	})
}

func (c eventsDead) list(ctx context.Context, database *db.DB, term terminal, stream string) error {
	for after := int64(0); ; {
		var page []outbox.Delivery
		err := database.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = outbox.ListDead(ctx, tx, stream, after, tailPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			after = page[i].Seq
			if err := c.write(term, &page[i]); err != nil {
				return err
			}
		}
	}
}

func moment(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.Format(timeLayout)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return quoted(text)
}

// shortType is the end of an event type, which tells it apart well enough on a
// line.
func shortType(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }
