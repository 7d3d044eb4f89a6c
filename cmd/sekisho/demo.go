package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/sekisho-id/sekisho/demo"
	"github.com/sekisho-id/sekisho/internal/app"
	"github.com/sekisho-id/sekisho/internal/tracing"
)

// demoCommand starts the example group around a real server.
type demoCommand struct {
	Check bool   `help:"Play every scenario, verify it, and exit 0 or 1."`
	Port  int    `default:"4400" help:"First of seven ports; --check takes free ones (${default})."`
	Dir   string `placeholder:"DIR" help:"Keep databases and the group file there. Default: a directory that is removed at the end."`
	Log   bool   `help:"Show the server's own log, too."`
	OTLP  string `name:"otlp" env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"OpenTelemetry collector (OTLP over HTTP) for the traces of all systems, for example http://localhost:4318."`
}

func (c demoCommand) Run(ctx context.Context, term terminal) (err error) {
	dir, remove, err := c.directory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	logger := quiet(term.err)
	if c.Log {
		logger = logging{LogFormat: "text"}.logger(term.err)
	}
	addresses := demo.Ports(c.Port)
	if c.Check {
		addresses = demo.Ports(0)
	}
	traces := systemTraces{collector: c.OTLP}
	defer traces.close(context.WithoutCancel(ctx))
	group, err := demo.Listen(ctx, demo.Config{Dir: dir, Addresses: addresses, Logger: logger, Traces: traces.of})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running, ctx := errgroup.WithContext(ctx)
	server, err := startServer(ctx, running, group.Server(), c.serverOf(group, dir, logger))
	if err != nil {
		return errors.Join(err, group.Close())
	}
	err = c.play(ctx, group, term)
	// The server ends first: its listener is one of the group's.
	stop()
	return errors.Join(err, running.Wait(), server.Close(context.WithoutCancel(ctx)), group.Close())
}

// play runs the example: by itself, or for whoever opens the page.
func (c demoCommand) play(ctx context.Context, group *demo.Group, term terminal) error {
	if err := group.Start(ctx); err != nil {
		return err
	}
	if c.Check {
		return group.Check(ctx, term.out)
	}
	fmt.Fprintf(term.out, "The example group runs. Open %s\nThe authorization server is %s; stop with Ctrl-C.\n", group.PageURL(), group.Issuer())
	return group.Wait(ctx)
}

func (c demoCommand) directory() (dir string, remove func() error, err error) {
	if c.Dir != "" {
		return c.Dir, func() error { return nil }, os.MkdirAll(c.Dir, 0o700)
	}
	dir, err = os.MkdirTemp("", "sekisho-demo-")
	return dir, func() error { return os.RemoveAll(dir) }, err
}

// serverOf is the configuration of the authorization server of the group.
func (c demoCommand) serverOf(group *demo.Group, dir string, logger *slog.Logger) app.Config {
	return app.Config{
		Database: filepath.Join(dir, "sekisho.db"), GroupFile: group.GroupFile(),
		Dev: true, Logger: logger, Version: version(), OTLP: c.OTLP,
	}
}

// startServer opens the authorization server and serves it on the listener.
func startServer(ctx context.Context, running *errgroup.Group, on net.Listener, config app.Config) (*app.App, error) {
	server, err := app.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	running.Go(func() error { return server.Run(ctx, on, nil) })
	return server, nil
}

// systemTraces has each system of the example send its spans under its own name.
type systemTraces struct {
	collector string
	open      []*tracing.Tracer
}

func (s *systemTraces) of(ctx context.Context, system string) (trace.TracerProvider, error) {
	tracer, err := tracing.Open(ctx, tracing.Config{Collector: s.collector, Service: system, Version: version()})
	s.open = append(s.open, tracer)
	return tracer.Provider(), err
}

func (s *systemTraces) close(ctx context.Context) {
	for _, one := range s.open {
		one.Close(ctx)
	}
}
