package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/keyring"
)

// keysCommand lists and turns signing keys.
type keysCommand struct {
	List   keysList   `cmd:"" help:"List signing keys and their states. Private parts are never shown."`
	Rotate keysRotate `cmd:"" help:"Publish next keys now; they take over after a day."`
}

// withKeys opens the keyring of an installation.
func withKeys(ctx context.Context, flags installation, term terminal, work func(*keyring.Keyring) error) error {
	config, err := flags.config(quiet(term.err))
	if err != nil {
		return err
	}
	keys, closeDatabase, err := app.OpenKeyring(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(work(keys), closeDatabase())
}

type keysList struct {
	installation
	Output string `enum:"text,json" default:"text" help:"text or json (${default})."`
}

func (c keysList) Run(ctx context.Context, term terminal) error {
	return withKeys(ctx, c.installation, term, func(keys *keyring.Keyring) error {
		list, err := keys.List(ctx)
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
	return withKeys(ctx, c.installation, term, func(keys *keyring.Keyring) error {
		if err := keys.Rotate(ctx, c.Emergency); err != nil {
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
