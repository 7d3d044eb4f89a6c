package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// ppidCommand turns the keys that people's ids are made with. See docs/ppid.md.
type ppidCommand struct {
	Generations    ppidGenerations    `cmd:"" help:"List the key generations."`
	NextGeneration ppidNextGeneration `cmd:"" help:"Put the next PPID secret into use for new people and new sectors. Ids there are stay."`
	Sectors        ppidSectors        `cmd:"" help:"List the sectors and their generations."`
	Rekey          ppidRekey          `cmd:"" help:"A key has leaked: give people other ids in one sector. The ones of before are taken for a while."`
	EndOverlap     ppidEndOverlap     `cmd:"" help:"Refuse the ids that people had in a sector before it was re-keyed, from now on."`
}

type ppidGenerations struct{ installation }

func (c ppidGenerations) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		list, err := rooms.Pairwise.Generations(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "GENERATION\tMADE\tFOR NEW PEOPLE FROM")
		for _, g := range list {
			fmt.Fprintf(table, "%d\t%s\t%s\n", g.Number, g.CreatedAt.Format(timeLayout), g.ActiveFrom.Format(timeLayout))
		}
		return table.Flush()
	})
}

type ppidNextGeneration struct{ installation }

func (c ppidNextGeneration) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		made, err := rooms.Pairwise.NextGeneration(ctx, operator())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(term.out, "generation %d is there; people and sectors made from %s on get it\n",
			made.Number, made.ActiveFrom.Format(timeLayout))
		return err
	})
}

type ppidSectors struct{ installation }

func (c ppidSectors) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "SECTOR\tGENERATION\tRE-KEYED\tFORMER IDS UNTIL")
		for _, s := range rooms.Registry.Sectors() {
			rekeyed, until := "-", "-"
			if s.Former > 0 {
				rekeyed, until = s.RekeyedAt.Format(timeLayout), s.FormerUntil.Format(timeLayout)
			}
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", s.Name, s.Gen, rekeyed, until)
		}
		return table.Flush()
	})
}

type ppidRekey struct {
	installation
	Sector  string        `arg:"" help:"The sector: the name of its subsystem, or what the group file says."`
	Overlap time.Duration `default:"2160h" help:"How long ids of before are taken (${default}, 90 days)."`
}

func (c ppidRekey) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		s, err := rooms.Registry.Rekey(ctx, c.Sector, c.Overlap, operator())
		switch {
		case errors.Is(err, registry.ErrSectorCurrent):
			return fmt.Errorf("%w (sekisho ppid next-generation; a minute later it can be used)", err)
		case errors.Is(err, registry.ErrSectorOverlap):
			return fmt.Errorf("%w (sekisho ppid end-overlap %s)", err, c.Sector)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintf(term.out, "people have other ids in %s from %s on; those of before are taken until %s\n",
			s.Name, s.RekeyedAt.Format(timeLayout), s.FormerUntil.Format(timeLayout))
		return err
	})
}

// Validate refuses an overlap that is none.
func (c ppidRekey) Validate() error {
	if c.Overlap <= 0 {
		return errors.New("--overlap must be longer than nothing; end it with sekisho ppid end-overlap")
	}
	return nil
}

type ppidEndOverlap struct {
	installation
	Sector string `arg:"" help:"The sector."`
}

func (c ppidEndOverlap) Run(ctx context.Context, term terminal) error {
	return withRooms(ctx, c.installation, term, func(rooms *app.Rooms) error {
		if err := rooms.Registry.EndOverlap(ctx, c.Sector, operator()); err != nil {
			return err
		}
		_, err := fmt.Fprintf(term.out, "ids of before name nobody in %s any more\n", c.Sector)
		return err
	})
}
