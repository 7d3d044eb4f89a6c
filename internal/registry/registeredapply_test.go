package registry_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// A subsystem that leaves, or is no third party any more, loses what it
// registered, and does not find it again when it comes back.
func TestApplyTakesRegisteredClientsAway(t *testing.T) {
	t.Parallel()
	const declared = "partner: { scenario: third_party, name: { en: Partner, ja: 取引先 }, identity: [email] }"
	for name, instead := range map[string]string{
		"leaves":     "",
		"is another": "partner: { scenario: app, clients: { web: { redirect_uris: [https://partner.example/cb] } } }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, token := opened(t)
			made := []string{b.register(t, token, site()).ID, b.register(t, token, site()).ID}
			slices.Sort(made)
			other := b.register(t, b.open(t, "other", time.Hour), site())
			file := strings.Replace(partnerGroup, declared, instead, 1)
			file, _, _ = strings.Cut(file, "calls:")
			said := mustPlan(t, b, file)
			sentence := "- partner loses 2 clients that it registered itself: they get no more tokens and their sign-ins end"
			if !strings.Contains(said.String(), sentence) {
				t.Errorf("the plan does not tell:\n%s", said)
			}
			plan := apply(t, b.Registry, parse(t, []byte(file)))
			if plan.String() != said.String() || !slices.Equal(plan.RemovedClients(), made) || !slices.Equal(b.removed, made) {
				t.Errorf("removed %v and %v, want %v\n%s", plan.RemovedClients(), b.removed, made, plan)
			}
			apply(t, b.Registry, parse(t, []byte(partnerGroup)))
			for _, id := range made {
				if _, ok := b.Current().Client(id); ok {
					t.Errorf("%s has come back", id)
				}
			}
			if _, err := b.Register(t.Context(), token, site(), registry.Origin{}); !errors.Is(err, registry.ErrRegistrationToken) {
				t.Errorf("the token has come back: %v", err)
			}
			if _, ok := b.Current().Client(other.ID); !ok {
				t.Error("another subsystem lost its client")
			}
		})
	}
}

// An apply that touches neither leaves registered clients alone, and so does one
// that changes what they may do.
func TestApplyKeepsRegisteredClients(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	made := b.register(t, token, site())
	apply(t, b.Registry, parse(t, []byte(strings.Replace(partnerGroup, "  - { from: partner, to: api, user: [read], service: [read] }", "  - { from: partner, to: api, user: [read] }", 1))))
	client, ok := b.Current().Client(made.ID)
	if !ok || len(b.removed) != 0 {
		t.Fatal("it is gone")
	}
	if edges := b.Current().EdgesFrom(client.Subsystem); len(edges) != 1 || len(edges[0].Service) != 0 {
		t.Errorf("edges %+v", edges)
	}
}

// Registrations and an apply that takes them away, at the same moment: none
// stays.
func TestApplyAndRegistrationsAtOnce(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	file, _, _ := strings.Cut(partnerGroup, "  partner:")
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			_, err := b.Register(t.Context(), token, site(), registry.Origin{})
			if err != nil && !errors.Is(err, registry.ErrRegistrationToken) && !errors.Is(err, db.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		if _, err := b.Apply(t.Context(), parse(t, []byte(file)), "test"); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	if clients, tokens, err := b.Registrations(t.Context()); err != nil || len(clients)+len(tokens) != 0 {
		t.Errorf("%v %v %v", clients, tokens, err)
	}
}
