package account_test

import (
	"context"
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

const another = "seven quiet lanterns drift"

func TestChangePassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	b.clock.Advance(time.Hour)
	also := 0
	change := account.PasswordChange{
		AccountID: a.ID, Old: password, New: another, Origin: account.Origin{Source: home},
		Also: func(context.Context, *db.Tx) error { also++; return nil },
	}
	if err := b.ChangePassword(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if also != 1 {
		t.Errorf("what belongs to it ran %d times", also)
	}
	if err := b.attempt(t.Context(), email, password, home, ""); !errors.Is(err, account.ErrCredentials) {
		t.Errorf("the old one: %v", err)
	}
	if err := b.attempt(t.Context(), email, another, home, ""); err != nil {
		t.Errorf("the new one: %v", err)
	}
	b.update(t, func(ctx context.Context, tx *db.Tx) error {
		now, err := b.ByID(ctx, tx, a.ID)
		if err == nil && !now.PasswordChangedAt.Equal(b.clock.Now()) {
			t.Errorf("changed at %v", now.PasswordChangedAt)
		}
		return err
	})
	if n := len(b.events(t, audit.PasswordChanged)); n != 1 {
		t.Errorf("%d audit records", n)
	}
}

func TestChangePasswordRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	spare := errors.New("sessions cannot be ended")
	for _, c := range []struct {
		name     string
		id       string
		old, new string
		also     error
		want     error
	}{
		{"wrong old one", a.ID, another, another, nil, account.ErrCredentials},
		{"unknown account", secret.ID(), password, another, nil, account.ErrCredentials},
		{"huge", a.ID, string(make([]byte, 2000)), another, nil, account.ErrTooLarge},
		{"what belongs to it fails", a.ID, password, another, spare, spare},
	} {
		err := b.ChangePassword(t.Context(), account.PasswordChange{
			AccountID: c.id, Old: c.old, New: c.new, Origin: account.Origin{Source: home},
			Also: func(context.Context, *db.Tx) error { return c.also },
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for chosen, want := range map[string]account.PasswordFault{
		"short": account.PasswordTooShort, password: account.PasswordUnchanged, "correct horse battery staple": account.PasswordCommon,
	} {
		var refused *account.PasswordError
		err := b.ChangePassword(t.Context(), account.PasswordChange{AccountID: a.ID, Old: password, New: chosen, Origin: account.Origin{Source: home}})
		if !errors.As(err, &refused) || refused.Fault != want {
			t.Errorf("%q: %v", chosen, err)
		}
	}
	if err := b.attempt(t.Context(), email, password, home, ""); err != nil {
		t.Errorf("afterwards the old one: %v", err)
	}
}

// The way through a change of password is no way around the throttle.
func TestChangePasswordSharesTheCounter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	for i := range 5 {
		_ = b.ChangePassword(t.Context(), account.PasswordChange{AccountID: a.ID, Old: "wrong", New: another, Origin: account.Origin{Source: network(i)}})
	}
	refusal(t, b.attempt(t.Context(), email, password, network(10), ""))
}

func TestResetPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	for i := range 9 {
		_ = b.attempt(t.Context(), email, "wrong", network(i), "")
	}
	reset := account.PasswordChange{AccountID: a.ID, New: another, Origin: account.Origin{By: "operator"}}
	if err := b.ResetPassword(t.Context(), reset); err != nil {
		t.Fatal(err)
	}
	if err := b.attempt(t.Context(), email, another, home, ""); err != nil {
		t.Error(err)
	}
	reset.New = "short"
	var refused *account.PasswordError
	if err := b.ResetPassword(t.Context(), reset); !errors.As(err, &refused) {
		t.Error(err)
	}
	reset.AccountID = secret.ID()
	if err := b.ResetPassword(t.Context(), reset); !errors.Is(err, account.ErrUnknown) {
		t.Error(err)
	}
	records := b.events(t, audit.PasswordChanged)
	if len(records) != 1 || records[0].Detail["by"] != "operator" {
		t.Errorf("audit has %+v", records)
	}
}

func TestDisableEnableDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a, other := b.signUp(t, email), b.signUp(t, "bob@example.com")
	by := account.Origin{By: "operator"}
	active := func(want bool) {
		t.Helper()
		b.update(t, func(ctx context.Context, tx *db.Tx) error {
			refs, err := b.Refs(ctx, tx, []account.Handle{a.Ref.Handle, other.Ref.Handle, {1}})
			if _, ok := refs[a.Ref.Handle]; ok != want || refs[other.Ref.Handle] != other.Ref || err != nil {
				t.Errorf("the active people are %v, %v", refs, err)
			}
			return nil
		})
		if want == (b.attempt(t.Context(), email, password, home, "") != nil) {
			t.Errorf("signing in works: %v", !want)
		}
	}
	active(true)
	for range 2 { // twice is no error
		b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, a.ID, by) })
	}
	active(false)
	if !b.MaybeGone(a.Ref.Handle) || b.MaybeGone(other.Ref.Handle) {
		t.Error("the filter does not know who is disabled")
	}
	for range 2 {
		b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Enable(ctx, tx, a.ID, by) })
	}
	active(true)
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Delete(ctx, tx, a.ID, by) })
	active(false)
	if !b.MaybeGone(a.Ref.Handle) {
		t.Error("the filter does not know who is deleted")
	}
	for name, change := range map[string]func(context.Context, *db.Tx) error{
		"disable": func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, a.ID, by) },
		"enable":  func(ctx context.Context, tx *db.Tx) error { return b.Enable(ctx, tx, a.ID, by) },
		"delete":  func(ctx context.Context, tx *db.Tx) error { return b.Delete(ctx, tx, a.ID, by) },
		"profile": func(ctx context.Context, tx *db.Tx) error {
			return b.ChangeProfile(ctx, tx, a.ID, account.Profile{}, by)
		},
	} {
		err := b.DB.Update(t.Context(), func(tx *db.Tx) error { return change(t.Context(), tx) })
		if !errors.Is(err, account.ErrUnknown) {
			t.Errorf("%s after deletion: %v", name, err)
		}
	}
	for event, want := range map[audit.Event]int{audit.AccountDisabled: 1, audit.AccountEnabled: 1, audit.AccountDeleted: 1} {
		if got := b.events(t, event); len(got) != want || got[0].Account != a.ID || got[0].Detail["by"] != "operator" {
			t.Errorf("%s: audit has %+v", event, got)
		}
	}
}

// A deleted person leaves nothing behind that names them, and who comes back
// under the same address is somebody else.
func TestDeletedPersonComesBackAsAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Delete(ctx, tx, a.ID, account.Origin{}) })
	for _, table := range []string{"account", "account_identifier", "password", "throttle"} {
		if n := countRows(t, b.DB, "SELECT COUNT(*) FROM "+table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	again := b.signUp(t, email)
	if again.ID == a.ID || again.Ref == a.Ref {
		t.Error("the same person came back")
	}
	if b.MaybeGone(again.Ref.Handle) {
		t.Error("the new person counts as gone")
	}
}

func TestChangeProfile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	b.clock.Advance(time.Hour)
	b.update(t, func(ctx context.Context, tx *db.Tx) error {
		return b.ChangeProfile(ctx, tx, a.ID, completeProfile(), account.Origin{})
	})
	b.update(t, func(ctx context.Context, tx *db.Tx) error {
		got, err := b.ByID(ctx, tx, a.ID)
		if err == nil && (got.Profile.Name != "Alice Liddell" || !got.UpdatedAt.Equal(b.clock.Now())) {
			t.Errorf("it is %+v", got)
		}
		var fault *account.ProfileError
		if err := b.ChangeProfile(ctx, tx, a.ID, account.Profile{Locale: "?"}, account.Origin{}); !errors.As(err, &fault) {
			t.Error(err)
		}
		return err
	})
}

// Two processes on one database: what one disables, the other knows after a look
// at the change feed, and a process that starts later knows it from the table.
func TestFilterFollowsTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var people []*account.Account
	for i := range 40 {
		people = append(people, b.signUp(t, fmt.Sprintf("user%d@example.com", i)))
	}
	for _, a := range people[:20] {
		b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, a.ID, account.Origin{}) })
	}
	// Enabled and disabled again: the entry is new to those who saw the first one.
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Enable(ctx, tx, people[3].ID, account.Origin{}) })
	later, err := account.Open(t.Context(), b.config)
	if err != nil {
		t.Fatal(err)
	}
	if later.MaybeGone(people[3].Ref.Handle) {
		t.Error("a process that starts later takes the enabled person for gone")
	}
	b.update(t, func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, people[3].ID, account.Origin{}) })
	for i, a := range people {
		for name, p := range map[string]*account.People{"first": b.People, "later": later} {
			if got, want := p.MaybeGone(a.Ref.Handle), i < 20; got != want {
				t.Errorf("%s process, person %d: gone is %v", name, i, got)
			}
		}
	}
}

func TestHandleStaysOutOfLogs(t *testing.T) {
	t.Parallel()
	ref := account.Ref{Handle: account.Handle{0xab, 0xcd}, Gen: 1}
	if text := fmt.Sprintf("%v %s %v %+v", ref, ref, ref.Handle, account.Account{Ref: ref}); strings.Contains(text, "205") || strings.Contains(text, "cd") {
		t.Error(text)
	}
}
