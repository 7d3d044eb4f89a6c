package pairwise_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/pairwise"
	"github.com/sekisho-id/sekisho/internal/registry"
)

// A wrong secret would silently make new identities; so nothing starts with one.
func TestWrongSecretDoesNotStart(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	open(t, database, 2)
	people := openPeople(t, database, 2)
	for _, c := range []struct {
		name    string
		secrets [][]byte
		says    string
		wrong   bool
	}{
		{"another secret", [][]byte{ppidSecret(9), ppidSecret(2)}, "generation 1 was made with another secret", true},
		{"another second one", [][]byte{ppidSecret(1), ppidSecret(9)}, "generation 2 was made with another secret", true},
		{"in the wrong order", [][]byte{ppidSecret(2), ppidSecret(1)}, "generation 1 was made with another secret", true},
		{"one too few", [][]byte{ppidSecret(1)}, "the database has 2 key generations", true},
		{"none", nil, "no PPID secret", false},
		{"too short", [][]byte{ppidSecret(1)[:31], ppidSecret(2)}, "has 31 bytes", false},
		{"the same twice", [][]byte{ppidSecret(1), ppidSecret(1)}, "that of generation 1", false},
	} {
		_, err := pairwise.Open(t.Context(), pairwise.Config{DB: database, Realm: "realm-1", Secrets: c.secrets, People: people, Now: now})
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, pairwise.ErrWrongSecret) != c.wrong {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, one := range c.secrets {
			if err != nil && strings.Contains(err.Error(), string(one)) {
				t.Errorf("%s: the error tells the secret", c.name)
			}
		}
	}
	open(t, database, 2) // what was refused has spoilt nothing
}

func TestOpenNeedsItsConfig(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	whole := pairwise.Config{DB: database, Realm: "r", Secrets: [][]byte{ppidSecret(1)}, People: openPeople(t, database, 1), Now: now}
	for name, spoil := range map[string]func(*pairwise.Config){
		"DB":     func(c *pairwise.Config) { c.DB = nil },
		"Realm":  func(c *pairwise.Config) { c.Realm = "" },
		"People": func(c *pairwise.Config) { c.People = nil },
		"Now":    func(c *pairwise.Config) { c.Now = nil },
	} {
		config := whole
		spoil(&config)
		if _, err := pairwise.Open(t.Context(), config); err == nil {
			t.Errorf("opened without %s", name)
		}
	}
}

func TestMissingGenerationDoesNotStart(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	open(t, database, 2)
	update(t, database, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM pairwise_generation WHERE gen = 1")
		return err
	})
	_, err := pairwise.Open(t.Context(), pairwise.Config{
		DB: database, Realm: "realm-1", Secrets: [][]byte{ppidSecret(1), ppidSecret(2)}, People: openPeople(t, database, 2), Now: now,
	})
	if err == nil || !strings.Contains(err.Error(), "generation 1 is missing") {
		t.Error(err)
	}
}

func TestSubjectsAreStableAcrossStarts(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	first := open(t, database, 1)
	a := signUp(t, first.People, "alice@example.com")
	sub, sid := first.Subject(market, a.Ref), first.SessionID(market, [16]byte{1})
	for range 2 {
		again := open(t, database, 1)
		if got := again.Subject(market, a.Ref); got != sub {
			t.Fatalf("%s became %s", sub, got)
		}
		if got := again.SessionID(market, [16]byte{1}); got != sid {
			t.Fatalf("session %s became %s", sid, got)
		}
	}
}

// Another realm, another sector, another person, another purpose: each has other
// identifiers.
func TestIdentifiersDiffer(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	p := open(t, database, 1)
	elsewhere, err := pairwise.Open(t.Context(), pairwise.Config{
		DB: database, Realm: "realm-2", Secrets: [][]byte{ppidSecret(1)}, People: p.People, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	who, other := account.Ref{Handle: account.Handle{1}, Gen: 1}, account.Ref{Handle: account.Handle{2}, Gen: 1}
	var block [16]byte
	copy(block[:], who.Handle[:])
	seen := map[string]string{}
	for name, id := range map[string]string{
		"market":            p.Subject(market, who),
		"app":               p.Subject(app, who),
		"market, other":     p.Subject(market, other),
		"other realm":       elsewhere.Subject(market, who),
		"session":           p.SessionID(market, block),
		"session in app":    p.SessionID(app, block),
		"split differently": p.Subject(registry.Sector{ID: "sector-", Gen: 1}, who),
	} {
		if before, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same identifier", before, name)
		}
		seen[id] = name
	}
}

// Unknown, foreign, malformed, disabled and deleted give nobody, and nothing
// else changes around them.
func TestResolveGivesNobodyAlike(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	for _, generations := range []int{1, 2} {
		p := open(t, database, generations)
		prefix := strings.Repeat("x", generations)
		a, off, gone := signUp(t, p.People, prefix+"alice@example.com"), signUp(t, p.People, prefix+"off@example.com"), signUp(t, p.People, prefix+"gone@example.com")
		sub := func(who *account.Account) string { return p.Subject(market, who.Ref) }
		for _, who := range []*account.Account{a, off, gone} {
			if got := resolve(t, p, market, sub(who)); got[0] != who.Ref {
				t.Fatalf("%d generations: %s is nobody", generations, who.Email)
			}
		}
		update(t, database, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(p.People.Disable(ctx, tx, off.ID, account.Origin{}), p.People.Delete(ctx, tx, gone.ID, account.Origin{}))
		})
		spoilt := []byte(sub(a))
		spoilt[3] ^= 1
		subs := []string{
			sub(a), sub(off), sub(gone), p.Subject(app, a.Ref), string(spoilt), "", "market.web", sub(a)[1:], sub(a) + "a",
			strings.ToUpper(sub(a)), strings.Repeat("a", 26), strings.Repeat("7", 26), strings.Repeat("\n", 26), sub(a)[:25] + "=", sub(a),
		}
		for i, ref := range resolve(t, p, market, subs...) {
			if alive := i == 0 || i == len(subs)-1; alive && ref != a.Ref || !alive && !ref.Nobody() {
				t.Errorf("%d generations: %q is %v", generations, subs[i], ref.Nobody())
			}
		}
		update(t, database, func(ctx context.Context, tx *db.Tx) error {
			return p.People.Enable(ctx, tx, off.ID, account.Origin{})
		})
		if got, err := p.ResolveOne(t.Context(), market, sub(off)); err != nil || got != off.Ref {
			t.Errorf("%d generations: the enabled person is nobody: %v", generations, err)
		}
	}
}

// The generation of a pair is the later one of the person's and the sector's; a
// subject is good under no earlier one.
func TestGenerations(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	first := open(t, database, 1)
	old := signUp(t, first.People, "old@example.com")
	before := first.Subject(market, old.Ref)

	p := open(t, database, 3)
	young := signUp(t, p.People, "young@example.com")
	if young.Ref.Gen != 3 {
		t.Fatalf("a new person has generation %d", young.Ref.Gen)
	}
	if p.Subject(market, old.Ref) != before {
		t.Error("the subject of an existing pair changed")
	}
	sectors := []registry.Sector{market, {ID: "new-2", Gen: 2}, {ID: "new-3", Gen: 3}}
	for _, s := range sectors {
		for _, a := range []*account.Account{old, young} {
			if got := resolve(t, p, s, p.Subject(s, a.Ref)); got[0] != a.Ref {
				t.Errorf("sector of generation %d, person of %d: nobody", s.Gen, a.Ref.Gen)
			}
			if s.Gen == 1 {
				continue
			}
			// Who has the key of the first generation alone makes nobody here.
			for g := 1; g < s.Gen; g++ {
				forged := p.Subject(registry.Sector{ID: s.ID, Gen: g}, account.Ref{Handle: a.Ref.Handle, Gen: g})
				if got := resolve(t, p, s, forged); !got[0].Nobody() {
					t.Errorf("sector of generation %d, person of %d: generation %d names somebody", s.Gen, a.Ref.Gen, g)
				}
			}
		}
	}
	if got := resolve(t, p, sectors[1], p.Subject(sectors[1], account.Ref{Handle: account.Handle{7}, Gen: 1})); !got[0].Nobody() {
		t.Error("a handle that nobody has names somebody")
	}
}

func TestSessionIDs(t *testing.T) {
	t.Parallel()
	p := open(t, openDB(t), 1)
	session := [16]byte{1, 2, 3, 15: 255}
	sid := p.SessionID(market, session)
	if got, ok := p.OpenSessionID(market, sid, now()); !ok || got != session {
		t.Errorf("%s opens to %x", sid, got)
	}
	if got, ok := p.OpenSessionID(app, sid, now()); ok && got == session {
		t.Error("another sector opens it")
	}
	if p.SessionID(app, session) == sid {
		t.Error("two sectors have the same sid")
	}
	for _, bad := range []string{"", sid[1:], strings.ToUpper(sid), sid + "a"} {
		if _, ok := p.OpenSessionID(market, bad, now()); ok {
			t.Errorf("%q opens", bad)
		}
	}
}

// Without the database, who is not doubtful is still known, and a doubtful one is
// an error instead of a person or nobody.
func TestNoQueryWhereNoneIsNeeded(t *testing.T) {
	t.Parallel()
	database := openDB(t)
	p := open(t, database, 1)
	a, off := signUp(t, p.People, "alice@example.com"), signUp(t, p.People, "off@example.com")
	update(t, database, func(ctx context.Context, tx *db.Tx) error {
		return p.People.Disable(ctx, tx, off.ID, account.Origin{})
	})
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	if got := resolve(t, p, market, p.Subject(market, a.Ref), "garbage"); got[0] != a.Ref || !got[1].Nobody() {
		t.Error("needs the database")
	}
	if _, err := p.Resolve(t.Context(), market, []string{p.Subject(market, off.Ref)}); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("a doubtful one: %v", err)
	}
}

func TestKeyCacheUnderLoad(t *testing.T) {
	t.Parallel()
	p := open(t, openDB(t), 1)
	who := account.Ref{Handle: account.Handle{1}, Gen: 1}
	done := make(chan string)
	for range 8 {
		go func() {
			var all bytes.Buffer
			for i := range 100 {
				all.WriteString(p.Subject(registry.Sector{ID: "sector-" + string(rune('a'+i%26)), Gen: 1}, who))
			}
			done <- all.String()
		}()
	}
	first := <-done
	for range 7 {
		if <-done != first {
			t.Error("two goroutines see two subjects")
		}
	}
}
