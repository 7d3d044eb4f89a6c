package account_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
)

func elsewhere(subject, email string) *account.Identity {
	return &account.Identity{Issuer: "https://elsewhere.test", Subject: subject, Email: email, EmailVerified: true}
}

func TestIdentityOfAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	a := b.signUp(t, email)
	id := elsewhere("1", email)
	if _, err := b.CheckIdentity(ctx, id, account.Origin{}); !errors.Is(err, account.ErrUnknown) {
		t.Fatalf("an address opens an account: %v", err)
	}
	unproven := *id
	unproven.EmailVerified = false
	if err := b.LinkIdentity(ctx, a.ID, &unproven, account.Origin{}); !errors.Is(err, account.ErrIdentityUnproven) {
		t.Errorf("connected without a verified address: %v", err)
	}
	if err := b.LinkIdentity(ctx, a.ID, id, account.Origin{}); err != nil {
		t.Fatal(err)
	}
	if who, err := b.CheckIdentity(ctx, elsewhere("1", "another@example.com"), account.Origin{}); err != nil || who.ID != a.ID {
		t.Errorf("by subject: %v, %v", who, err)
	}
	if _, err := b.CheckIdentity(ctx, &account.Identity{Issuer: "https://other.test", Subject: "1"}, account.Origin{}); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("the same subject of another issuer: %v", err)
	}
	other := b.signUp(t, "bob@example.com")
	if err := b.LinkIdentity(ctx, other.ID, id, account.Origin{}); !errors.Is(err, account.ErrIdentityKnown) {
		t.Errorf("connected with two people: %v", err)
	}
	if err := b.UnlinkIdentity(ctx, other.ID, id.Issuer, id.Subject, account.Origin{}); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("disconnected by another person: %v", err)
	}
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, a.ID, account.Origin{}) })
	if _, err := b.CheckIdentity(ctx, id, account.Origin{}); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("a disabled person: %v", err)
	}
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Enable(ctx, tx, a.ID, account.Origin{}) })
	if err := b.UnlinkIdentity(ctx, a.ID, id.Issuer, id.Subject, account.Origin{}); err != nil {
		t.Errorf("who has a password cannot disconnect: %v", err)
	}
	if n := len(b.events(t, audit.CredentialChanged)); n != 2 {
		t.Errorf("%d changes are in the audit log", n)
	}
}

// TestNewcomerWithAnIdentity holds that an account without a password stays in reach, and
// that of many who come at once with one identity one gets an account.
func TestNewcomerWithAnIdentity(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := elsewhere("1", "")
	var wait sync.WaitGroup
	var mu sync.Mutex
	var made []*account.Account
	for i := range 20 {
		wait.Go(func() {
			a, err := b.SignUp(t.Context(), account.NewAccount{Email: string(rune('a'+i)) + "@example.com", EmailVerified: true, Identity: id})
			if err != nil && !errors.Is(err, account.ErrIdentityKnown) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				made = append(made, a)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(made) != 1 {
		t.Fatalf("%d accounts", len(made))
	}
	if n := countRows(t, b.DB, "SELECT COUNT(*) FROM account_identifier"); n != 1 {
		t.Errorf("%d addresses are taken", n)
	}
	a := made[0]
	if err := b.UnlinkIdentity(t.Context(), a.ID, id.Issuer, id.Subject, account.Origin{}); !errors.Is(err, account.ErrLastMethod) {
		t.Errorf("the last way to sign in was removed: %v", err)
	}
	if err := b.attempt(t.Context(), a.Email, "", home, ""); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("an empty password: %v", err)
	}
}

// TestIdentityOfADeletedPerson holds that an identity opens nothing of somebody who was
// deleted.
func TestIdentityOfADeletedPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := elsewhere("1", email)
	a, err := b.SignUp(t.Context(), account.NewAccount{Email: email, EmailVerified: true, Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Delete(ctx, tx, a.ID, account.Origin{}) })
	if _, err := b.CheckIdentity(t.Context(), id, account.Origin{}); !errors.Is(err, account.ErrUnknown) {
		t.Errorf("it opens an account: %v", err)
	}
	again, err := b.SignUp(t.Context(), account.NewAccount{Email: email, EmailVerified: true, Identity: id})
	if err != nil || again.ID == a.ID || again.Ref == a.Ref {
		t.Errorf("the same person came back: %v, %v", again, err)
	}
}

// TestImportedIdentities holds that people who sign in elsewhere go on doing so, and that
// an identity of somebody else is no loss and no gain.
func TestImportedIdentities(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var people []account.Imported
	for i := range 300 { // more than one statement writes
		name := fmt.Sprintf("p%d", i)
		people = append(people, account.Imported{Email: name + "@example.com", EmailVerified: true, Identities: []account.ImportedIdentity{
			{Issuer: "https://elsewhere.test", Subject: name}, {Issuer: "https://other.test", Subject: name, Email: name + "@other.test"},
		}})
		if err := people[i].Check(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{300, 0} {
		if added, err := b.Import(t.Context(), people, account.Origin{}); err != nil || added != want {
			t.Fatalf("run %d: %d, %v", i+1, added, err)
		}
	}
	who, err := b.CheckIdentity(t.Context(), &account.Identity{Issuer: "https://other.test", Subject: "p299"}, account.Origin{})
	if err != nil || who.Email != "p299@example.com" {
		t.Errorf("%v, %v", who, err)
	}
	thief := []account.Imported{{Email: "fine@example.com"}, {Email: "thief@example.com", Identities: []account.ImportedIdentity{{Issuer: "https://other.test", Subject: "p1"}}}}
	if added, err := b.Import(t.Context(), thief, account.Origin{}); !errors.Is(err, account.ErrIdentityKnown) || added != 0 {
		t.Errorf("another's identity: %d, %v", added, err)
	}
	if n := countRows(t, b.DB, "SELECT COUNT(*) FROM account"); n != 300 {
		t.Errorf("%d accounts", n)
	}
	for name, bad := range map[string]account.ImportedIdentity{
		"no issuer": {Subject: "1"}, "no URL": {Issuer: "google", Subject: "1"}, "nobody": {Issuer: "https://other.test"},
		"a long subject": {Issuer: "https://other.test", Subject: strings.Repeat("x", 256)},
	} {
		person := account.Imported{Email: email, Identities: []account.ImportedIdentity{bad}}
		if person.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
