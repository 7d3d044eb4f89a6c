package pairwise

import (
	"context"
	"fmt"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// publishedFor is how long a generation is known to all processes before anybody is
// given it: twice as long as a change takes to be seen, and many times over.
const publishedFor = time.Minute

// generations are the key generations at one moment. They are replaced as a whole.
type generations struct {
	keys    []generation // generation g is keys[g-1]
	from    []time.Time  // and in use for what is new from then on
	missing int          // how many more the database has than there are secrets here
}

// Generation is what may be shown of a key generation.
type Generation struct {
	Number     int
	CreatedAt  time.Time
	ActiveFrom time.Time // people and sectors made from then on get it
}

// Current is the generation that new people and new sectors get.
func (p *Pairwise) Current() int {
	live, now := p.live.Load(), p.Now()
	for gen := len(live.keys); gen > 1; gen-- {
		if !now.Before(live.from[gen-1]) {
			return gen
		}
	}
	return 1
}

// Ready gives ErrNoSecret when another process has made a generation that this
// one has no secret for.
func (p *Pairwise) Ready() error {
	live := p.live.Load()
	if live.missing == 0 {
		return nil
	}
	return fmt.Errorf("%w: add the secret of generation %d and restart this process", ErrNoSecret, len(live.keys)+1)
}

// Generations lists the generations, the first one first.
func (p *Pairwise) Generations(ctx context.Context) ([]Generation, error) {
	var list []Generation
	err := p.DB.Read(ctx, func(tx *db.Tx) error {
		known, err := loadGenerations(ctx, tx)
		list = nil
		for _, row := range known {
			list = append(list, Generation{row.gen, row.createdAt, row.activeFrom})
		}
		return err
	})
	return list, err
}

// NextGeneration puts the next secret that waits into use, for people and sectors
// that are made a minute from now or later; identifiers there are stay as they are.
// Each process must have that secret already: one that has not serves nobody from
// now on. by names who asks. ErrNoSecret: none waits.
func (p *Pairwise) NextGeneration(ctx context.Context, by string) (made Generation, err error) {
	err = p.DB.Update(ctx, func(tx *db.Tx) error {
		known, err := loadGenerations(ctx, tx)
		if err != nil {
			return err
		}
		now := p.Now()
		made = Generation{len(known) + 1, now, now.Add(publishedFor)}
		if made.Number > len(p.Secrets) {
			return fmt.Errorf("%w %d: put a new one behind those there are, at each process, then ask again", ErrNoSecret, made.Number)
		}
		if err := p.make(ctx, tx, made); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Record{
			At: now, Event: audit.GenerationMade, Outcome: audit.OK, Detail: map[string]any{"generation": made.Number, "by": by},
		})
	})
	return made, err
}

// makeFirst makes the first generation in a new database.
func (p *Pairwise) makeFirst(ctx context.Context) error {
	known, err := p.Generations(ctx)
	if err != nil || len(known) > 0 {
		return err
	}
	return p.DB.Update(ctx, func(tx *db.Tx) error {
		known, err := loadGenerations(ctx, tx)
		if err != nil || len(known) > 0 { // another process was faster
			return err
		}
		return p.make(ctx, tx, Generation{Number: 1, CreatedAt: p.Now(), ActiveFrom: p.Now()})
	})
}

func (p *Pairwise) make(ctx context.Context, tx *db.Tx, made Generation) error {
	salt := secret.Bytes(SecretSize)
	g, err := newGeneration(p.Secrets[made.Number-1], salt)
	if err != nil {
		return err
	}
	tx.Changed(topic)
	return insertGeneration(ctx, tx, generationRow{
		gen: made.Number, salt: salt, checkValue: g.checkValue(), createdAt: made.CreatedAt, activeFrom: made.ActiveFrom,
	})
}

// load holds the secrets against the check values of the database.
func (p *Pairwise) load(ctx context.Context) error {
	var known []generationRow
	err := p.DB.Read(ctx, func(tx *db.Tx) (err error) {
		known, err = loadGenerations(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	live := &generations{}
	for _, row := range known {
		if row.gen > len(p.Secrets) {
			live.missing++
			continue
		}
		g, err := checkGeneration(row, p.Secrets[row.gen-1])
		if err != nil {
			p.distrust()
			return err
		}
		live.keys, live.from = append(live.keys, g), append(live.from, row.activeFrom)
	}
	p.live.Store(live)
	return nil
}

// distrust ends service when a generation was made with another secret than the
// one that waits here. Before the first load there is nothing to end.
func (p *Pairwise) distrust() {
	if live := p.live.Load(); live != nil {
		p.live.Store(&generations{keys: live.keys, from: live.from, missing: 1})
	}
}

func checkGeneration(row generationRow, one []byte) (generation, error) {
	g, err := newGeneration(one, row.salt)
	if err != nil {
		return g, err
	}
	if !secret.Equal(g.checkValue(), row.checkValue) {
		return g, fmt.Errorf("%w: generation %d was made with another secret; starting with this one would silently give every person new identifiers at every relying party, so put the right secret back",
			ErrWrongSecret, row.gen)
	}
	return g, nil
}
