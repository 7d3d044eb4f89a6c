package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/sekisho-id/sekisho/internal/app"
)

// keysCommand lists and turns signing keys.
type keysCommand struct {
	List   keysList   `cmd:"" help:"List signing keys and their states. Private parts are never shown."`
	Rotate keysRotate `cmd:"" help:"Publish next keys now; they take over after a day."`
	Reseal keysReseal `cmd:"" help:"Change the key-encryption key: seal all keys under the last one of those that are given."`
}

type keysList struct {
	installation
	Output string `enum:"text,json" default:"text" help:"text or json (${default})."`
}

func (c keysList) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		list, err := rooms.Keys.List(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			encoder := json.NewEncoder(term.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(list)
		}
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KEY\tPURPOSE\tALG\tSTATE\tSIGNS FROM\tREMOVED AFTER")
		for _, key := range list {
			removed := "-"
			if !key.RemoveAfter.IsZero() {
				removed = key.RemoveAfter.Format(timeLayout)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", key.ID, key.Purpose, key.Alg, key.State, key.CurrentFrom.Format(timeLayout), removed)
		}
		return table.Flush()
	})
}

type keysRotate struct {
	installation
	Emergency bool `help:"A private key has leaked: replace all keys at once. Tokens signed by the old ones are refused from then on."`
}

func (c keysRotate) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		if err := rooms.Keys.Rotate(ctx, c.Emergency); err != nil {
			return err
		}
		said := "next keys are published; they take over after a day"
		if c.Emergency {
			said = "all keys were replaced; the old ones verify nothing any more"
		}
		_, err := fmt.Fprintln(term.out, said)
		return err
	})
}

type keysReseal struct{ installation }

func (c keysReseal) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		if err := rooms.Keys.Reseal(ctx, operator()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(term.out, "all keys are sealed under the last key-encryption key; the others are not needed any more")
		return err
	})
}
