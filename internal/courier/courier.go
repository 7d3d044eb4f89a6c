package courier

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/mint"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/internal/outgoing"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/secret"
	"github.com/sekisho-id/sekisho/internal/tracing"
)

// Config is what a Courier needs. All fields are required but those that say
// otherwise.
type Config struct {
	DB       *db.DB
	Registry *registry.Registry
	People   *account.People
	Grants   *grant.Grants
	Pairwise *pairwise.Pairwise
	Mint     *mint.Mint
	Keys     *keyring.Keyring
	Audit    *audit.Log
	Logger   *slog.Logger

	TrustProxy []netip.Prefix // peers whose X-Forwarded-For is believed
	Networks   []netip.Prefix // private networks where receivers of the group itself may be; optional
	RootCAs    *x509.CertPool // nil: the system's

	Observe func(Outcome)   // told of every try; optional
	Tracer  *tracing.Tracer // nil: no traces
	Now     func() time.Time
}

// Courier has the endpoints for events, and brings events to their receivers.
type Courier struct {
	Config
	doors doors

	box     *secret.Box // of what waits to be sent
	own     *http.Client
	foreign *http.Client
	table   atomic.Pointer[streamTable]

	dispatch *dispatcher
}

// New makes a Courier and loads the streams there are. Run brings their events.
func New(ctx context.Context, config Config) (*Courier, error) {
	box, err := secret.NewBox(config.Keys.Secret("event"))
	if err != nil {
		return nil, fmt.Errorf("key of waiting events: %w", err)
	}
	if config.Observe == nil {
		config.Observe = func(Outcome) {}
	}
	c := &Courier{Config: config, box: box}
	c.own, c.foreign = outgoing.NewClient(c.policyFor(true)), outgoing.NewClient(c.policyFor(false))
	c.dispatch = newDispatcher(c)
	c.DB.Watch(topicStreams, c.loadStreams)
	c.DB.Watch(outbox.Topic, func(context.Context) error { c.dispatch.rouse(); return nil })
	if err := c.loadStreams(ctx); err != nil {
		return nil, fmt.Errorf("courier: %w", err)
	}
	c.openDoors()
	return c, nil
}

// policy says where messages for a subsystem may go. To a receiver of the group
// itself also to the private networks that the operator names; a third party, or
// one that is not declared, reaches nothing but public addresses.
func (c *Courier) policy(receiver string) outgoing.Policy {
	return c.policyFor(c.belongsToGroup(receiver))
}

func (c *Courier) policyFor(own bool) outgoing.Policy {
	var networks []netip.Prefix
	if own {
		networks = c.Networks
	}
	return outgoing.PolicyFor(c.Mint.Issuer, networks, c.RootCAs)
}

// client sends requests where the policy of a subsystem allows it.
func (c *Courier) client(receiver string) *http.Client {
	if c.belongsToGroup(receiver) {
		return c.own
	}
	return c.foreign
}

func (c *Courier) belongsToGroup(receiver string) bool {
	subsystem, ok := c.Registry.Current().Subsystem(receiver)
	return ok && subsystem.Scenario.FirstParty()
}

// streamTable is all streams at one moment. It is replaced as a whole.
type streamTable struct {
	byID       map[string]*Stream
	byReceiver map[string][]*Stream // by name of the subsystem
}

func (c *Courier) loadStreams(ctx context.Context) error {
	table := &streamTable{byID: map[string]*Stream{}, byReceiver: map[string][]*Stream{}}
	err := c.DB.Read(ctx, func(tx *db.Tx) error {
		clear(table.byID)
		clear(table.byReceiver)
		streams, err := allStreams(ctx, tx)
		for _, s := range streams {
			table.byID[s.ID] = s
			table.byReceiver[s.Receiver] = append(table.byReceiver[s.Receiver], s)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.table.Store(table)
	c.dispatch.rouse()
	return nil
}

// RemoveClients removes the streams of clients that are no more, so that a client
// that is declared under the same id later inherits nothing.
func RemoveClients(ctx context.Context, tx *db.Tx, clients []string) error {
	for _, client := range clients {
		s, err := streamOf(ctx, tx, client)
		if errors.Is(err, errNoStream) {
			continue
		}
		if err != nil {
			return err
		}
		if err := deleteStream(ctx, tx, s.ID); err != nil {
			return err
		}
	}
	return nil
}
