package registry

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// topic of the change feed.
const topic = "registry"

// Config is what a registry needs.
type Config struct {
	DB  *db.DB
	Now func() time.Time

	// ClientRoots are the authorities whose certificates clients may authenticate
	// with; nil for none.
	ClientRoots *x509.CertPool

	// Generation, if not nil, is the generation of pairwise keys for new sectors;
	// otherwise they get the first one.
	Generation func() int
	// Removed, if not nil, runs in the transaction of an Apply that removes
	// clients, and ends what they hold.
	Removed func(ctx context.Context, tx *db.Tx, clients []string) error
}

// Registry keeps the group of the database in memory.
type Registry struct {
	config  Config
	current atomic.Pointer[state]
	loading sync.Mutex // one at a time, or an older state could take the place of a newer one
	replays *replays
	uses    *uses
	decoy   decoy
}

// state is one revision, declared and linked.
type state struct {
	group      *Group // nil while no group was applied
	sectors    map[string]Sector
	registered map[string][]string // ids of registered clients, by subsystem
	snapshot   *Snapshot
}

// Open loads the group and follows its changes. At the first start it makes the
// realm; the group is then empty until one is applied.
func Open(ctx context.Context, config Config) (*Registry, error) {
	if config.Generation == nil {
		config.Generation = func() int { return 1 }
	}
	decoy, err := newDecoy()
	if err != nil {
		return nil, err
	}
	r := &Registry{config: config, replays: newReplays(), uses: &uses{db: config.DB}, decoy: decoy}
	if err := r.makeRealm(ctx); err != nil {
		return nil, fmt.Errorf("registry: realm: %w", err)
	}
	config.DB.Watch(topic, r.load)
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("registry: load the group: %w", err)
	}
	return r, nil
}

// Current is the group as it is now. A request takes it once and keeps it.
func (r *Registry) Current() *Snapshot { return r.current.Load().snapshot }

// Group is the declared group of the database, nil while none was applied. It
// is shared: do not change it.
func (r *Registry) Group() *Group { return r.current.Load().group }

// Plan says what Apply would do.
func (r *Registry) Plan(group *Group) (Plan, error) {
	if err := group.Check(); err != nil {
		return Plan{}, err
	}
	held := r.current.Load()
	if err := group.checkPins(held.group, held.sectors); err != nil {
		return Plan{}, err
	}
	return diff(held.group, group, held.registered), nil
}

// Apply makes a group the one that holds, in one transaction or not at all, and
// says what changed. by names who did it, for the audit. An equal group changes
// nothing. When Apply returns, Current is the new group.
func (r *Registry) Apply(ctx context.Context, group *Group, by string) (Plan, error) {
	if err := group.Check(); err != nil {
		return Plan{}, err
	}
	document, err := json.Marshal(group)
	if err != nil {
		return Plan{}, fmt.Errorf("registry: write the document: %w", err)
	}
	var plan Plan
	var holds int64 // the revision that holds when this is done
	err = r.config.DB.Update(ctx, func(tx *db.Tx) error {
		// One after the other, each on what the one before has made.
		if err := lockRealm(ctx, tx); err != nil {
			return err
		}
		held, err := newestRevision(ctx, tx)
		if err != nil {
			return err
		}
		holds = held.id
		old, err := held.group()
		if err != nil {
			return err
		}
		sectors, err := readSectors(ctx, tx)
		if err != nil {
			return err
		}
		if err := group.checkPins(old, sectors); err != nil {
			return err
		}
		if plan = Diff(old, group); plan.Empty() && old != nil {
			return nil
		}
		lost, err := deleteLost(ctx, tx, group)
		if err != nil {
			return err
		}
		plan = diff(old, group, lost)
		next := revision{id: held.id + 1, document: string(document)}
		holds = next.id
		return r.write(ctx, tx, group, next, plan, by)
	})
	if err == nil && r.Current().Revision < holds {
		err = r.load(ctx) // another has just applied an equal group
	}
	if err != nil {
		return Plan{}, fmt.Errorf("registry: apply: %w", err)
	}
	return plan, nil
}

// write writes everything an applied group consists of.
func (r *Registry) write(ctx context.Context, tx *db.Tx, group *Group, next revision, plan Plan, by string) error {
	now := r.config.Now()
	for _, name := range sortedKeys(group.Subsystems) {
		sector := Sector{Name: group.sectorName(name), ID: secret.ID(), Gen: r.config.Generation()}
		if err := writeSector(ctx, tx, sector, db.Millis(now)); err != nil {
			return err
		}
	}
	if err := writeRevision(ctx, tx, next, db.Millis(now), by); err != nil {
		return err
	}
	if removed := plan.RemovedClients(); len(removed) > 0 && r.config.Removed != nil {
		if err := r.config.Removed(ctx, tx, removed); err != nil {
			return err
		}
	}
	tx.Changed(topic)
	detail := plan.detail()
	detail["by"], detail["revision"] = by, next.id
	return audit.Append(ctx, tx, audit.Record{
		At:      now,
		Event:   audit.GroupApplied,
		Outcome: audit.OK,
		Detail:  detail,
	})
}

// load builds the snapshot of the newest document and swaps it.
func (r *Registry) load(ctx context.Context) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	var held revision
	var sectors map[string]Sector
	var registered []Registered
	var realm string
	err := r.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if held, err = newestRevision(ctx, tx); err != nil {
			return err
		}
		if registered, err = readAllRegistered(ctx, tx); err != nil {
			return err
		}
		if sectors, err = readSectors(ctx, tx); err != nil {
			return err
		}
		realm, err = readRealm(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	group, err := held.group()
	if err != nil {
		return err
	}
	snapshot, err := build(group, sectors, registered)
	if err != nil {
		return fmt.Errorf("registry: revision %d: %w", held.id, err)
	}
	snapshot.Revision, snapshot.Realm = held.id, realm
	ids := map[string][]string{}
	for _, client := range registered {
		ids[client.Subsystem] = append(ids[client.Subsystem], client.ID)
	}
	r.current.Store(&state{group: group, sectors: sectors, registered: ids, snapshot: snapshot})
	return nil
}

// makeRealm makes the realm at the first start.
func (r *Registry) makeRealm(ctx context.Context) error {
	var id string
	err := r.config.DB.Read(ctx, func(tx *db.Tx) (err error) {
		id, err = readRealm(ctx, tx)
		return err
	})
	if err != nil || id != "" {
		return err
	}
	return r.config.DB.Update(ctx, func(tx *db.Tx) error {
		return writeRealm(ctx, tx, secret.ID())
	})
}
