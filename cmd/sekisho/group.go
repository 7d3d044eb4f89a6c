package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/user"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// groupFile is the argument of the commands that read a group file.
type groupFile struct {
	File string `arg:"" name:"group-file" help:"The group file, for example group.yaml."`
}

// checkCommand reads a group file and says what is wrong with it.
type checkCommand struct {
	groupFile
}

func (c checkCommand) Run(term terminal) error {
	group, err := app.ReadGroupFile(c.File)
	if err != nil {
		return err
	}
	clients := 0
	for _, subsystem := range group.Subsystems {
		clients += len(subsystem.Clients)
	}
	_, err = fmt.Fprintf(term.out, "%s is a valid group file: %d subsystems, %d clients, %d edges\n",
		c.File, len(group.Subsystems), clients, len(group.Calls))
	return err
}

// planCommand compares a group file with the group in force.
type planCommand struct {
	groupFile
	database
	Output string `enum:"text,json" default:"text" help:"text or json (${default})."`
}

func (c planCommand) Run(ctx context.Context, term terminal) error {
	wanted, err := app.ReadGroupFile(c.File)
	if err != nil {
		return err
	}
	dsn, err := c.dsn()
	if err != nil {
		return err
	}
	plan, err := app.PlanGroup(ctx, dsn, wanted)
	if err != nil {
		return err
	}
	return printPlan(term, plan, c.Output)
}

// applyCommand makes a group file the group in force.
type applyCommand struct {
	groupFile
	installation
	Output string `enum:"text,json" default:"text" help:"text or json (${default})."`
}

func (c applyCommand) Run(ctx context.Context, term terminal) error {
	wanted, err := app.ReadGroupFile(c.File)
	if err != nil {
		return err
	}
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		plan, err := rooms.Registry.Apply(ctx, wanted, operator())
		if err != nil {
			return err
		}
		if err := printPlan(term, plan, c.Output); err != nil || plan.Empty() || c.Output == "json" {
			return err
		}
		_, err = fmt.Fprintln(term.out, "applied; a running server sees it within half a second")
		return err
	})
}

func printPlan(term terminal, plan registry.Plan, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(term.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(plan)
	}
	_, err := fmt.Fprint(term.out, plan.String())
	return err
}

// operator names who runs the command, for the audit log.
func operator() string {
	if current, err := user.Current(); err == nil {
		return "command line, " + current.Username
	}
	return "command line"
}

// schemaCommand prints the JSON Schema of the group file.
type schemaCommand struct{}

func (schemaCommand) Run(term terminal) error {
	_, err := fmt.Fprintln(term.out, string(registry.Schema()))
	return err
}
