package courier

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	buckets    = 16
	tick       = 500 * time.Millisecond
	leaseLife  = 7500 * time.Millisecond
	leaseRenew = 1500 * time.Millisecond
	leaseSpare = time.Second // before its end a lease is not relied on
)

// dispatcher decides which lanes run in this process.
type dispatcher struct {
	*Courier
	settler settler
	holder  string        // this process, in leases
	wake    chan struct{} // something has changed

	leases  [buckets]atomic.Int64 // held until then, unix milliseconds
	yields  [buckets]atomic.Bool  // held, but to be given back once nothing is under way
	leaving atomic.Bool           // nothing more is sent

	rounds  sync.Mutex // held during a round; guards what follows
	lanes   map[string]*lane
	group   *registry.Snapshot
	seen    *streamTable
	lastSeq int64
	started bool
	renewAt time.Time
	unread  bool // buckets were gained, and how their streams are is not read yet

	running sync.WaitGroup
	mu      sync.Mutex // of the lanes' busy, dirty and nextDue
	faults  sync.Map   // what could not be done, by what: logged once
}

func newDispatcher(c *Courier) *dispatcher {
	d := &dispatcher{Courier: c, holder: secret.ID(), wake: make(chan struct{}, 1), lanes: map[string]*lane{}}
	d.settler.courier = c
	return d
}

// Run brings events to their receivers until ctx ends; then it lets requests under
// way finish, writes down what came of them, and gives its leases back.
func (c *Courier) Run(ctx context.Context) error {
	d := c.dispatch
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		d.round(ctx)
		select {
		case <-ctx.Done():
			d.leaving.Store(true)
			d.running.Wait()
			return d.giveBack(context.WithoutCancel(ctx))
		case <-d.wake:
		case <-ticker.C:
		}
	}
}

// Tick does what Run does in a round, again and again until there is nothing to do
// at the time it is, and waits for what was sent. It is for those who turn the
// clock by hand.
func (c *Courier) Tick(ctx context.Context) {
	for c.dispatch.round(ctx) > 0 {
		c.dispatch.running.Wait()
	}
}

// rouse has Run look at once.
func (d *dispatcher) rouse() {
	select {
	case d.wake <- struct{}{}:
	default: // awake already
	}
}

// round takes what happened, keeps the leases, and starts the lanes in which
// something is due. It says how many.
func (d *dispatcher) round(ctx context.Context) (started int) {
	d.rounds.Lock()
	defer d.rounds.Unlock()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"turn what happened into events", d.tellAll},
		{"keep the leases of deliveries", d.renew},
		{"look for new deliveries", d.look},
	} {
		err := step.do(ctx)
		if ctx.Err() != nil {
			return 0
		}
		d.report(step.what, err)
	}
	return d.start(ctx)
}

// report logs a failure when it begins and when it is over, not at every tick.
func (d *dispatcher) report(what string, err error) {
	if err == nil {
		if _, failed := d.faults.LoadAndDelete(what); failed {
			d.Logger.Info("can again " + what)
		}
		return
	}
	if _, known := d.faults.LoadOrStore(what, true); !known {
		d.Logger.Error("could not "+what, "cause", err)
	}
}

// tellAll turns all happenings into messages.
func (d *dispatcher) tellAll(ctx context.Context) error {
	for {
		var found bool
		err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
			found, err = outbox.AnyHappenings(ctx, tx)
			return err
		})
		if err != nil || !found {
			return err
		}
		if _, err := d.tellHappenings(ctx); err != nil {
			return err
		}
	}
}

// look brings the lanes up to date with group and streams, and marks those with
// new deliveries.
func (d *dispatcher) look(ctx context.Context) error {
	d.refresh(false)
	var streams []string
	last := d.lastSeq
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if !d.started {
			last, err = outbox.LastSeq(ctx, tx)
			return err
		}
		streams, last, err = outbox.StreamsSince(ctx, tx, d.lastSeq)
		return err
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, stream := range streams {
		if l := d.lanes[stream]; l != nil {
			l.dirty = true
		}
	}
	d.lastSeq, d.started = last, true
	return nil
}

// refresh makes a lane for each stream that is pushed to, and takes away those
// that are no more. anew forgets what this process knew of their health.
func (d *dispatcher) refresh(anew bool) {
	group, table := d.Registry.Current(), d.table.Load()
	if group == d.group && table == d.seen && !anew {
		return
	}
	d.group, d.seen = group, table
	places := d.places(group, table)
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, to := range places {
		l := d.lanes[id]
		if l == nil {
			l = &lane{dispatch: d, bucket: bucketOf(id)}
			d.lanes[id] = l
		}
		l.adopt(to, anew)
		l.dirty = true
	}
	for id, l := range d.lanes {
		if _, ok := places[id]; ok {
			continue
		}
		l.disable()
		if !l.busy {
			delete(d.lanes, id)
		}
	}
}

func (d *dispatcher) places(group *registry.Snapshot, table *streamTable) map[string]place {
	places := map[string]place{}
	for id, s := range table.byID {
		if s.Method == oauth.DeliveryPoll || s.Status != StreamEnabled || !current(group, s) {
			continue
		}
		client, _ := group.Client(s.Client)
		places[id] = place{id: id, stream: s, client: client}
	}
	for _, subsystem := range group.Subsystems() {
		for _, client := range subsystem.Clients {
			if client.BackChannelLogoutURI != "" {
				places[logoutPrefix+client.ID] = place{id: logoutPrefix + client.ID, client: client}
			}
		}
	}
	return places
}

// start runs the lanes in which something may be due and that may go.
func (d *dispatcher) start(ctx context.Context) (started int) {
	now := d.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		due := l.dirty || !l.nextDue.IsZero() && !l.nextDue.After(now)
		if l.busy || !due {
			continue
		}
		if _, _, ok := l.mayGo(now); !ok {
			continue
		}
		l.busy, l.dirty = true, false
		started++
		d.running.Go(func() { d.runLane(ctx, l) })
	}
	return started
}

func (d *dispatcher) runLane(ctx context.Context, l *lane) {
	nextDue := l.run(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	l.busy, l.nextDue = false, nextDue
	if l.dirty {
		d.rouse()
	}
}

// holds reports whether this process sends for a bucket.
func (d *dispatcher) holds(bucket int, now time.Time) bool {
	return !d.leaving.Load() && !d.yields[bucket].Load() &&
		now.UnixMilli() < d.leases[bucket].Load()-leaseSpare.Milliseconds()
}

// renew keeps the leases, takes what nobody holds, up to this process's share, and
// gives back what is above it.
func (d *dispatcher) renew(ctx context.Context) error {
	now := d.Now()
	if now.Before(d.renewAt) {
		return nil
	}
	var held [buckets]bool
	var share int
	err := d.DB.Update(ctx, func(tx *db.Tx) error {
		held = [buckets]bool{}
		if _, err := outbox.Take(ctx, tx, "process/"+d.holder, d.holder, now, now.Add(leaseLife)); err != nil {
			return err
		}
		processes, err := outbox.CountHolders(ctx, tx, now)
		if err != nil {
			return err
		}
		share = (buckets + processes - 1) / processes
		return d.takeShare(ctx, tx, now, share, &held)
	})
	if err != nil {
		return err
	}
	count := 0
	for i := range held {
		if !held[i] {
			d.leases[i].Store(0)
			d.yields[i].Store(false)
			continue
		}
		count++
		if d.leases[i].Swap(now.Add(leaseLife).UnixMilli()) == 0 {
			d.unread = true
		}
		d.yields[i].Store(count > share)
	}
	d.renewAt = now.Add(leaseRenew)
	return d.lookAround(ctx)
}

// takeShare renews what is held and takes what is free, until the share is full. A
// bucket above it is given back when it has been yielded and nothing is under way.
func (d *dispatcher) takeShare(ctx context.Context, tx *db.Tx, now time.Time, share int, held *[buckets]bool) error {
	count := 0
	for _, mine := range []bool{true, false} {
		for i := range buckets {
			if (d.leases[i].Load() != 0) != mine || !mine && count >= share {
				continue
			}
			if count >= share && d.yields[i].Load() && d.idle(i) {
				if err := outbox.GiveBack(ctx, tx, leaseName(i), d.holder); err != nil {
					return err
				}
				continue
			}
			taken, err := outbox.Take(ctx, tx, leaseName(i), d.holder, now, now.Add(leaseLife))
			if err != nil {
				return err
			}
			if held[i] = taken; taken {
				count++
			}
		}
	}
	return nil
}

// idle reports whether nothing is under way in a bucket.
func (d *dispatcher) idle(bucket int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		if l.busy && l.bucket == bucket {
			return false
		}
	}
	return true
}

// lookAround finds when something is due in each lane: what others made pending
// again is seen by that. Of buckets that were somebody else's, it reads how their
// streams are.
func (d *dispatcher) lookAround(ctx context.Context) error {
	if d.unread {
		if err := d.loadStreams(ctx); err != nil {
			return err
		}
	}
	d.refresh(d.unread)
	d.unread = false
	due := map[string]time.Time{}
	err := d.DB.Read(ctx, func(tx *db.Tx) error {
		for id, l := range d.lanes {
			if d.leases[l.bucket].Load() == 0 {
				continue // whoever takes the bucket over looks then
			}
			at, _, err := outbox.NextDue(ctx, tx, id)
			if err != nil {
				return err
			}
			due[id] = at
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, at := range due {
		switch l := d.lanes[id]; {
		case l.busy:
			l.dirty = true
		default:
			l.nextDue = at
		}
	}
	return nil
}

// giveBack ends all leases.
func (d *dispatcher) giveBack(ctx context.Context) error {
	return d.DB.Update(ctx, func(tx *db.Tx) error {
		for i := range buckets {
			if err := outbox.GiveBack(ctx, tx, leaseName(i), d.holder); err != nil {
				return err
			}
		}
		return outbox.GiveBack(ctx, tx, "process/"+d.holder, d.holder)
	})
}

func leaseName(bucket int) string { return fmt.Sprintf("bucket/%02d", bucket) }

func bucketOf(stream string) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(stream)) // never fails
	return int(hash.Sum32() % buckets)
}
