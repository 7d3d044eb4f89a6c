package db

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	followEvery = 500 * time.Millisecond
	reloadLimit = 5 * time.Second
)

// watcher is one room's wish to load again what it keeps in memory.
type watcher struct {
	topic  string
	reload func(context.Context) error

	mu     sync.Mutex // one reload at a time, so that the newest state is stored last
	seen   int64      // version that the last good reload has seen at least
	failed atomic.Bool
}

// Watch has reload run whenever the topic has changed, in this process or in
// another one. A room watches first and loads then, so that no change falls
// between. reload reads only: an Update in it that changes the same topic
// would wait for itself.
func (d *DB) Watch(topic string, reload func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watchers[topic] = append(d.watchers[topic], &watcher{topic: topic, reload: reload})
}

// Changed marks the topic as changed by this transaction.
func (t *Tx) Changed(topic string) {
	if t.changed == nil {
		t.changed = map[string]int64{}
	}
	t.changed[topic] = 0
}

// bump gives the changed topics their new versions. It runs last in the
// transaction, in one order of topics, so that two writers never wait for each
// other.
func (t *Tx) bump(ctx context.Context) error {
	for _, topic := range slices.Sorted(maps.Keys(t.changed)) {
		var version int64
		err := t.Row(ctx, `INSERT INTO feed (topic, version) VALUES ($1, 1)
			ON CONFLICT (topic) DO UPDATE SET version = feed.version + 1
			RETURNING version`, topic).Scan(&version)
		if err != nil {
			return fmt.Errorf("db: change feed: %w", err)
		}
		t.changed[topic] = version
	}
	return nil
}

// Follow looks for changes made by other processes, and at the clock, until ctx
// ends: twice a second, and when a hint says so. While the database does not answer it goes on
// trying.
func (d *DB) Follow(ctx context.Context) error {
	hints := make(chan struct{}, 1)
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() {
		d.engine.postgres.beside(ctx, func() {
			select {
			case hints <- struct{}{}:
			default:
			}
		})
	})
	ticker := time.NewTicker(d.poll)
	defer ticker.Stop()
	for {
		if versions, err := d.versions(ctx); err == nil {
			d.tell(ctx, versions)
			_ = d.CheckClock(ctx) // readiness tells
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hints:
			pause(ctx, hintEvery) // those that come together are one
		case <-ticker.C:
		}
	}
}

func pause(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (d *DB) versions(ctx context.Context) (map[string]int64, error) {
	versions := map[string]int64{}
	err := d.Read(ctx, func(tx *Tx) error {
		clear(versions)
		rows, err := tx.Rows(ctx, "SELECT topic, version FROM feed")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var topic string
			var version int64
			if err := rows.Scan(&topic, &version); err != nil {
				return err
			}
			versions[topic] = version
		}
		return rows.Err()
	})
	return versions, err
}

// tell runs the watchers that have not seen these versions. The change is
// committed, so a failing reload is no error of the change: it is tried again
// by Follow, and Ready says so until it went well.
func (d *DB) tell(ctx context.Context, versions map[string]int64) {
	for _, topic := range slices.Sorted(maps.Keys(versions)) {
		d.mu.Lock()
		watchers := slices.Clone(d.watchers[topic])
		d.mu.Unlock()
		for _, w := range watchers {
			d.bring(ctx, w, versions[topic])
		}
	}
}

// bring brings one watcher up to version at least.
func (d *DB) bring(ctx context.Context, w *watcher, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen >= version {
		return // a reload that began after our commit has covered it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadLimit)
	defer cancel()

	// Read before the reload, so that what commits during it is told again.
	current, err := d.version(ctx, w.topic)
	if err == nil {
		err = w.reload(ctx)
	}
	w.failed.Store(err != nil)
	if err == nil {
		w.seen = current
	}
}

func (d *DB) version(ctx context.Context, topic string) (version int64, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		return tx.Row(ctx, "SELECT version FROM feed WHERE topic = $1", topic).Scan(&version)
	})
	return version, err
}

// behind names a topic whose last reload failed, or nothing.
func (d *DB) behind() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for topic, watchers := range d.watchers {
		for _, w := range watchers {
			if w.failed.Load() {
				return topic
			}
		}
	}
	return ""
}
