package keyring_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/keyring"
	"github.com/sekisho-id/sekisho/internal/secret"
)

// The key-encryption key is changed while processes serve: those that have both go
// on, and so does each that is started with the new one alone.
func TestReseal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old, next := b.keks[0], freshKEK()
	onlyOld, oldDB := b.process(t)
	token, err := onlyOld.Sign(keyring.Access, []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := onlyOld.Reseal(t.Context(), "test"); !errors.Is(err, keyring.ErrOneKEK) {
		t.Errorf("with one key: %v", err)
	}
	b.keks = []secret.KEK{old, next}
	both, bothDB := b.process(t)
	if err := both.Reseal(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if err := both.Reseal(t.Context(), "test"); !errors.Is(err, keyring.ErrResealed) {
		t.Errorf("a second time: %v", err)
	}
	b.keks = []secret.KEK{next}
	onlyNext, _ := b.process(t)
	if _, err := onlyNext.Verify(keyring.Access, token); err != nil {
		t.Errorf("a token of before: %v", err)
	}
	if string(onlyNext.Secret("opaque")) != string(both.Secret("opaque")) {
		t.Error("derived keys differ")
	}
	// What the process with both makes from now on is sealed under the new one.
	if err := both.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	// The process with the old one alone serves on, and makes nothing that others
	// could not open.
	if _, err := onlyOld.Sign(keyring.Access, []byte(`{"a":1}`)); err != nil {
		t.Error(err)
	}
	touch(t, oldDB)
	if err := onlyOld.Maintain(t.Context()); !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("with the old key alone: %v", err)
	}
	touch(t, bothDB)
	b.keks = []secret.KEK{old}
	_, err = keyring.Open(t.Context(), keyring.Config{DB: oldDB, KEKs: b.keks, Now: time.Now})
	if !errors.Is(err, keyring.ErrKEK) {
		t.Errorf("started with the old key: %v", err)
	}
}

// touch has a process look again, as the change feed does.
func touch(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Update(t.Context(), func(tx *db.Tx) error {
		tx.Changed("keyring")
		return nil
	})
	if err != nil && !errors.Is(err, keyring.ErrKEK) {
		t.Fatal(err)
	}
}
