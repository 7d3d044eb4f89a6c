package rs_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/sdk/internal/issuertest"
	"github.com/sekisho-id/sekisho/sdk/rs"
)

// After the sector was re-keyed, a person who calls, is named in an event, or comes
// by introspection is the same user as before, and nobody is made twice.
func TestARekeyedPersonStaysOneUser(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	alice := internalID(t, users, caller("alice", "market-app"))
	bob := internalID(t, users, caller("bob", "market-app"))
	issuer.Rekeyed = true
	issuer.Clock.Advance(10 * time.Minute) // what was remembered of conversions is over
	if got := internalID(t, users, caller("alice", "market-app")); got != alice {
		t.Errorf("a caller is %q, was %q", got, alice)
	}
	if got, err := users.Known(t.Context(), "bob.new.market"); err != nil || got != bob {
		t.Errorf("of an event: %q, %v, was %q", got, err, bob)
	}
	if _, err := users.Known(t.Context(), "ghost.new.market"); !errors.Is(err, rs.ErrUnknownUser) {
		t.Errorf("nobody: %v", err)
	}
	carol := internalID(t, users, caller("carol", "market-app"))
	if got := internalID(t, users, caller("carol", "pay")); got != carol || carol == alice || carol == bob {
		t.Errorf("somebody new is %q, then %q", carol, got)
	}
	asked := issuer.Count("/subjects/reissue")
	internalID(t, users, caller("alice", "pay"))
	if issuer.Count("/subjects/reissue") != asked {
		t.Error("asked again about somebody who is known")
	}
}

// Where nothing was re-keyed, it is not asked for each new person.
func TestNotRekeyedIsBelievedForAWhile(t *testing.T) {
	t.Parallel()
	issuer, users := setupMapping(t)
	for _, person := range []string{"alice", "bob", "carol"} {
		internalID(t, users, caller(person, "market"))
	}
	if n := issuer.Count("/oauth2/token"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	issuer.Clock.Advance(time.Minute)
	internalID(t, users, caller("dora", "market"))
	if n := issuer.Count("/oauth2/token"); n != 2 {
		t.Errorf("asked %d times, the last a minute later", n)
	}
}

func TestReissueRenewsEverybody(t *testing.T) {
	t.Parallel()
	issuer := setupIssuer(t)
	exerciseReissue(t, issuer, rs.SQLite, openSQLite(t))
}

func exerciseReissue(t *testing.T, issuer *issuertest.Issuer, dialect rs.Dialect, db *sql.DB) {
	t.Helper()
	store := newSQLStore(t, dialect, db)
	const people = 2300
	before := make(map[string]string, people)
	for i := range people {
		subject := issuertest.Subject(fmt.Sprintf("p%04d", i), "market")
		id, err := store.Add(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		before[fmt.Sprintf("p%04d.new.market", i)] = id
	}
	issuer.Rekeyed = true
	client := marketClient(t, issuer)
	for _, want := range []int{people, 0} { // the second time there is nothing to do
		if changed, err := store.Reissue(t.Context(), client); err != nil || changed != want {
			t.Fatalf("%d changed, %v; want %d", changed, err, want)
		}
	}
	for subject, id := range before {
		found, err := store.Internal(t.Context(), []string{subject})
		if err != nil || found[subject] != id {
			t.Fatalf("%s is %q, %v; was %q", subject, found[subject], err, id)
		}
	}
}
