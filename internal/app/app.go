package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/sekisho-id/sekisho/internal/courier"
	"github.com/sekisho-id/sekisho/internal/mail"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registration"
	"github.com/sekisho-id/sekisho/internal/signin"
	"github.com/sekisho-id/sekisho/internal/subjects"
	"github.com/sekisho-id/sekisho/internal/token"
	"github.com/sekisho-id/sekisho/internal/tracing"
	"github.com/sekisho-id/sekisho/internal/upstream"
	"github.com/sekisho-id/sekisho/internal/web"
)

// App is the authorization server: its rooms, and the doors to them.
type App struct {
	*Rooms
	Mint    *mint.Mint
	Courier *courier.Courier

	issuer    string
	admission web.Admission
	metrics   *metrics
	tracer    *tracing.Tracer // nil: no traces
	draining  atomic.Bool
	mtls      net.Listener // of our own, for clients that present certificates; nil for none

	signin       *signin.Door
	token        *token.Door
	subjects     *subjects.Door
	registration *registration.Door
	pages        *web.Pages
	post         *mail.Post // nil: no letters are sent
}

// underWayEach is how many requests a core may have under way. It answers from some
// hundreds a second, which write, to some thousands, which do not: none that is
// taken waits for more than a part of a second.
const underWayEach = 128

// Open builds the whole server on the configured database. At the first start
// it makes signing keys and applies the group file. The error says what to mend.
func Open(ctx context.Context, config Config) (*App, error) {
	rooms, err := OpenRooms(ctx, config)
	if err != nil {
		return nil, err
	}
	a := &App{
		Rooms: rooms, metrics: newMetrics(config.Version),
		admission: web.Admission{Most: underWayEach * int64(runtime.GOMAXPROCS(0))},
	}
	if err := a.build(ctx); err != nil {
		return nil, errors.Join(err, a.Close(ctx))
	}
	return a, nil
}

// Close writes out what is queued, closes the database and sends the last spans.
func (a *App) Close(ctx context.Context) error {
	err := a.Rooms.Close(ctx)
	a.tracer.Close(ctx)
	return err
}

// build makes what stands on the rooms; with OpenRooms the only place where
// anything is wired in.
func (a *App) build(ctx context.Context) error {
	if err := a.firstGroup(ctx); err != nil {
		return err
	}
	c := a.config
	a.issuer = a.Registry.Current().Issuer
	var err error
	a.tracer, err = tracing.Open(ctx, tracing.Config{
		Collector: c.OTLP, Service: "sekisho", Version: c.Version,
		Complain: func(err error) { c.Logger.Warn("traces did not reach their collector", "cause", err) },
	})
	if err != nil {
		return err
	}
	budgets := a.Pairwise.NewBudgets(pairwise.Budget{}, c.Logger)
	a.Mint, err = mint.New(mint.Config{
		Issuer: a.issuer, Registry: a.Registry, Keys: a.Keys, Pairwise: a.Pairwise, Grants: a.Grants, Now: c.Now,
		Certificates: web.Certificates{Header: c.MTLS.Header, Host: strings.TrimPrefix(c.MTLS.URL, "https://"), Trusted: c.TrustProxy}, MTLSURL: c.MTLS.URL,
	})
	if err != nil {
		return err
	}
	if a.pages, err = web.OpenPages(a.issuer, a.Keys.Secret("csrf"), a.groupName, func() string { return a.Registry.Current().Theme }); err != nil {
		return err
	}
	if c.Mail.URL != "" {
		a.post, err = mail.New(mail.Config{DB: a.DB, Key: a.Keys.Secret("mail"), Send: c.Mail.Send, Logger: c.Logger, Now: c.Now})
		if err != nil {
			return err
		}
	}
	var providers *upstream.Upstream
	if c.ProviderSecrets != "" {
		providers = upstream.New(upstream.Config{
			Issuer: a.issuer, Key: a.Keys.Secret("upstream"), Secrets: c.ProviderSecrets,
			Policy: outgoing.PolicyFor(a.issuer, c.ProviderNetworks, c.EventRoots), Now: c.Now,
		})
	}
	a.signin = signin.New(signin.Config{
		Upstream: providers,
		Post:     a.post,
		Issuer:   a.issuer, DB: a.DB, Registry: a.Registry, People: a.People, Grants: a.Grants, Mint: a.Mint,
		Pages: a.pages, Audit: a.Audit, TrustProxy: c.TrustProxy, Now: c.Now,
	})
	a.token = token.New(token.Config{
		Issuer: a.issuer, DB: a.DB, Registry: a.Registry, People: a.People, Grants: a.Grants, Pairwise: a.Pairwise, Budgets: budgets,
		Mint: a.Mint, Keys: a.Keys, Audit: a.Audit, Push: a.signin.Push, TrustProxy: c.TrustProxy, Now: c.Now,
	})
	a.subjects = subjects.New(subjects.Config{
		DB: a.DB, Registry: a.Registry, Grants: a.Grants, Pairwise: a.Pairwise, Mint: a.Mint,
		Audit: a.Audit, Budgets: budgets, TrustProxy: c.TrustProxy, Now: c.Now,
	})
	a.Courier, err = courier.New(ctx, courier.Config{
		DB: a.DB, Registry: a.Registry, People: a.People, Grants: a.Grants, Pairwise: a.Pairwise, Mint: a.Mint,
		Keys: a.Keys, Audit: a.Audit, Logger: c.Logger, TrustProxy: c.TrustProxy, Networks: c.EventNetworks,
		RootCAs: c.EventRoots, Observe: a.metrics.observeEvent, Tracer: a.tracer, Now: c.Now,
	})
	if err != nil {
		return err
	}
	a.metrics.registry.MustRegister(eventBacklog{a.Courier}, databaseFigures{a.DB}, stateMetrics{a}, admissionFigures{&a.admission})
	a.registration = registration.New(registration.Config{
		Issuer: a.issuer, Registry: a.Registry, Audit: a.Audit, TrustProxy: c.TrustProxy, Now: c.Now,
	})
	return nil
}

// firstGroup applies the group file where the database has no group yet. Later
// the file is only compared: changes are made by sekisho apply, never by a
// restart.
func (a *App) firstGroup(ctx context.Context) error {
	if a.config.GroupFile == "" {
		if a.Registry.Group() == nil {
			return errors.New("the database has no group yet: give --group with the path of a group file")
		}
		return nil
	}
	group, err := ReadGroupFile(a.config.GroupFile)
	if err != nil {
		return err
	}
	if a.Registry.Group() == nil {
		if _, err := a.Registry.Apply(ctx, group, "first start"); err != nil {
			return fmt.Errorf("apply %s: %w", a.config.GroupFile, err)
		}
		a.config.Logger.Info("applied the group file to an empty database", "file", a.config.GroupFile)
		return nil
	}
	plan, err := a.Registry.Plan(group)
	if err != nil {
		return err
	}
	if !plan.Empty() {
		a.config.Logger.Warn("the group file differs from the group that is in force; see sekisho plan, then sekisho apply",
			"file", a.config.GroupFile, "changes", len(plan.Changes))
	}
	return nil
}

func (a *App) groupName(language string) string {
	if group := a.Registry.Group(); group != nil {
		return group.Name.In(language)
	}
	return ""
}
