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
	"github.com/sekisho-id/sekisho/internal/registry"
)

// registrationCommand lets third parties register their clients themselves.
type registrationCommand struct {
	Token  registrationToken  `cmd:"" help:"Make an initial access token, with which a third party registers its clients."`
	List   registrationList   `cmd:"" help:"List registered clients and open initial access tokens. Secrets are never shown."`
	Remove registrationRemove `cmd:"" help:"Remove a registered client with all it holds, or withdraw an initial access token."`
}

type registrationToken struct {
	installation
	Subsystem string        `required:"" placeholder:"NAME" help:"The third party of the group file whose clients they will be."`
	Valid     time.Duration `default:"24h" help:"How long the token can be used, at most 720h (${default})."`
}

// Run prints the token alone on standard output, so that a script can take it.
func (c registrationToken) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		made, token, err := rooms.Registry.MakeRegistrationToken(ctx, c.Subsystem, c.Valid, registry.Origin{By: operator()})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.err, "initial access token %s for clients of %s, valid until %s; it is shown once:\n",
			made.ID, made.Subsystem, made.ExpiresAt.Format(timeLayout))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, token)
		return err
	})
}

type registrationList struct {
	installation
	Output string `enum:"text,json" default:"text" help:"text or json (${default})."`
}

// listedClient is a registered client as the list shows it.
type listedClient struct {
	registry.Registered
	Name string `json:"client_name,omitempty"`
}

func (c registrationList) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		registered, tokens, err := rooms.Registry.Registrations(ctx)
		if err != nil {
			return err
		}
		clients := make([]listedClient, len(registered))
		for i, client := range registered {
			clients[i] = listedClient{Registered: client, Name: client.Declared.Name.String()}
		}
		if c.Output == "json" {
			encoder := json.NewEncoder(term.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(struct {
				Clients []listedClient               `json:"clients"`
				Tokens  []registry.RegistrationToken `json:"tokens"`
			}{clients, tokens})
		}
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CLIENT\tSUBSYSTEM\tREGISTERED\tNAME")
		for _, client := range clients {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", client.ID, client.Subsystem, client.CreatedAt.Format(timeLayout), quoted(client.Name))
		}
		fmt.Fprintln(table, "\nTOKEN\tSUBSYSTEM\tMADE\tVALID UNTIL")
		for _, token := range tokens {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", token.ID, token.Subsystem, token.CreatedAt.Format(timeLayout), token.ExpiresAt.Format(timeLayout))
		}
		return table.Flush()
	})
}

type registrationRemove struct {
	installation
	ID string `arg:"" help:"A client_id, or the id of a token, as the list shows them."`
}

func (c registrationRemove) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		said, remove := "withdrawn; nothing more can be registered with it", rooms.Registry.CloseRegistration
		if strings.Contains(c.ID, ".") {
			said, remove = "removed; its sign-ins have ended and it gets no more tokens", rooms.Registry.RemoveRegistered
		}
		err := remove(ctx, c.ID, registry.Origin{By: operator()})
		if errors.Is(err, registry.ErrNotRegistered) {
			return fmt.Errorf("there is no registered client and no initial access token %s; see: sekisho registration list", c.ID)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(term.out, said)
		return err
	})
}
