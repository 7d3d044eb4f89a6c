package keyring_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/keyring"
)

func maintain(t *testing.T, k *keyring.Keyring) {
	t.Helper()
	if err := k.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// K11, F9: a key is published for a day before it signs and kept for a day
// after its last token.
func TestRotationBySchedule(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := b.open(t)
	begin := *b.now
	old := sign(t, k, keyring.Access)
	oldKid, _ := kid(t, k, old)

	for _, step := range []struct {
		at     time.Duration
		states string
		oldKey bool // still signs
		known  bool // its tokens verify
	}{
		{0, "current", true, true},
		{89*day - time.Second, "current", true, true},
		{89 * day, "current next", true, true},
		{90*day - time.Second, "current next", true, true},
		{90 * day, "retired current", false, true},
		{91 * day, "retired current", false, true},
		{91*day + time.Hour - time.Second, "retired current", false, true},
		{91*day + time.Hour, "current", false, false},
		{179 * day, "current next", false, false},
	} {
		*b.now = begin.Add(step.at)
		maintain(t, k)
		maintain(t, k) // twice is once
		if got := states(t, k, keyring.Access); got != step.states {
			t.Errorf("after %v: %q, want %q", step.at, got, step.states)
		}
		token := sign(t, k, keyring.Access)
		id, isPublished := kid(t, k, token)
		if !isPublished || (id == oldKid) != step.oldKey {
			t.Errorf("after %v: signs with %s, published %v", step.at, id, isPublished)
		}
		if got := verifies(t, k, keyring.Access, old); got != step.known {
			t.Errorf("after %v: the old token verifies: %v", step.at, got)
		}
		if !verifies(t, k, keyring.Access, token) {
			t.Errorf("after %v: a fresh token does not verify", step.at)
		}
	}
}

func TestRotationByCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := b.open(t)
	old := sign(t, k, keyring.IDRS256)
	_, etag := k.JWKS()
	*b.now = b.now.Add(time.Minute)
	for range 2 { // the second command finds the rotation under way
		if err := k.Rotate(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range keyPurposes() {
		if got := states(t, k, p); got != "current next" {
			t.Errorf("%s: %q", p, got)
		}
	}
	if n := len(published(t, k).Keys); n != 2*len(keyPurposes()) {
		t.Errorf("%d keys are published", n)
	}
	if _, now := k.JWKS(); now == etag {
		t.Error("the entity tag did not change")
	}
	maintain(t, k)
	if got := states(t, k, keyring.IDRS256); got != "current next" {
		t.Errorf("a key signs before it was published for a day: %q", got)
	}
	*b.now = b.now.Add(day)
	maintain(t, k)
	if got := states(t, k, keyring.IDRS256); got != "retired current" {
		t.Errorf("%q", got)
	}
	if !verifies(t, k, keyring.IDRS256, old) {
		t.Error("an old token does not verify")
	}
}

// F9: after an emergency nothing that a leaked key signed is accepted.
func TestEmergencyRotation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k, d := b.process(t)
	if err := k.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	csrf := k.Secret("csrf")
	old := map[keyring.Purpose]string{}
	for _, p := range purposes() {
		old[p] = sign(t, k, p)
	}
	if err := k.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, p := range purposes() {
		if verifies(t, k, p, old[p]) {
			t.Errorf("%s: a token from before verifies", p)
		}
		token := sign(t, k, p)
		if _, isPublished := kid(t, k, token); !isPublished || !verifies(t, k, p, token) {
			t.Errorf("%s: a fresh token does not verify", p)
		}
	}
	for _, p := range keyPurposes() {
		if got := states(t, k, p); got != "current" {
			t.Errorf("%s: %q", p, got)
		}
	}
	if string(k.Secret("csrf")) != string(csrf) {
		t.Error("a data key changed")
	}

	events := map[audit.Event]int{}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		records, err := audit.Find(t.Context(), tx, audit.Query{})
		for _, r := range records {
			events[r.Event]++
		}
		return err
	})
	if err != nil || events[audit.KeysMade] != 2*len(keyPurposes()) || events[audit.KeysRotated] != len(keyPurposes()) || events[audit.KeysRemoved] != 1 {
		t.Errorf("audit %v, %v", events, err)
	}
}

// A rotation by another process, a command for example, reaches this one.
func TestRotationElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	here, d := b.process(t)
	reloaded := make(chan struct{}, 100)
	d.Watch("keyring", func(context.Context) error { reloaded <- struct{}{}; return nil })
	elsewhere := b.open(t)
	if err := elsewhere.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = d.Follow(ctx) })
	<-reloaded // the keyring watches before this test does
	cancel()
	following.Wait()

	if !verifies(t, here, keyring.Access, sign(t, elsewhere, keyring.Access)) ||
		!verifies(t, elsewhere, keyring.Access, sign(t, here, keyring.Access)) {
		t.Error("the processes do not use the same keys")
	}
}

// Several processes start on a new database, and maintain one keyring, at
// the same time: there is one key of each purpose and state all the same.
func TestProcessesShareOneKeyring(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var group sync.WaitGroup
	rings := make([]*keyring.Keyring, 3)
	for i := range rings {
		group.Go(func() { rings[i] = b.open(t) })
	}
	group.Wait()
	if t.Failed() {
		return
	}
	for _, step := range []time.Duration{0, 89 * day, day, 25 * time.Hour} {
		*b.now = b.now.Add(step)
		for i, k := range rings {
			group.Go(func() {
				if err := k.Maintain(context.Background()); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			})
		}
		group.Wait()
	}
	fresh := b.open(t)
	for _, p := range keyPurposes() {
		if got := states(t, fresh, p); got != "current" {
			t.Errorf("%s: %q", p, got)
		}
	}
}
