package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

// Refusals of Rekey and EndOverlap.
var (
	ErrSectorUnknown = errors.New("there is no such sector")
	ErrSectorCurrent = errors.New("the sector has the current key generation already; make another one first")
	ErrSectorOverlap = errors.New("former subjects of the sector are taken yet; end that first")
	ErrNoOverlap     = errors.New("no former subjects of the sector are taken")
)

// announcedFor is how long before its subjects change the re-keying of a sector is
// known to all processes, and to services that look for it once a minute.
const announcedFor = 2 * time.Minute

// Sectors lists all sectors by name, also those whose subsystem is gone.
func (r *Registry) Sectors() []Sector {
	var list []Sector
	for _, s := range r.current.Load().sectors {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Sector) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Rekey gives people other subjects in a sector, two minutes from now: those of the
// current key generation. For the overlap the former ones are taken, never issued.
// The receivers of events in the sector are told; by names who asks.
func (r *Registry) Rekey(ctx context.Context, name string, overlap time.Duration, by string) (Sector, error) {
	now := r.config.Now()
	rekeyed := Sector{Name: name, Gen: r.config.Generation(), RekeyedAt: now.Add(announcedFor), FormerUntil: now.Add(announcedFor + overlap)}
	err := r.config.DB.Update(ctx, func(tx *db.Tx) error {
		done, err := rekeySector(ctx, tx, rekeyed, now)
		if err != nil {
			return err
		}
		if !done {
			return r.whyNotRekeyed(ctx, tx, rekeyed)
		}
		tx.Changed(topic)
		err = outbox.Append(ctx, tx, outbox.Happening{
			Type: oauth.EventSubjectsRekeyed, At: now,
			Payload: map[string]any{
				"sector": name, "event_timestamp": now.Unix(),
				"rekeyed_at": rekeyed.RekeyedAt.Unix(), "former_until": rekeyed.FormerUntil.Unix(),
			},
		})
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Record{
			At: now, Event: audit.SectorRekeyed, Outcome: audit.OK,
			Detail: map[string]any{"sector": name, "generation": rekeyed.Gen, "former_until": rekeyed.FormerUntil.Unix(), "by": by},
		})
	})
	if err != nil {
		return Sector{}, fmt.Errorf("registry: re-key %s: %w", name, err)
	}
	return r.current.Load().sectors[name], nil
}

func (r *Registry) whyNotRekeyed(ctx context.Context, tx *db.Tx, wanted Sector) error {
	sectors, err := readSectors(ctx, tx)
	if err != nil {
		return err
	}
	switch s, ok := sectors[wanted.Name]; {
	case !ok:
		return ErrSectorUnknown
	case s.Gen >= wanted.Gen:
		return ErrSectorCurrent
	default:
		return ErrSectorOverlap
	}
}

// EndOverlap has the former subjects of a sector refused from now on.
func (r *Registry) EndOverlap(ctx context.Context, name, by string) error {
	now := r.config.Now()
	return r.config.DB.Update(ctx, func(tx *db.Tx) error {
		done, err := endOverlap(ctx, tx, name, now)
		if err != nil {
			return err
		}
		if !done {
			return fmt.Errorf("registry: end the overlap of %s: %w", name, ErrNoOverlap)
		}
		tx.Changed(topic)
		return audit.Append(ctx, tx, audit.Record{
			At: now, Event: audit.OverlapEnded, Outcome: audit.OK, Detail: map[string]any{"sector": name, "by": by},
		})
	})
}
