package registry_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// Five an hour, whichever hour; by how many at once makes no difference.
func TestRegistrationTokenRegistersFiveAnHour(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	many := func() (done int) {
		var all sync.WaitGroup
		var mu sync.Mutex
		for range 20 {
			all.Go(func() {
				_, err := b.Register(t.Context(), token, site(), registry.Origin{})
				var spent registry.RegistrationsSpent
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					done++
				case errors.As(err, &spent) && spent.RetryAfter > 0 && spent.RetryAfter <= time.Hour:
				case errors.Is(err, db.ErrUnavailable): // a slow machine; nothing was done
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		return done
	}
	token = b.open(t, "partner", 24*time.Hour)
	b.clock.Set(start.Add(time.Minute))
	b.register(t, token, site())
	b.clock.Set(start.Add(2 * time.Minute))
	if done := many(); done != 4 {
		t.Errorf("%d more were registered at once, want 4", done)
	}
	b.clock.Set(start.Add(61 * time.Minute))
	if done := many(); done != 1 {
		t.Errorf("%d were registered as the first is an hour old, want 1", done)
	}
	b.clock.Set(start.Add(62*time.Minute - time.Second))
	if done := many(); done != 0 {
		t.Errorf("%d were registered before the others are an hour old, want none", done)
	}
	if n := len(b.events(t, audit.ClientRegistered)); n != 6 {
		t.Errorf("%d records of 6 registrations", n)
	}
}

func TestRegistrationTokenEnds(t *testing.T) {
	t.Parallel()
	b, token := opened(t)
	refused := func(what, token string) {
		t.Helper()
		if _, err := b.Register(t.Context(), token, site(), registry.Origin{}); !errors.Is(err, registry.ErrRegistrationToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.clock.Set(start.Add(time.Hour - time.Second))
	made := b.register(t, token, site())
	refused("unknown", "sek_ia_"+strings.Repeat("A", 43))
	refused("a registration access token", made.AccessToken)
	refused("none", "")
	b.clock.Set(start.Add(time.Hour))
	refused("expired", token)

	token = b.open(t, "partner", time.Hour)
	_, tokens, err := b.Registrations(t.Context())
	if err != nil || len(tokens) != 1 || tokens[0].Subsystem != "partner" {
		t.Fatalf("tokens %+v, %v; the expired one is deleted", tokens, err)
	}
	if err := b.CloseRegistration(t.Context(), tokens[0].ID, registry.Origin{By: "test"}); err != nil {
		t.Fatal(err)
	}
	refused("withdrawn", token)
	if err := b.CloseRegistration(t.Context(), tokens[0].ID, registry.Origin{By: "test"}); !errors.Is(err, registry.ErrNotRegistered) {
		t.Errorf("withdrawn twice: %v", err)
	}
	if _, ok := b.Current().Client(made.ID); !ok {
		t.Error("what was registered before is gone")
	}
	if len(b.events(t, audit.RegistrationOpened)) != 2 || len(b.events(t, audit.RegistrationClosed)) != 1 {
		t.Error("tokens are not written down")
	}
}

func TestRegistrationTokenIsForThirdPartiesOnly(t *testing.T) {
	t.Parallel()
	b, _ := opened(t)
	for subsystem, want := range map[string]string{
		"api":     "only clients of a third_party register themselves",
		"partnre": "did you mean partner?",
		"":        "there is no subsystem",
	} {
		_, _, err := b.MakeRegistrationToken(t.Context(), subsystem, time.Hour, registry.Origin{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", subsystem, err, want)
		}
	}
	for _, life := range []time.Duration{0, -time.Second, 31 * 24 * time.Hour} {
		if _, _, err := b.MakeRegistrationToken(t.Context(), "partner", life, registry.Origin{}); err == nil {
			t.Errorf("valid for %s", life)
		}
	}
	empty := setup(t)
	if _, _, err := empty.MakeRegistrationToken(t.Context(), "partner", time.Hour, registry.Origin{}); err == nil {
		t.Error("a token without a group")
	}
}
