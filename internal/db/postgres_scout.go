package db

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	scoutEvery = time.Second
	scoutLimit = time.Second
)

// scout looks at one host of the DSN. Connections go to the first host that takes
// writes, and would stay with an old primary that goes on taking them; what the
// other hosts say of their timeline ends that.
type scout struct {
	config *pgx.ConnConfig
	fence  *fence

	dark atomic.Bool // it did not answer the last time

	mu   sync.Mutex
	conn *pgconn.PgConn
	last time.Time // when it was last asked
}

type scouts []*scout

// newScouts makes one for each host, where there are several.
func newScouts(config *pgx.ConnConfig, f *fence) (list scouts) {
	type host struct {
		name string
		port uint16
	}
	byHost := map[host]*scout{}
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	for _, way := range ways { // a host may be there twice, with TLS and without
		key := host{way.Host, way.Port}
		if known := byHost[key]; known != nil {
			known.config.Fallbacks = append(known.config.Fallbacks, way)
			continue
		}
		own := config.Copy()
		own.Host, own.Port, own.TLSConfig, own.Fallbacks, own.ValidateConnect = way.Host, way.Port, way.TLSConfig, nil, nil
		own.ConnectTimeout = scoutLimit
		byHost[key] = &scout{config: own, fence: f}
		list = append(list, byHost[key])
	}
	if len(list) < 2 {
		return nil
	}
	return slices.Clip(list)
}

// look has every scout look once, and waits no longer than scoutLimit.
func (s scouts) look(ctx context.Context) {
	var all sync.WaitGroup
	for _, one := range s {
		all.Go(func() { one.look(ctx) })
	}
	all.Wait()
}

// confirm has those hosts asked that answered the last time, unless somebody has
// asked since this began. The others would hold up everybody.
func (s scouts) confirm(ctx context.Context) {
	began := time.Now()
	var all sync.WaitGroup
	for _, one := range s {
		if !one.dark.Load() {
			all.Go(func() { one.lookSince(ctx, began) })
		}
	}
	all.Wait()
}

// run looks again and again until ctx ends.
func (s scouts) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, one := range s {
		all.Go(func() {
			ticker := time.NewTicker(scoutEvery)
			defer ticker.Stop()
			for {
				one.look(ctx)
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
			}
		})
	}
	all.Wait()
}

func (s scouts) close() {
	for _, one := range s {
		one.mu.Lock()
		one.hangUp()
		one.mu.Unlock()
	}
}

// look asks the host who it is. A host that does not answer says nothing.
func (s *scout) look(ctx context.Context) { s.lookSince(ctx, time.Now()) }

// lookSince asks it unless it was asked after a moment.
func (s *scout) lookSince(ctx context.Context, moment time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.After(moment) {
		return
	}
	s.last = time.Now()
	ctx, cancel := context.WithTimeout(ctx, scoutLimit)
	defer cancel()
	if s.conn == nil || s.conn.IsClosed() {
		conn, err := pgconn.ConnectConfig(ctx, &s.config.Config)
		if err != nil {
			s.dark.Store(true)
			return
		}
		s.conn = conn
	}
	id, ok, err := identify(ctx, s.conn)
	s.dark.Store(err != nil)
	if err != nil {
		s.hangUp()
		return
	}
	if ok {
		_ = s.fence.see(id) // whether it may be used is asked by who uses it
	}
}

func (s *scout) hangUp() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scoutLimit)
	defer cancel()
	_ = s.conn.Close(ctx) // it is of no use any more
	s.conn = nil
}
