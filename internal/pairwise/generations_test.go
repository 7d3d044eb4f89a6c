package pairwise_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// A new generation is known everywhere before anybody is given it.
func TestNextGeneration(t *testing.T) {
	t.Parallel()
	database, clock := openDB(t), clocktest.At(now())
	config := pairwise.Config{DB: database, Realm: "realm-1", Secrets: secrets(1), People: openPeople(t, database, 1), Now: clock.Now}
	lagging, err := pairwise.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lagging.NextGeneration(t.Context(), "test"); !errors.Is(err, pairwise.ErrNoSecret) || !strings.Contains(err.Error(), "generation 2: put a new one behind") {
		t.Errorf("without a secret that waits: %v", err)
	}
	config.Secrets = secrets(2)
	p, err := pairwise.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if p.Current() != 1 {
		t.Error("a secret that waits is in use")
	}
	made, err := p.NextGeneration(t.Context(), "test")
	if err != nil || made.Number != 2 || !made.ActiveFrom.Equal(clock.Now().Add(time.Minute)) {
		t.Fatalf("%+v, %v", made, err)
	}
	if p.Current() != 1 || p.Ready() != nil {
		t.Error("in use at once")
	}
	// A process that has no secret for it serves nobody, rather than taking people
	// for nobody.
	if err := lagging.Ready(); !errors.Is(err, pairwise.ErrNoSecret) {
		t.Errorf("without the secret: %v", err)
	}
	if _, err := lagging.Resolve(t.Context(), market, []string{"x"}); !errors.Is(err, pairwise.ErrNoSecret) {
		t.Errorf("without the secret: %v", err)
	}
	clock.Advance(time.Minute)
	if p.Current() != 2 {
		t.Error("not in use after a minute")
	}
	list, err := p.Generations(t.Context())
	if err != nil || len(list) != 2 || list[1] != made {
		t.Errorf("%+v, %v", list, err)
	}
	// Another secret in the same place is as bad as none.
	config.Secrets = [][]byte{ppidSecret(1), ppidSecret(9)}
	if _, err := pairwise.Open(t.Context(), config); !errors.Is(err, pairwise.ErrWrongSecret) {
		t.Errorf("another secret: %v", err)
	}
}

// A process whose waiting secret is another than the one that was put into use
// serves nobody.
func TestAnotherSecretWaited(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	config := pairwise.Config{DB: database, Realm: "realm-1", Secrets: [][]byte{ppidSecret(1), ppidSecret(9)}, People: openPeople(t, database, 1), Now: now}
	other, err := pairwise.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	config.Secrets = secrets(2)
	p, err := pairwise.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.NextGeneration(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := other.Ready(); !errors.Is(err, pairwise.ErrNoSecret) {
		t.Errorf("ready: %v", err)
	}
}

// While subjects of before a re-keying are taken, they name the same people as the
// new ones; afterwards they name nobody.
func TestRekeyedSector(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	p := open(t, database, 3)
	first := openPeople(t, database, 1)
	old := signUp(t, first, "old@example.com")
	middle := signUp(t, openPeople(t, database, 2), "middle@example.com")
	young := signUp(t, p.People, "young@example.com")
	rekeyed := market
	rekeyed.Gen, rekeyed.Former, rekeyed.RekeyedAt, rekeyed.FormerUntil = 2, 1, now().Add(-time.Hour), now().Add(time.Hour)
	for _, who := range []*account.Account{old, middle, young} {
		before, after := p.Subject(market, who.Ref), p.Subject(rekeyed, who.Ref)
		if changed := before != after; changed != (who == old) {
			t.Errorf("%s: changed: %v", who.Email, changed)
		}
		if former, ok := p.FormerSubject(rekeyed, who.Ref); ok != (who == old) || ok && former != before {
			t.Errorf("%s: former subject %q", who.Email, former)
		}
		for _, sub := range []string{before, after} {
			if got := resolve(t, p, rekeyed, sub); got[0] != who.Ref {
				t.Errorf("%s: %v", who.Email, got[0].Nobody())
			}
		}
	}
	oldSub := p.Subject(market, old.Ref)
	session := [16]byte{1}
	before := p.SessionID(market, session)
	if got, ok := p.OpenSessionID(rekeyed, before, now().Add(-2*time.Hour)); !ok || got != session {
		t.Error("the sid of a token of before does not open")
	}
	if after := p.SessionID(rekeyed, session); after == before {
		t.Error("sid did not change")
	} else if got, _ := p.OpenSessionID(rekeyed, after, now()); got != session {
		t.Error("the new sid does not open")
	}
	// It is known before it holds.
	announced := rekeyed
	announced.RekeyedAt = now().Add(time.Second)
	if got := p.Subject(announced, old.Ref); got != oldSub || p.SessionID(announced, session) != before {
		t.Error("changed before its time")
	}
	if _, ok := p.FormerSubject(announced, old.Ref); ok {
		t.Error("a former subject before it has changed")
	}
	if got := resolve(t, p, announced, oldSub, p.Subject(rekeyed, old.Ref)); got[0] != old.Ref || got[1] != old.Ref {
		t.Error("nobody before its time")
	}
	rekeyed.FormerUntil = now()
	if got := resolve(t, p, rekeyed, oldSub, p.Subject(rekeyed, old.Ref)); !got[0].Nobody() || got[1] != old.Ref {
		t.Error("the overlap does not end")
	}
	if _, ok := p.FormerSubject(rekeyed, old.Ref); ok {
		t.Error("a former subject after the overlap")
	}
}

// Several generations need no query either, but for people whose generation the
// keys do not tell, once each.
func TestSeveralGenerationsWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	p := open(t, database, 2)
	old := signUp(t, openPeople(t, database, 1), "old@example.com")
	young := signUp(t, p.People, "young@example.com")
	newer := registry.Sector{ID: "new", Gen: 2}
	if got := resolve(t, p, newer, p.Subject(newer, old.Ref)); got[0] != old.Ref {
		t.Fatal("nobody")
	}
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	if got := resolve(t, p, market, p.Subject(market, old.Ref), p.Subject(market, young.Ref), "garbage"); got[0] != old.Ref || got[1] != young.Ref || !got[2].Nobody() {
		t.Error("an old sector needs the database")
	}
	if got := resolve(t, p, newer, p.Subject(newer, old.Ref)); got[0] != old.Ref {
		t.Error("a second sight needs the database")
	}
	if _, err := p.Resolve(t.Context(), newer, []string{p.Subject(newer, young.Ref)}); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("at first sight: %v", err)
	}
}
