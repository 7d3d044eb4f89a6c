package account_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/sekisho-id/sekisho/internal/account"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/outbox"
	"github.com/sekisho-id/sekisho/oauth"
)

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.signUp(t, email)
	operator := account.Origin{By: "operator", KnownTo: []string{"app.web"}}
	person := account.Origin{Source: home}
	profile := a.Profile
	profile.Nickname, profile.PhoneNumber = "Al", "+81 3 1234 5678"
	in := func(change func(context.Context, *db.Tx) error) func() error {
		return func() error {
			return b.DB.Update(t.Context(), func(tx *db.Tx) error { return change(t.Context(), tx) })
		}
	}
	for _, step := range []struct {
		name    string
		change  func() error
		event   string // empty: nothing is told
		knownTo []string
		payload map[string]any
	}{
		{
			name: "disable", change: in(func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, a.ID, operator) }),
			event: oauth.EventAccountDisabled, knownTo: []string{"app.web"}, payload: map[string]any{"initiating_entity": "admin"},
		},
		{name: "disable again", change: in(func(ctx context.Context, tx *db.Tx) error { return b.Disable(ctx, tx, a.ID, operator) })},
		{
			name: "enable", change: in(func(ctx context.Context, tx *db.Tx) error { return b.Enable(ctx, tx, a.ID, person) }),
			event: oauth.EventAccountEnabled, payload: map[string]any{"initiating_entity": "user"},
		},
		{name: "enable again", change: in(func(ctx context.Context, tx *db.Tx) error { return b.Enable(ctx, tx, a.ID, person) })},
		{
			name: "profile", change: in(func(ctx context.Context, tx *db.Tx) error { return b.ChangeProfile(ctx, tx, a.ID, profile, person) }),
			event: oauth.EventTokenClaimsChange, payload: map[string]any{
				"initiating_entity": "user", "claims": []any{"nickname", "phone_number", "phone_number_verified"},
			},
		},
		{name: "the same profile", change: in(func(ctx context.Context, tx *db.Tx) error { return b.ChangeProfile(ctx, tx, a.ID, profile, person) })},
		{name: "wrong password", change: func() error {
			_ = b.ChangePassword(t.Context(), account.PasswordChange{AccountID: a.ID, Old: "wrong", New: "another battery staple 4711", Origin: person})
			return nil
		}},
		{name: "password", change: func() error {
			return b.ChangePassword(t.Context(), account.PasswordChange{AccountID: a.ID, Old: password, New: "another battery staple 4711", Origin: person})
		}, event: oauth.EventCredentialChange, payload: map[string]any{
			"initiating_entity": "user", "credential_type": "password", "change_type": "update", "reason_admin": map[string]any{"en": "password changed"},
		}},
		{name: "password by an operator", change: func() error {
			return b.ResetPassword(t.Context(), account.PasswordChange{AccountID: a.ID, New: "a third battery staple 4711"})
		}, event: oauth.EventCredentialChange, payload: map[string]any{
			"initiating_entity": "admin", "credential_type": "password", "change_type": "update", "reason_admin": map[string]any{"en": "password changed"},
		}},
		{
			name: "delete", change: in(func(ctx context.Context, tx *db.Tx) error { return b.Delete(ctx, tx, a.ID, operator) }),
			event: oauth.EventAccountPurged, knownTo: []string{"app.web"}, payload: map[string]any{"initiating_entity": "admin"},
		},
	} {
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		var told []outbox.Happening
		b.update(t, func(ctx context.Context, tx *db.Tx) (err error) {
			told, err = outbox.TakeHappenings(ctx, tx, 10)
			return err
		})
		var want []outbox.Happening
		if step.event != "" {
			want = []outbox.Happening{{
				Type: step.event, Handle: a.Ref.Handle, Gen: a.Ref.Gen, KnownTo: step.knownTo, At: b.clock.Now(), Payload: step.payload,
			}}
		}
		if len(told) != len(want) || len(want) > 0 && !reflect.DeepEqual(told, want) {
			t.Errorf("%s: told of %+v\nwant %+v", step.name, told, want)
		}
	}
}
