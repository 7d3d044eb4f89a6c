package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// djangoHash is of "correct horse".
const djangoHash = "pbkdf2_sha256$1000$saltsaltsaltsaltsaltsa$rrFqfY54t+CcYpzPEaBDNhjkhYBmcvjLfi7UsJc1TIs="

// TestImport: people come with the passwords they have, which are hashed anew when they
// first sign in.
func TestImport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	there := b.signUp(t, email)
	joined := b.clock.Now().Add(-1000 * time.Hour)
	people := []account.Imported{
		{Email: "Old@example.com", EmailVerified: true, PasswordHash: djangoHash, CreatedAt: joined, Profile: account.Profile{Name: "Old"}},
		{Email: strings.ToUpper(email), PasswordHash: djangoHash},
		{Email: "old@EXAMPLE.com", PasswordHash: djangoHash}, // twice in one file
		{Email: "gone@example.com", PasswordHash: djangoHash, Disabled: true},
		{Email: "nopassword@example.com"},
	}
	for i := range people {
		if err := people[i].Check(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{3, 0} { // an import may be run again
		added, err := b.Import(t.Context(), people, account.Origin{By: "somebody"})
		if err != nil || added != want {
			t.Fatalf("run %d: %d added, %v", i+1, added, err)
		}
	}
	if records := b.events(t, audit.AccountsImported); len(records) != 1 || fmt.Sprint(records[0].Detail) != "map[added:3 by:somebody there_before:2]" {
		t.Errorf("recorded %v", records)
	}
	var old *account.Account
	err := b.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		old, err = b.ByEmail(t.Context(), tx, "old@example.com")
		return err
	})
	if err != nil || old.Email != "Old@example.com" || !old.EmailVerified || !old.CreatedAt.Equal(joined) || old.Profile.Name != "Old" || !old.Active() {
		t.Fatalf("%+v, %v", old, err)
	}
	phc := func() (phc string) {
		err := b.DB.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Row(t.Context(), "SELECT phc FROM password WHERE account_id = $1", old.ID).Scan(&phc)
		})
		if err != nil {
			t.Fatal(err)
		}
		return phc
	}
	if err := b.attempt(t.Context(), "old@example.com", "wrong horse", home, ""); !errors.Is(err, account.ErrCredentials) || phc() != djangoHash {
		t.Errorf("a wrong password: %v, %s", err, phc())
	}
	for range 2 { // by the old hash, then by the new one
		if err := b.attempt(t.Context(), "old@example.com", "correct horse", home, ""); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(phc(), "$argon2id$") {
			t.Errorf("the hash is still %s", phc())
		}
	}
	if err := b.attempt(t.Context(), email, password, home, ""); err != nil {
		t.Errorf("who was there before has another password: %v", err)
	}
	for _, name := range []string{"gone@example.com", "nopassword@example.com"} {
		if err := b.attempt(t.Context(), name, "correct horse", home, ""); !errors.Is(err, account.ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var gone *account.Account
	err = b.DB.Read(t.Context(), func(tx *db.Tx) (err error) {
		gone, err = b.ByEmail(t.Context(), tx, "gone@example.com")
		return err
	})
	if err != nil || gone.Active() || !b.MaybeGone(gone.Ref.Handle) || b.MaybeGone(old.Ref.Handle) || gone.Ref.Handle == there.Ref.Handle {
		t.Errorf("who comes disabled is %+v, %v", gone, err)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, test := range []struct {
		person account.Imported
		want   error
	}{
		{account.Imported{}, account.ErrEmailInvalid},
		{account.Imported{Email: "nobody"}, account.ErrEmailInvalid},
		{account.Imported{Email: "a@example.com", PasswordHash: "5f4dcc3b5aa765d61d8327deb882cf99"}, secret.ErrHash},
		{account.Imported{Email: "a@example.com", Profile: account.Profile{Birthdate: "yesterday"}}, &account.ProfileError{}},
	} {
		err := test.person.Check()
		var profile *account.ProfileError
		if !errors.Is(err, test.want) && !errors.As(err, &profile) {
			t.Errorf("%+v: %v", test.person, err)
		}
	}
	if _, err := b.Import(t.Context(), make([]account.Imported, account.ImportBatch+1), account.Origin{}); err == nil {
		t.Error("a batch is larger than it may be")
	}
}

// TestImportOfManyBatches: more people than one statement takes.
func TestImportOfManyBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	people := make([]account.Imported, 1001)
	for i := range people {
		people[i] = account.Imported{Email: fmt.Sprintf("user%d@example.com", i), PasswordHash: djangoHash}
	}
	added, err := b.Import(t.Context(), people, account.Origin{})
	if err != nil || added != len(people) {
		t.Fatalf("%d added, %v", added, err)
	}
	for table, want := range map[string]int{"account": 1001, "account_identifier": 1001, "password": 1001} {
		b.wantRows(t, table, want)
	}
}
