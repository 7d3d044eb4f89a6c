package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Config says where the example runs.
type Config struct {
	Dir       string       // for the group file, secrets and databases
	Addresses Addresses    // see Ports
	Logger    *slog.Logger // nil: none
	Traces    Traces       // nil: none
}

// Group is the example group. Listen makes it; Start brings it to life once the
// authorization server answers.
type Group struct {
	dir         string
	logger      *slog.Logger
	listeners   listeners
	urls        map[string]string // by party
	credentials *credentials
	groupFile   string
	trace       *Trace
	traces      Traces

	databases map[string]*sql.DB // by system
	systems   systems
	servers   []*http.Server
	serving   sync.WaitGroup
	working   sync.WaitGroup     // what runs beside the servers
	stop      context.CancelFunc // of that
	failed    chan error
}

// Listen takes all ports, among them the one of the authorization server, makes
// the clients' credentials and writes the group file.
func Listen(ctx context.Context, config Config) (*Group, error) {
	g := &Group{
		dir: config.Dir, logger: config.Logger, trace: newTrace(), traces: config.Traces,
		urls: map[string]string{}, databases: map[string]*sql.DB{}, failed: make(chan error, 1),
	}
	if g.logger == nil {
		g.logger = slog.New(slog.DiscardHandler)
	}
	if g.traces == nil {
		g.traces = func(context.Context, string) (trace.TracerProvider, error) { return nil, nil }
	}
	var err error
	if g.listeners, err = listen(ctx, config.Addresses); err != nil {
		return nil, err
	}
	for party := range g.listeners {
		g.urls[party] = g.listeners.url(party)
		g.trace.audiences[g.urls[party]] = party
	}
	if err := g.prepare(); err != nil {
		return nil, errors.Join(err, g.listeners.close())
	}
	return g, nil
}

func (g *Group) prepare() (err error) {
	if g.credentials, err = openCredentials(filepath.Join(g.dir, "secrets")); err != nil {
		return err
	}
	g.groupFile, err = writeGroupFile(g.dir, g.urls)
	return err
}

// GroupFile is the path of the group file for the authorization server.
func (g *Group) GroupFile() string { return g.groupFile }

// Issuer is where the authorization server of the group is to be.
func (g *Group) Issuer() string { return g.urls[partyServer] }

// Server is the listener for the authorization server, which closes it.
func (g *Group) Server() net.Listener { return g.listeners[partyServer] }

// PageURL is the page that shows what happens.
func (g *Group) PageURL() string { return g.urls[partyPage] }

// URLs are the addresses of all parties, by name.
func (g *Group) URLs() map[string]string { return maps.Clone(g.urls) }

// Start discovers the authorization server, which must be answering, opens the
// systems' databases, serves all systems, and lets the ready-made people join.
func (g *Group) Start(ctx context.Context) error {
	if err := g.build(ctx); err != nil {
		return errors.Join(err, g.Close())
	}
	handlers, err := g.systems.handlers()
	if err != nil {
		return errors.Join(err, g.Close())
	}
	for party, handler := range handlers {
		g.serve(party, handler)
	}
	if err := g.listenToEvents(ctx); err != nil {
		return errors.Join(err, g.Close())
	}
	if err := g.welcome(ctx); err != nil {
		return errors.Join(fmt.Errorf("let the ready-made people join: %w", err), g.Close())
	}
	g.trace.forget()
	return nil
}

// listenToEvents subscribes every system that hears of market's events, and runs
// what delivers and fetches events until Close.
func (g *Group) listenToEvents(ctx context.Context) error {
	for _, one := range g.systems.subscribers() {
		if err := one.subscribe(ctx, g.urls[partyMarket]); err != nil {
			return fmt.Errorf("let %s hear of events: %w", one.party, err)
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.stop = stop
	g.run("market's events", func() error { return g.systems.market.publisher.Run(running) })
	for _, one := range g.systems.followers {
		g.run("a stream of the platform's events", func() error { return one.run(running) })
	}
	return nil
}

// run runs work beside the servers. If it fails, the example ends.
func (g *Group) run(what string, work func() error) {
	g.working.Go(func() {
		if err := work(); err != nil && !errors.Is(err, context.Canceled) {
			g.fail(fmt.Errorf("%s: %w", what, err))
		}
	})
}

func (g *Group) fail(err error) {
	select {
	case g.failed <- err:
	default: // the first failure ends the example
	}
}

func (g *Group) serve(party string, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       90 * time.Second,
		ErrorLog:          slog.NewLogLogger(g.logger.Handler(), slog.LevelWarn),
	}
	g.servers = append(g.servers, server)
	g.serving.Go(func() {
		if err := server.Serve(g.listeners[party]); !errors.Is(err, http.ErrServerClosed) {
			g.fail(fmt.Errorf("%s stopped: %w", party, err))
		}
	})
}

// Wait waits until a system fails, or until ctx ends, which is no error.
func (g *Group) Wait(ctx context.Context) error {
	defer g.rest()
	select {
	case err := <-g.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// rest ends what runs beside the servers, while the authorization server still
// answers: what was heard is acknowledged.
func (g *Group) rest() {
	if g.stop != nil {
		g.stop()
	}
	g.working.Wait()
}

// Close stops all systems and closes their databases.
func (g *Group) Close() error {
	g.rest()
	var faults []error
	for _, server := range g.servers {
		faults = append(faults, server.Close())
	}
	g.serving.Wait()
	delete(g.listeners, partyServer)
	faults = append(faults, g.listeners.close())
	for _, db := range g.databases {
		faults = append(faults, db.Close())
	}
	return errors.Join(faults...)
}
